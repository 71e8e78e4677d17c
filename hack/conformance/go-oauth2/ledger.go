package main

import (
	"context"
	"sync"

	"github.com/go-oauth2/oauth2/v4"
)

// ledger is the library's token store, which notes what it is asked.
type ledger struct {
	oauth2.TokenStore

	mu     sync.Mutex
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

func (l *ledger) told() counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

func (l *ledger) refuseLogin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.RefusedLogins++
}

// Create notes a refresh token that is issued.
func (l *ledger) Create(ctx context.Context, info oauth2.TokenInfo) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if refresh := info.GetRefresh(); refresh != "" {
		l.state[refresh] = issued
	}
	return l.TokenStore.Create(ctx, info)
}

// RemoveByRefresh notes a refresh token that is spent.
func (l *ledger) RemoveByRefresh(ctx context.Context, refresh string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state[refresh] = spent
	return l.TokenStore.RemoveByRefresh(ctx, refresh)
}

// GetByRefresh is asked once or twice in a request that presents a refresh token.
func (l *ledger) GetByRefresh(ctx context.Context, refresh string) (oauth2.TokenInfo, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if request, _ := ctx.Value(tokenRequest{}).(*bool); request != nil && !*request {
		*request = true
		l.counts.Presented++
		if l.state[refresh] == spent {
			l.counts.Reused++
		}
	}
	return l.TokenStore.GetByRefresh(ctx, refresh)
}

// tokenRequest is the key of a context's value that says whether the presentation has been counted.
type tokenRequest struct{}

// asking is the context of one request to the token endpoint.
func asking(ctx context.Context) context.Context {
	return context.WithValue(ctx, tokenRequest{}, new(bool))
}
