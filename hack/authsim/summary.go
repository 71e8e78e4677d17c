package authsim

import (
	"slices"
	"time"
)

// Ledger returns a deep copy of the ledger as it stands.
func (s *Server) Ledger() Ledger {
	s.mu.Lock()
	defer s.mu.Unlock()

	ledger := Ledger{
		Presentations: map[string]int{},
		TokenRequests: []TokenRequest{},
		AccessTokens:  []AccessToken{},
		RefreshTokens: []RefreshToken{},
	}
	for _, request := range s.requests {
		ledger.enter(*request)
	}
	for _, token := range s.issued.access {
		ledger.AccessTokens = append(ledger.AccessTokens, *token)
	}
	ledger.enterRefreshTokens(s.issued.refresh, s.now())
	for _, code := range s.issued.codes {
		ledger.Codes = append(ledger.Codes, *code)
	}
	for _, request := range s.revocations {
		ledger.enterRevocation(*request)
	}
	return ledger
}

// enter adds a request to the list and to the counts, which are nothing but a
// summary of the list.
func (l *Ledger) enter(request TokenRequest) {
	l.TokenRequests = append(l.TokenRequests, request)
	l.Requests++
	if request.Presented != "" {
		l.Presentations[request.Presented]++
	}
	if request.Reuse {
		l.Reuses++
	}
	if request.refusedLogin() {
		l.LoginsRefused++
	}
	if request.Outcome != OutcomeGranted {
		return
	}
	switch request.Grant {
	case GrantPassword:
		l.PasswordGrants++
	case GrantRefreshToken:
		l.RefreshGrants++
	}
}

func (l *Ledger) enterRevocation(request RevocationRequest) {
	l.RevocationRequests = append(l.RevocationRequests, request)
	if request.Outcome == OutcomeRevoked {
		l.Revocations++
	}
}

func (l *Ledger) enterRefreshTokens(tokens []*RefreshToken, now time.Time) {
	for _, token := range tokens {
		copied := *token
		copied.State = token.stateAt(now)
		l.RefreshTokens = append(l.RefreshTokens, copied)
	}
}

// SecretValues lists every value that must never show up in a log: all tokens
// and codes ever issued, all passwords including former ones, all client secrets. Sorted,
// each once.
func (s *Server) SecretValues() []string {
	s.mu.Lock()
	defer s.mu.Unlock()

	values := slices.Clone(s.formerPasswords)
	for _, client := range s.clients {
		values = append(values, client.Secret)
	}
	for _, user := range s.users {
		values = append(values, user.Password)
	}
	for _, token := range s.issued.access {
		values = append(values, token.Value)
	}
	for _, token := range s.issued.refresh {
		values = append(values, token.Value)
	}
	for _, code := range s.issued.codes {
		values = append(values, code.Value)
	}
	slices.Sort(values)
	values = slices.Compact(values)
	return slices.DeleteFunc(values, func(value string) bool { return value == "" })
}
