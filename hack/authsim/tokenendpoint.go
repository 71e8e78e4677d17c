package authsim

import (
	"net/http"
	"time"
)

// serveToken takes one token request through arrival, fault, ruling and reply.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	asked := s.traits.read(w, r, s.traits.endpoints[r.URL.Path])
	entry, fault := s.arrive(asked)
	// A request that is delayed on its way arrives all the same: a client that
	// gave up waiting does not call it back.
	s.holdUp(fault.delay())
	reply := s.process(entry, asked, fault)
	// Looked at before sending: afterwards, a client that hung up may well be one
	// that has all it wanted.
	if r.Context().Err() != nil {
		s.undelivered(entry)
	}
	reply.deliver(w, func() { s.undelivered(entry) })
}

// arrive enters a request into the ledger and picks its fault.
func (s *Server) arrive(asked asked) (*TokenRequest, Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entry := &TokenRequest{
		Seq:        len(s.requests) + 1,
		Time:       s.now(),
		Grant:      asked.of("grant_type"),
		ClientID:   asked.of("client_id"),
		ClientAuth: asked.clientAuth,
		Username:   asked.of("username"),
		Account:    asked.account,
		Source:     asked.source,
		Outcome:    OutcomePending,
	}
	s.requests = append(s.requests, entry)
	s.notePresentation(entry, asked)
	s.noteCode(entry, asked)
	fault := s.nextFault(entry.Grant)
	if fault.Kind != "" {
		entry.Fault = fault.String()
	}
	return entry, fault
}

// notePresentation counts a refresh token as presented as soon as it arrives:
// the client let go of it, whatever happens here. Call with the lock held.
func (s *Server) notePresentation(entry *TokenRequest, asked asked) {
	value := asked.of("refresh_token")
	if value == "" {
		return
	}
	entry.Presented = UnknownToken
	token := s.issued.byRefresh[value]
	if token == nil {
		return
	}
	entry.Presented = token.ID
	token.Presentations++
	if token.FirstPresented.IsZero() {
		token.FirstPresented = entry.Time
	}
	if entry.Username == "" {
		entry.Username = token.Username
	}
}

// noteCode does the same for an authorization code.
func (s *Server) noteCode(entry *TokenRequest, asked asked) {
	value := asked.of("code")
	if value == "" || entry.Presented != "" {
		return
	}
	entry.Presented = UnknownToken
	if code := s.issued.byCode[value]; code != nil {
		entry.Presented, entry.Username = code.ID, code.Username
		code.Presentations++
	}
}

// process rules on a request. One lock from the look at the refresh token to
// its spending: of many presentations at once, exactly one is honoured.
func (s *Server) process(entry *TokenRequest, asked asked, fault Fault) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	entry.Reuse = s.isReuse(asked, now)
	ruled, struck := fault.before()
	wait, admitted := s.admit(now)
	switch {
	case struck:
		ruled = s.traits.speak(ruled)
	case !admitted:
		ruled = tooMany(wait)
	default:
		ruled = s.traits.speak(s.judge(asked, fault, now))
		ruled.answer = fault.after(ruled.answer)
	}
	entry.settle(ruled)
	return ruled.answer
}

// isReuse reports whether something is presented that was spent already.
func (s *Server) isReuse(asked asked, now time.Time) bool {
	token, code := s.issued.byRefresh[asked.of("refresh_token")], s.issued.byCode[asked.of("code")]
	return token != nil && token.stateAt(now) == RefreshTokenSpent || code != nil && !code.Spent.IsZero()
}

// settle enters the ruling. Delivery is assumed before the reply is sent, so
// that a client that has it finds it so in the ledger.
func (r *TokenRequest) settle(ruled ruling) {
	r.Outcome = ruled.outcome
	r.Locked = ruled.locked
	r.Status = ruled.answer.sent()
	r.Delivered = ruled.answer.whole()
	if ruled.handed.access != nil {
		r.AccessToken = ruled.handed.access.ID
	}
	if ruled.handed.refresh != nil {
		r.RefreshToken = ruled.handed.refresh.ID
	}
}

func (s *Server) undelivered(entry *TokenRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entry.Delivered = false
}
