package main

import (
	"context"
	"sync"

	"github.com/go-oauth2/oauth2/v4"
	"github.com/go-oauth2/oauth2/v4/models"
)

// ledger is the library's token store, which notes what it is asked.
type ledger struct {
	oauth2.TokenStore

	mu     sync.Mutex
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

func (l *ledger) refuseClient() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.RefusedClients++
}

// client is the one there is, which notes when it is not believed.
type client struct {
	models.Client
	ledger *ledger
}

// VerifyPassword is asked where the library looks who is asking: not at a refresh.
func (c *client) VerifyPassword(secret string) bool {
	if secret == c.Secret {
		return true
	}
	c.ledger.refuseClient()
	return false
}

// Create notes a grant, and the refresh token that is issued. A code is kept by the same call.
func (l *ledger) Create(ctx context.Context, info oauth2.TokenInfo) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if info.GetAccess() != "" {
		l.counts.Granted++
	}
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
	l.present(ctx, refresh, &l.counts.Presented)
	return l.TokenStore.GetByRefresh(ctx, refresh)
}

// GetByCode is asked in a request that presents a code.
func (l *ledger) GetByCode(ctx context.Context, code string) (oauth2.TokenInfo, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.present(ctx, code, &l.counts.Codes)
	return l.TokenStore.GetByCode(ctx, code)
}

// RemoveByCode notes a code that is spent.
func (l *ledger) RemoveByCode(ctx context.Context, code string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state[code] = spent
	return l.TokenStore.RemoveByCode(ctx, code)
}

// present counts what a request presents, once.
func (l *ledger) present(ctx context.Context, value string, kind *int) {
	request, _ := ctx.Value(tokenRequest{}).(*bool)
	if request == nil || *request {
		return
	}
	*request = true
	*kind++
	if l.state[value] == spent {
		l.counts.Reused++
	}
}

// tokenRequest is the key of a context's value that says whether the presentation has been counted.
type tokenRequest struct{}

// asking is the context of one request to the token endpoint.
func asking(ctx context.Context) context.Context {
	return context.WithValue(ctx, tokenRequest{}, new(bool))
}
