package authsim_test

import (
	"sync"
	"testing"
	"time"

	"github.com/fluent-credential/operator/hack/authsim"
)

func TestRefreshTokenWorksOnce(t *testing.T) {
	tenant := newTenant(t, authsim.Config{})
	first := tenant.ask(passwordOf("orders", "password-1"))
	second := tenant.ask(refreshOf(first.refresh()))
	if second.status != 200 || second.access() == first.access() || second.refresh() == first.refresh() {
		t.Fatalf("a refresh returns a new pair; got %d %s after %s", second.status, second.body, first.body)
	}
	again := tenant.ask(refreshOf(first.refresh()))
	if again.status != 400 || again.body != invalidRefresh {
		t.Errorf("a spent token got %d %s", again.status, again.body)
	}
	if third := tenant.ask(refreshOf(second.refresh())); third.status != 200 {
		t.Errorf("a reuse does not revoke the family; its newest token got %d", third.status)
	}
	ledger := tenant.Ledger()
	if ledger.Reuses != 1 || ledger.RefreshGrants != 2 || ledger.PasswordGrants != 1 {
		t.Errorf("counts: %d reuses, %d refresh and %d password grants", ledger.Reuses, ledger.RefreshGrants, ledger.PasswordGrants)
	}
}

func TestOneOfManyPresentationsWins(t *testing.T) {
	const presentations = 50
	tenant := newTenant(t, authsim.Config{})
	seed := tenant.Seed("orders", "fluent-api")
	statuses := make([]int, presentations)
	var all sync.WaitGroup
	for n := range presentations {
		all.Go(func() {
			got, err := tenant.try(refreshOf(seed))
			if err != nil {
				t.Error(err)
			}
			statuses[n] = got.status
		})
	}
	all.Wait()
	won := 0
	for _, status := range statuses {
		if status == 200 {
			won++
		}
	}
	ledger := tenant.Ledger()
	if won != 1 || ledger.RefreshGrants != 1 || ledger.Reuses != presentations-1 {
		t.Errorf("%d of %d won, the ledger has %d grants and %d reuses", won, presentations, ledger.RefreshGrants, ledger.Reuses)
	}
	if token, _ := ledger.RefreshTokenByValue(seed); token.Presentations != presentations {
		t.Errorf("%d presentations counted, want %d", token.Presentations, presentations)
	}
}

func TestRefusedRefreshTokens(t *testing.T) {
	tests := map[string]struct {
		why    string
		age    time.Duration
		more   []string
		status int
		state  authsim.RefreshTokenState
	}{
		"young": {"a refresh token works while it lives", 59 * time.Minute, nil, 200, authsim.RefreshTokenSpent},
		"old": {
			"expired is told like used", time.Hour, nil, 400, authsim.RefreshTokenExpired,
		},
		"another client's": {
			"a refresh token is bound to its client (RFC 6749 section 6), and a stranger does not spend it",
			0, []string{"client_id", "FLUENT_INTEGRATION", "scope", ""}, 400, authsim.RefreshTokenUnused,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tenant := newTenant(t, authsim.Config{RefreshTokenLifetime: time.Hour})
			seed := tenant.Seed("orders", "fluent-api")
			tenant.clock.Advance(test.age)
			got := tenant.ask(refreshOf(seed, test.more...))
			token, _ := tenant.Ledger().RefreshTokenByValue(seed)
			if got.status != test.status || token.State != test.state {
				t.Errorf("got %d and a token that is %s, want %d and %s: %s",
					got.status, token.State, test.status, test.state, test.why)
			}
		})
	}
}

func TestScopeOfARefresh(t *testing.T) {
	clients := []authsim.Client{{ID: "fluent-api", Secret: "client-secret-1"}}
	tenant := newTenant(t, authsim.Config{Clients: clients})
	login := tenant.ask(passwordOf("orders", "password-1", "scope", "api market"))
	if wider := tenant.ask(refreshOf(login.refresh(), "scope", "api admin")); wider.status != 400 || wider.field("error") != "invalid_scope" {
		t.Errorf("a refresh cannot widen the scope (RFC 6749 section 6); got %d %s", wider.status, wider.body)
	}
	if got := tenant.ask(refreshOf(login.refresh(), "scope", "market")); got.field("scope") != "api market" {
		t.Errorf("a refresh does not change the scope; got %s", got.body)
	}
}

func TestOldAccessTokenAtRefresh(t *testing.T) {
	tests := map[string]struct {
		why  string
		kill bool
		want int
	}{
		"lives on": {"by default the old token lives until it expires", false, 200},
		"dies":     {"with the switch it is dead at the instant of refresh", true, 401},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tenant := newTenant(t, authsim.Config{KillOnRefresh: test.kill})
			first := tenant.ask(passwordOf("orders", "password-1"))
			other := tenant.ask(passwordOf("orders", "password-1"))
			tenant.clock.Advance(time.Hour)
			second := tenant.ask(refreshOf(first.refresh()))
			if got := tenant.ping(first.access()); got != test.want {
				t.Errorf("the old token gets %d, want %d: %s", got, test.want, test.why)
			}
			if tenant.ping(second.access()) != 200 || tenant.ping(other.access()) != 200 {
				t.Error("the new token and the tokens of other families live")
			}
			old, _ := tenant.Ledger().AccessTokenByValue(first.access())
			if killed := old.Killed.Equal(start.Add(time.Hour)); killed != test.kill {
				t.Errorf("the ledger has it killed at %v: %s", old.Killed, test.why)
			}
		})
	}
}

