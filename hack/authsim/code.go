package authsim

import (
	"fmt"
	"time"
)

// codeLifetime is the longest that RFC 6749 section 4.1.2 recommends.
const codeLifetime = 10 * time.Minute

// Code is an authorization code that a person obtained.
type Code struct {
	ID          string `json:"id"`
	Value       string `json:"value"`
	ClientID    string `json:"clientID"`
	Username    string `json:"username"`
	RedirectURI string `json:"redirectURI,omitempty"`

	Issued        time.Time `json:"issued"`
	Expires       time.Time `json:"expires"`
	Presentations int       `json:"presentations"`
	Spent         time.Time `json:"spent,omitzero"`  // when it was honoured
	Family        int       `json:"family,omitzero"` // that it opened
}

// IssueCode issues an authorization code, as a person who authorized the client
// brings home. Where the redirect URI is not empty, the token request must
// repeat it (RFC 6749 section 4.1.3). It panics on an unknown user or client.
func (s *Server) IssueCode(username, clientID, redirectURI string) (code string) {
	code, ok := s.issueCode(username, clientID, redirectURI)
	if !ok {
		panic("authsim: IssueCode: no user " + username + " or no client " + clientID)
	}
	return code
}

func (s *Server) issueCode(username, clientID, redirectURI string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, knownClient := s.clients[clientID]
	if _, knownUser := s.users[username]; !knownUser || !knownClient {
		return "", false
	}
	now := s.now()
	code := &Code{
		ID: fmt.Sprintf("code-%d", len(s.issued.codes)+1), Value: tokenValue(), ClientID: clientID, Username: username,
		RedirectURI: redirectURI, Issued: now, Expires: now.Add(codeLifetime),
	}
	s.issued.codes = append(s.issued.codes, code)
	s.issued.byCode[code.Value] = code
	return code.Value, true
}

// judgeCode honours a code once. A second presentation ends everything that the
// first one gave (RFC 6749 section 4.1.2).
func (s *Server) judgeCode(client Client, asked asked, fault Fault, now time.Time) ruling {
	value := asked.of("code")
	if value == "" {
		return missing("code")
	}
	code := s.issued.byCode[value]
	if code != nil && !code.Spent.IsZero() {
		s.issued.revokeFamily(code.Family, now)
	}
	switch {
	case code == nil, code.ClientID != client.ID, !code.Spent.IsZero(), code.RedirectURI != asked.of("redirect_uri"):
		return invalidGrant("Invalid authorization code")
	case !now.Before(code.Expires):
		return invalidGrant("Invalid authorization code").forExpiry()
	}
	of := login{username: code.Username, clientID: client.ID, scope: client.grantedScope(asked.of("scope"))}
	handed := s.open(of, client, fault, now)
	code.Spent, code.Family = now, handed.access.Family
	return s.granted(handed, fault, now)
}
