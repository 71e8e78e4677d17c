package controllers

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

func TestTwoHundredRotations(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	wait := d.settle()
	for rotation := range 200 {
		d.sleep(wait - time.Millisecond)
		d.mustBeAlive()
		d.sleep(time.Millisecond)
		wait = d.settle()
		if serial := d.status().Token.Serial; serial != int64(rotation+2) {
			t.Fatalf("rotation %d: serial %d, want %d", rotation, serial, rotation+2)
		}
	}
	mustRotateCleanly(t, d.server.Ledger(), 200)
	if status := d.server.pings(t, d.access()); status != 200 {
		t.Errorf("the token of the last rotation gets HTTP %d", status)
	}
}

// mustBeAlive asks the workload Secret itself, and the API that its token is for.
func (d *driven) mustBeAlive() {
	d.t.Helper()
	published := secret(d.t, d.cred.Namespace, d.cred.TargetName())
	expires, err := time.Parse(time.RFC3339, string(published.Data[v1alpha1.ExpiresAtKey]))
	if err != nil || !d.clock.Now().Before(expires) {
		d.t.Fatalf("the workload Secret holds a token that expires at %s, %v; it is %s", expires, err, d.clock.Now())
	}
	if code := d.server.pings(d.t, string(published.Data[v1alpha1.AccessTokenKey])); code != http.StatusOK {
		d.t.Fatalf("the token in the workload Secret gets HTTP %d at %s", code, d.clock.Now())
	}
}

// mustRotateCleanly judges a chain by the server's own ledger.
func mustRotateCleanly(t *testing.T, ledger authsim.Ledger, rotations int) {
	t.Helper()
	if ledger.Reuses != 0 {
		t.Errorf("%d spent refresh tokens were presented again", ledger.Reuses)
	}
	for id, presented := range ledger.Presentations {
		if presented != 1 {
			t.Errorf("refresh token %s was presented %d times", id, presented)
		}
	}
	if got := ledger.RequestsOf(authsim.GrantPassword); got != 1 {
		t.Errorf("the password was used %d times, want once", got)
	}
	if ledger.RefreshGrants < rotations {
		t.Errorf("%d refreshes were granted, want %d at least", ledger.RefreshGrants, rotations)
	}
}

func TestSameTokenWithoutRefreshTokenIsAskedForOncePerExpiry(t *testing.T) {
	t.Parallel()
	d := newDriven(t, func(config *authsim.Config) {
		config.SameToken = true
		config.AccessTokenLifetime = 5 * time.Second
		config.Clients[0].NoRefreshTokens = true
	})
	wait := d.settle()
	begun := d.clock.Now()
	for range 20 {
		if !meta.IsStatusConditionTrue(d.status().Conditions, v1alpha1.ConditionReady) {
			t.Fatalf("Ready is not True: %+v", d.status().Conditions)
		}
		d.sleep(wait)
		wait = d.settle()
	}
	lives := int(d.clock.Now().Sub(begun) / (5 * time.Second))
	if exchanges := d.server.Ledger().Requests; exchanges > lives+1 {
		t.Errorf("%d exchanges while %d tokens expired", exchanges, lives)
	}
}

func TestSameTokenWithFiveSecondsLeft(t *testing.T) {
	t.Parallel()
	d := newDriven(t, func(config *authsim.Config) {
		config.SameToken = true
		config.AccessTokenLifetime = time.Hour
		config.Clients[0].NoRefreshTokens = true
	})
	d.server.logIn(t)
	d.sleep(time.Hour - 5*time.Second)
	wait := d.settle()
	if wait < 5*time.Second || wait > 7*time.Second {
		t.Errorf("asked again after %s; the token given has 5 s left, and the same comes until then", wait)
	}
	d.sleep(wait)
	if wait = d.settle(); wait < 30*time.Minute {
		t.Errorf("the next token lives an hour, but is asked for after %s", wait)
	}
	if requests := d.server.Ledger().Requests; requests != 3 { // the first is the test's own
		t.Errorf("%d exchanges, want one for the rest of the first token and one for the second", requests-1)
	}
}

// logIn obtains a token as another client would.
func (s *server) logIn(t *testing.T) {
	t.Helper()
	response, err := http.PostForm(s.URL+"/oauth/token", url.Values{
		"grant_type": {"password"}, "username": {user}, "password": {password}, "scope": {"api"},
		"client_id": {clientID}, "client_secret": {clientSecret},
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
}

func TestZeroLifeIsNoLoop(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	d.server.AddFault(fault(t, "every: expires-in 0"))
	begun := d.clock.Now()
	for range 12 {
		d.sleep(d.settle())
	}
	if passed := d.clock.Now().Sub(begun); passed < 2*time.Minute {
		t.Errorf("12 replies without life were asked for within %s", passed)
	}
}

func fault(t *testing.T, text string) authsim.Fault {
	t.Helper()
	parsed, err := authsim.ParseFault(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
