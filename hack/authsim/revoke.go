package authsim

import (
	"net/http"
	"time"
)

// RevocationRequest is one request to the revocation endpoint (RFC 7009).
type RevocationRequest struct {
	Seq        int        `json:"seq"` // from 1
	Time       time.Time  `json:"time"`
	ClientID   string     `json:"clientID,omitempty"`
	ClientAuth ClientAuth `json:"clientAuth,omitempty"`
	Source     Source     `json:"source"`
	Token      string     `json:"token,omitempty"` // ID of the refresh token, or UnknownToken
	Hint       string     `json:"hint,omitempty"`
	Outcome    Outcome    `json:"outcome"`
	Status     int        `json:"status,omitempty"` // of the HTTP reply; 0: none was sent
	Fault      string     `json:"fault,omitempty"`
}

// serveRevoke ends the family of a refresh token.
func (s *Server) serveRevoke(w http.ResponseWriter, r *http.Request) {
	asked := s.traits.read(w, r, s.traits.revocationSources())
	entry, fault := s.arriveRevocation(asked)
	s.holdUp(fault.delay())
	reply := s.processRevocation(entry, asked, fault)
	reply.deliver(w, func() {})
}

func (s *Server) arriveRevocation(asked asked) (*RevocationRequest, Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entry := &RevocationRequest{
		Seq: len(s.revocations) + 1, Time: s.now(), ClientID: asked.of("client_id"), ClientAuth: asked.clientAuth,
		Source: asked.source, Hint: asked.of("token_type_hint"), Outcome: OutcomePending,
	}
	if value := asked.of("token"); value != "" {
		entry.Token = UnknownToken
		if token := s.issued.byRefresh[value]; token != nil {
			entry.Token = token.ID
		}
	}
	s.revocations = append(s.revocations, entry)
	fault := s.nextFault(GrantRevocation)
	if fault.Kind != "" {
		entry.Fault = fault.String()
	}
	return entry, fault
}

func (s *Server) processRevocation(entry *RevocationRequest, asked asked, fault Fault) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	ruled, struck := fault.before()
	if !struck {
		ruled = s.judgeRevocation(asked, s.now())
		ruled.answer = fault.after(ruled.answer)
	}
	entry.Outcome, entry.Status = ruled.outcome, ruled.answer.sent()
	return ruled.answer
}

// judgeRevocation: a token that is not known is as good as revoked (RFC 7009
// section 2.2). Call with the lock held.
func (s *Server) judgeRevocation(asked asked, now time.Time) ruling {
	if asked.method != http.MethodPost {
		return wrongMethod()
	}
	if asked.malformed != "" {
		return invalidRequest(asked.malformed)
	}
	client, known := s.clients[asked.of("client_id")]
	if !known || (client.Secret != "" && client.Secret != asked.of("client_secret")) {
		return badClient()
	}
	if asked.of("token") == "" {
		return missing("token")
	}
	token := s.issued.byRefresh[asked.of("token")]
	switch {
	case token == nil:
		return ruling{outcome: OutcomeUnknownToken, answer: s.traits.revoked()}
	case token.ClientID != client.ID:
		return refusal(http.StatusForbidden, OutcomeUnauthorizedClient, "The token is another client's")
	}
	s.issued.revokeFamily(token.Family, now)
	return ruling{outcome: OutcomeRevoked, answer: s.traits.revoked()}
}

// revokeFamily ends every token of a family that is alive.
func (i *issued) revokeFamily(number int, now time.Time) {
	i.killFamily(number, now)
	for _, token := range i.refresh {
		if token.Family == number && token.usable(now) {
			token.Revoked = now
		}
	}
}
