package authsim

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

// Server is one simulated tenant. It is an http.Handler and safe for concurrent
// use; its methods are for tests.
type Server struct {
	config Config
	traits traits
	mux    *http.ServeMux
	close  func()
	closed chan struct{}

	mu              sync.Mutex // guards everything below
	clients         map[string]Client
	users           map[string]*User
	formerPasswords []string
	failures        map[string]*failures
	issued          issued
	faults          []*scheduled
	requests        []*TokenRequest
	revocations     []*RevocationRequest
	admitted        []time.Time // token requests of the last minute, where there is a limit
}

// New starts a tenant with an empty ledger. It panics on a fault that makes no
// sense, see AddFault, and on an unknown dialect.
func New(config Config) *Server {
	traits := config.traits()
	server := &Server{
		config:   config.complete(traits),
		traits:   traits,
		clients:  map[string]Client{},
		users:    map[string]*User{},
		failures: map[string]*failures{},
		issued:   newIssued(),
		closed:   make(chan struct{}),
	}
	server.close = sync.OnceFunc(func() { close(server.closed) })
	for _, client := range config.Clients {
		server.clients[client.ID] = client
	}
	for _, user := range config.Users {
		user.Roles = slices.Clone(user.Roles)
		server.users[user.Username] = &user
	}
	for _, fault := range config.Faults {
		server.AddFault(fault)
	}
	server.mux = server.routes()
	return server
}

// ServeHTTP serves the token endpoint, the protected endpoint and the control
// endpoints.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for path := range s.traits.endpoints {
		mux.HandleFunc(path, s.serveToken)
	}
	if s.traits.revoked != nil {
		mux.HandleFunc("/oauth/revoke", s.serveRevoke)
	}
	mux.HandleFunc("GET /api/ping", s.servePing)
	mux.HandleFunc("GET /healthz", s.serveHealth)
	mux.HandleFunc("GET /ledger", s.serveLedger)
	mux.HandleFunc("POST /faults", s.serveAddFaults)
	mux.HandleFunc("DELETE /faults", s.serveClearFaults)
	mux.HandleFunc("POST /users/{name}/password", s.serveSetPassword)
	mux.HandleFunc("POST /users/{name}/refresh-token", s.serveSeed)
	mux.HandleFunc("POST /users/{name}/code", s.serveCode)
	mux.HandleFunc("/", serveNotFound)
	return mux
}

// Close lets the requests that a slow fault holds up go on at once, so that the
// HTTP server around this handler can be closed. It may be called again.
func (s *Server) Close() { s.close() }

// holdUp waits for a delay, in real time.
func (s *Server) holdUp(delay time.Duration) {
	if delay <= 0 {
		return
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.closed:
	}
}

// now is the server's time without a monotonic reading: what a ledger holds is
// compared with other clocks.
func (s *Server) now() time.Time { return s.config.Clock().Round(0).UTC() }

// SetPassword changes a user's password. Tokens stay as they are, and so does a
// lock. It panics on an unknown user.
func (s *Server) SetPassword(username, password string) {
	if !s.changePassword(username, password) {
		panic("authsim: SetPassword: no user " + username)
	}
}

func (s *Server) changePassword(username, password string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	user, known := s.users[username]
	if known {
		s.formerPasswords = append(s.formerPasswords, user.Password)
		user.Password = password
	}
	return known
}

// Seed issues a refresh token out of band, as a person who authorized would
// hold. It opens a family of its own, with all the client's scopes, and works
// also where replies carry no refresh token. It panics on an unknown user or
// client.
func (s *Server) Seed(username, clientID string) (refreshToken string) {
	seed, ok := s.seed(username, clientID)
	if !ok {
		panic("authsim: Seed: no user " + username + " or no client " + clientID)
	}
	return seed
}

func (s *Server) seed(username, clientID string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	client, knownClient := s.clients[clientID]
	if _, knownUser := s.users[username]; !knownUser || !knownClient {
		return "", false
	}
	of := login{username: username, clientID: clientID, scope: client.grantedScope("")}
	token := s.issued.newRefresh(of, s.issued.openFamily(), s.now(), s.config.RefreshTokenLifetime)
	return token.Value, true
}

// ExpireAccessTokens ends the life of every access token now. The ledger tells
// it as killed, and keeps the expiry that the client was told.
func (s *Server) ExpireAccessTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for _, token := range s.issued.access {
		token.kill(now)
	}
}
