package authsim

import (
	"net/http"
	"strings"
	"time"
)

// pingBody tells whose token it was.
type pingBody struct {
	OK       bool      `json:"ok"`
	Username string    `json:"username"`
	ClientID string    `json:"clientID"`
	Expires  time.Time `json:"expires"`
}

// servePing is the protected endpoint.
func (s *Server) servePing(w http.ResponseWriter, r *http.Request) {
	// A reply that cannot be sent has no one left to be told.
	_ = s.ping(bearer(r)).send(w)
}

// bearer is the token of the Authorization header (RFC 6750 section 2.1), empty
// where there is none.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

func (s *Server) ping(value string) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	token := s.issued.byAccess[value]
	if token == nil {
		return invalidBearer()
	}
	if !token.lives(s.now()) {
		token.Rejected++
		return invalidBearer()
	}
	token.Accepted++
	return jsonAnswer(http.StatusOK, pingBody{
		OK: true, Username: token.Username, ClientID: token.ClientID, Expires: token.Expires,
	})
}

func invalidBearer() answer {
	refused := fluentAnswer(http.StatusUnauthorized, http.StatusUnauthorized, "Invalid Bearer Token")
	refused.header.Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	return refused
}