func TestAccessTokenExpires(t *testing.T) {
	tenant := newTenant(t, authsim.Config{AccessTokenLifetime: time.Minute})
	token := tenant.ask(passwordOf("orders", "password-1")).access()
	tenant.clock.Advance(time.Minute - time.Nanosecond)
	if got := tenant.ping(token); got != 200 {
		t.Errorf("just before its expiry the token gets %d", got)
	}
	tenant.clock.Advance(time.Nanosecond)
	if got := tenant.ping(token); got != 401 {
		t.Errorf("at its expiry the token gets %d", got)
	}
	if seen := tenant.Ledger().AccessTokens[0]; seen.Accepted != 1 || seen.Rejected != 1 {
		t.Errorf("the ledger counts %d accepted and %d rejected", seen.Accepted, seen.Rejected)
	}
}

func TestRepeatedLogin(t *testing.T) {
	tests := map[string]struct {
		why       string
		same      bool
		after     time.Duration
		again     []string
		wantSame  bool
		expiresIn float64
	}{
		"same":          {"the living token comes back with what remains of it", true, 14 * time.Second, nil, true, 86386},
		"rounded down":  {"nobody is promised more than there is", true, 14*time.Second + time.Millisecond, nil, true, 86385},
		"last second":   {"less than a second is none", true, 24*time.Hour - time.Millisecond, nil, true, 0},
		"expired":       {"a dead token does not come back", true, 24 * time.Hour, nil, false, 86400},
		"other scope":   {"another scope is another login", true, time.Second, []string{"scope", "api two"}, false, 86400},
		"without":       {"without the switch every login has a token of its own", false, time.Second, nil, false, 86400},
		"other user":    {"another user is another login", true, time.Second, []string{"username", "stock", "password", "password-2"}, false, 86400},
		"at that time":  {"no time need pass", true, 0, nil, true, 86400},
		"half a second": {"not even a whole second", true, 500 * time.Millisecond, nil, true, 86399},
	}
	clients := []authsim.Client{{ID: "fluent-api", Secret: "client-secret-1"}}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tenant := newTenant(t, authsim.Config{SameToken: test.same, Clients: clients})
			first := tenant.ask(passwordOf("orders", "password-1"))
			tenant.clock.Advance(test.after)
			second := tenant.ask(passwordOf("orders", "password-1", test.again...))
			sameAccess, sameRefresh := first.access() == second.access(), first.refresh() == second.refresh()
			if sameAccess != test.wantSame || sameRefresh != test.wantSame {
				t.Errorf("same access token %t, same refresh token %t, want %t: %s", sameAccess, sameRefresh, test.wantSame, test.why)
			}
			if got := second.field("expires_in"); got != test.expiresIn {
				t.Errorf("expires_in %v, want %v: %s", got, test.expiresIn, test.why)
			}
		})
	}
}

func TestRepeatedLoginAfterRefresh(t *testing.T) {
	tenant := newTenant(t, authsim.Config{SameToken: true})
	first := tenant.ask(passwordOf("orders", "password-1"))
	second := tenant.ask(refreshOf(first.refresh()))
	if again := tenant.ask(passwordOf("orders", "password-1")); again.body != second.body {
		t.Errorf("a login after a refresh returns the refreshed pair; got %s, want %s", again.body, second.body)
	}
	tenant.ExpireAccessTokens()
	fresh := tenant.ask(passwordOf("orders", "password-1"))
	if fresh.access() == second.access() || tenant.ping(second.access()) != 401 {
		t.Error("a token that was ended is dead and does not come back")
	}
}

func TestAccountsWithoutRefreshTokens(t *testing.T) {
	without := func(client, user bool) authsim.Config {
		return authsim.Config{
			Clients: []authsim.Client{{ID: "fluent-api", Secret: "client-secret-1", NoRefreshTokens: client}},
			Users:   []authsim.User{{Username: "orders", Password: "password-1", NoRefreshTokens: user}},
		}
	}
	tests := map[string]struct {
		why    string
		config authsim.Config
		want   bool
	}{
		"with":    {"refresh tokens are on unless switched off", without(false, false), true},
		"client":  {"a client may have none", without(true, false), false},
		"account": {"an account may have none", without(false, true), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tenant := newTenant(t, test.config)
			login := tenant.ask(passwordOf("orders", "password-1"))
			seeded := tenant.ask(refreshOf(tenant.Seed("orders", "fluent-api")))
			for _, got := range []reply{login, seeded} {
				if has := got.field("refresh_token") != nil; got.status != 200 || has != test.want {
					t.Errorf("got %d %s, want a refresh token: %t: %s", got.status, got.body, test.want, test.why)
				}
			}
		})
	}
}
