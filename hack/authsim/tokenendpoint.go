package authsim

import (
	"net/http"
)

// serveToken takes one token request through arrival, fault, ruling and reply.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	asked := readAsked(w, r)
	entry, fault := s.arrive(asked)
	// A request that is delayed on its way arrives all the same: a client that
	// gave up waiting does not call it back.
	s.holdUp(fault.delay())
	reply := s.process(entry, asked, fault)
	if reply.dropped {
		panic(http.ErrAbortHandler)
	}
	// Looked at before sending: afterwards, a client that hung up may well be one
	// that has all it wanted.
	if r.Context().Err() != nil || reply.send(w) != nil {
		s.undelivered(entry)
	}
	if reply.cut {
		panic(http.ErrAbortHandler)
	}
}

// arrive enters a request into the ledger and picks its fault.
func (s *Server) arrive(asked asked) (*TokenRequest, Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entry := &TokenRequest{
		Seq:      len(s.requests) + 1,
		Time:     s.now(),
		Grant:    asked.of("grant_type"),
		ClientID: asked.of("client_id"),
		Username: asked.of("username"),
		Account:  asked.account,
		Source:   asked.source,
		Outcome:  OutcomePending,
	}
	s.requests = append(s.requests, entry)
	s.notePresentation(entry, asked)
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

// process rules on a request. One lock from the look at the refresh token to
// its spending: of many presentations at once, exactly one is honoured.
func (s *Server) process(entry *TokenRequest, asked asked, fault Fault) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	token := s.issued.byRefresh[asked.of("refresh_token")]
	entry.Reuse = token != nil && token.stateAt(now) == RefreshTokenSpent

	ruled, struck := fault.before()
	if !struck {
		ruled = s.judge(asked, fault, now)
		ruled.answer = fault.after(ruled.answer)
	}
	entry.settle(ruled)
	return ruled.answer
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
