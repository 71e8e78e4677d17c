package main

import (
	"context"
	"net/http"
	"sync"

	"github.com/ory/fosite"
	"github.com/ory/fosite/storage"
)

// oneAtATime serves one request after the other.
type oneAtATime struct {
	mu      sync.Mutex
	handler http.Handler
}

func (o *oneAtATime) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.handler.ServeHTTP(w, r)
}

// ledger is the library's memory store, which notes what it is asked. Tokens go by their signatures.
type ledger struct {
	*storage.MemoryStore

	state  map[string]tokenState // of every refresh token and code ever issued
	counts counts
}

type tokenState int

const (
	unknown tokenState = iota
	issued
	spent
)

// counts is what the judge reads.
type counts struct {
	Granted        int `json:"granted"`   // access tokens
	Presented      int `json:"presented"` // refresh tokens, by a known client
	Codes          int `json:"codes"`     // codes, by a known client
	Reused         int `json:"reused"`    // of both, those that had been spent before
	RefusedLogins  int `json:"refusedLogins"`
	RefusedClients int `json:"refusedClients"`
	Revoked        int `json:"revoked"` // refresh tokens
}

// errand is what a request is about.
type errand struct {
	revocation bool
	presented  bool // what it presents has been counted
}

type errandKey struct{}

func during(ctx context.Context, about errand) context.Context {
	return context.WithValue(ctx, errandKey{}, &about)
}

// isPresented tells the first time in a request to the token endpoint that something is looked up.
func isPresented(ctx context.Context) bool {
	about, _ := ctx.Value(errandKey{}).(*errand)
	if about == nil || about.revocation || about.presented {
		return false
	}
	about.presented = true
	return true
}

func isRevoked(ctx context.Context) bool {
	about, _ := ctx.Value(errandKey{}).(*errand)
	return about != nil && about.revocation
}

// CreateAccessTokenSession notes a grant.
func (l *ledger) CreateAccessTokenSession(ctx context.Context, signature string, request fosite.Requester) error {
	l.counts.Granted++
	return l.MemoryStore.CreateAccessTokenSession(ctx, signature, request)
}

// GetAuthorizeCodeSession is asked twice by a request that presents a code and gets something for it.
func (l *ledger) GetAuthorizeCodeSession(ctx context.Context, signature string, session fosite.Session) (fosite.Requester, error) {
	if isPresented(ctx) {
		l.counts.Codes++
		l.countReuse(signature)
	}
	return l.MemoryStore.GetAuthorizeCodeSession(ctx, signature, session)
}

// InvalidateAuthorizeCodeSession notes a code that is spent.
func (l *ledger) InvalidateAuthorizeCodeSession(ctx context.Context, signature string) error {
	l.state[signature] = spent
	return l.MemoryStore.InvalidateAuthorizeCodeSession(ctx, signature)
}

func (l *ledger) countReuse(signature string) {
	if l.state[signature] == spent {
		l.counts.Reused++
	}
}

// CreateRefreshTokenSession notes a refresh token that is issued.
func (l *ledger) CreateRefreshTokenSession(ctx context.Context, signature, access string, request fosite.Requester) error {
	l.state[signature] = issued
	return l.MemoryStore.CreateRefreshTokenSession(ctx, signature, access, request)
}

// GetRefreshTokenSession is asked once by a request that presents a refresh token, or revokes it.
func (l *ledger) GetRefreshTokenSession(ctx context.Context, signature string, session fosite.Session) (fosite.Requester, error) {
	request, err := l.MemoryStore.GetRefreshTokenSession(ctx, signature, session)
	switch {
	case isPresented(ctx):
		l.counts.Presented++
		l.countReuse(signature)
	case isRevoked(ctx) && err == nil:
		l.counts.Revoked++
	}
	return request, err
}

// RotateRefreshToken notes a refresh token that is spent.
func (l *ledger) RotateRefreshToken(ctx context.Context, requestID, signature string) error {
	l.state[signature] = spent
	return l.MemoryStore.RotateRefreshToken(ctx, requestID, signature)
}

// Authenticate notes a refused login.
func (l *ledger) Authenticate(ctx context.Context, name, password string) (string, error) {
	subject, err := l.MemoryStore.Authenticate(ctx, name, password)
	if err != nil {
		l.counts.RefusedLogins++
	}
	return subject, err
}
