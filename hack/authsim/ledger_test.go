package authsim_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluent-credential/operator/hack/authsim"
)

// story is a short life: a login, a lost refresh, its retry, a wrong password.
func story(t *testing.T) *tenant {
	t.Helper()
	tenant := newTenant(t, authsim.Config{KillOnRefresh: true, AccessTokenLifetime: time.Hour})
	first := tenant.ask(passwordOf("orders", "password-1"))
	tenant.clock.Advance(30 * time.Minute)
	tenant.AddFault(parse(t, "1st: drop-after"))
	if _, err := tenant.try(refreshOf(first.refresh())); err == nil {
		t.Fatal("the reply was to be lost")
	}
	tenant.clock.Advance(time.Minute)
	tenant.ask(refreshOf(first.refresh()))
	tenant.ask(refreshOf("not-ours"))
	tenant.ask(passwordOf("orders", "wrong"))
	tenant.ping(first.access())
	return tenant
}

// TestLedgerAsJSON holds the shape of /ledger, which other programs read.
func TestLedgerAsJSON(t *testing.T) {
	tenant := story(t)
	served := tenant.call("GET", "/ledger", "").body
	for _, token := range tenant.Ledger().AccessTokens {
		served = strings.ReplaceAll(served, token.Value, "value-of-"+token.ID)
	}
	for _, token := range tenant.Ledger().RefreshTokens {
		served = strings.ReplaceAll(served, token.Value, "value-of-"+token.ID)
	}
	want, err := os.ReadFile("testdata/ledger.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(decoded(t, string(want)), decoded(t, served)); diff != "" {
		t.Errorf("-want +got:\n%s\nserved: %s", diff, served)
	}
}

func decoded(t *testing.T, text string) any {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestLedgerSurvivesJSON(t *testing.T) {
	tenant := story(t)
	var read authsim.Ledger
	if err := json.Unmarshal([]byte(tenant.call("GET", "/ledger", "").body), &read); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tenant.Ledger(), read); diff != "" {
		t.Errorf("a ledger that went over HTTP is the same (-want +got):\n%s", diff)
	}
}

func TestLedgerIsACopy(t *testing.T) {
	tenant := story(t)
	before, again := tenant.Ledger(), tenant.Ledger()
	again.TokenRequests[0].Grant = "tampered"
	again.AccessTokens[0].Value = "tampered"
	again.RefreshTokens[0].Value = "tampered"
	again.Presentations["refresh-1"] = 99
	if diff := cmp.Diff(before, tenant.Ledger()); diff != "" {
		t.Errorf("writing to a copy changed the ledger (-want +got):\n%s", diff)
	}
}

func TestLedgerLookups(t *testing.T) {
	ledger := story(t).Ledger()
	if refreshes := ledger.RequestsOf(authsim.GrantRefreshToken); refreshes != 3 {
		t.Errorf("%d refresh requests, want 3, granted or not", refreshes)
	}
	access, foundAccess := ledger.AccessTokenByValue(ledger.AccessTokens[1].Value)
	refresh, foundRefresh := ledger.RefreshTokenByValue(ledger.RefreshTokens[1].Value)
	if !foundAccess || access.ID != "access-2" || !foundRefresh || refresh.ID != "refresh-2" {
		t.Errorf("found %t %s and %t %s", foundAccess, access.ID, foundRefresh, refresh.ID)
	}
	_, foundAccess = ledger.AccessTokenByValue("unknown")
	_, foundRefresh = ledger.RefreshTokenByValue("unknown")
	if foundAccess || foundRefresh {
		t.Error("a value that was never issued was found")
	}
}

func TestReuseCountsAlsoWhereItIsNotProcessed(t *testing.T) {
	tenant := newTenant(t, authsim.Config{})
	seed := tenant.Seed("orders", "fluent-api")
	tenant.ask(refreshOf(seed))
	tenant.AddFault(parse(t, "1st: html 502"))
	tenant.ask(refreshOf(seed))
	tenant.ask(refreshOf(seed, "client_secret", "wrong"))
	ledger := tenant.Ledger()
	if ledger.Reuses != 2 || ledger.Presentations["refresh-1"] != 3 {
		t.Errorf("%d reuses in %d presentations, want 2 in 3: the client sent them", ledger.Reuses, ledger.Presentations["refresh-1"])
	}
}

func TestLedgerHasTheAccountHeader(t *testing.T) {
	tenant := newTenant(t, authsim.Config{})
	request := tenant.request("POST", "/oauth/token?"+passwordOf("orders", "password-1").Encode(), "")
	request.Header.Set("fluent.account", "ACME")
	if _, err := tenant.do(request); err != nil {
		t.Fatal(err)
	}
	if got := tenant.last().Account; got != "ACME" {
		t.Errorf("the header is %q in the ledger, want ACME", got)
	}
}

func TestSecretValues(t *testing.T) {
	tenant := newTenant(t, authsim.Config{})
	login := tenant.ask(passwordOf("orders", "password-1"))
	seed := tenant.Seed("stock", "fluent-api")
	tenant.SetPassword("orders", "password-9")
	want := []string{
		"client-secret-1", "password-1", "password-2", "password-3", "password-9",
		login.access(), login.refresh(), seed,
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, tenant.SecretValues()); diff != "" {
		t.Errorf("every secret once, former ones and seeds included, no empty ones (-want +got):\n%s", diff)
	}
}

func TestTokensAreDistinct(t *testing.T) {
	tenant := newTenant(t, authsim.Config{})
	for range 500 {
		tenant.Seed("orders", "fluent-api")
	}
	seen := map[string]bool{}
	for _, token := range tenant.Ledger().RefreshTokens {
		if seen[token.Value] || len(token.Value) < 40 {
			t.Fatalf("%s is no long value of its own", token.ID)
		}
		seen[token.Value] = true
	}
}
