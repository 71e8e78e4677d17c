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

	state  map[string]tokenState // of every refresh token ever issued
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
	Presented     int `json:"presented"` // refresh tokens, at the token endpoint
	Reused        int `json:"reused"`    // of these, tokens that had been spent before
	RefusedLogins int `json:"refusedLogins"`
	Revoked       int `json:"revoked"`
}

// errand is what a request is about.
type errand int

const (
	presentation errand = iota + 1
	revocation
)

type errandKey struct{}

func during(ctx context.Context, about errand) context.Context {
	return context.WithValue(ctx, errandKey{}, about)
}

// CreateRefreshTokenSession notes a refresh token that is issued.
func (l *ledger) CreateRefreshTokenSession(ctx context.Context, signature, access string, request fosite.Requester) error {
	l.state[signature] = issued
	return l.MemoryStore.CreateRefreshTokenSession(ctx, signature, access, request)
}

// GetRefreshTokenSession is asked once by a request that presents a refresh token, or revokes it.
func (l *ledger) GetRefreshTokenSession(ctx context.Context, signature string, session fosite.Session) (fosite.Requester, error) {
	request, err := l.MemoryStore.GetRefreshTokenSession(ctx, signature, session)
	switch ctx.Value(errandKey{}) {
	case presentation:
		l.counts.Presented++
		if l.state[signature] == spent {
			l.counts.Reused++
		}
	case revocation:
		if err == nil {
			l.counts.Revoked++
		}
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
