package authsim_test

import (
	"strings"
	"testing"

	"github.com/fluent-credential/operator/hack/authsim"
)

func TestHealth(t *testing.T) {
	tenant := newTenant(t, authsim.Config{Account: "ACME"})
	if got := tenant.call("GET", "/healthz", ""); got.status != 200 || got.body != `{"ok":true,"account":"ACME"}` {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestFaultsOverHTTP(t *testing.T) {
	tests := map[string]struct {
		why, text string
		status    int
		body      string
		login     int // status of the login that follows
	}{
		"one":     {"a line is a fault", "1st: html 502", 204, "", 502},
		"several": {"blank lines and comments are skipped", "# a comment\n\n2nd: html 502\r\n1st: html 503\n", 204, "", 503},
		"none":    {"nothing is no fault", "", 204, "", 200},
		"wrong":   {"one that cannot be read keeps the others out", "1st: html 502\nbad", 400, "line 2: fault \"bad\": no colon", 200},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tenant := newTenant(t, authsim.Config{})
			got := tenant.call("POST", "/faults", test.text)
			if got.status != test.status || !strings.Contains(got.body, test.body) {
				t.Errorf("got %d %s, want %d %s: %s", got.status, got.body, test.status, test.body, test.why)
			}
			if login := tenant.ask(passwordOf("orders", "password-1")); login.status != test.login {
				t.Errorf("the login got %d, want %d: %s", login.status, test.login, test.why)
			}
		})
	}
}

func TestFaultsClearedOverHTTP(t *testing.T) {
	tenant := newTenant(t, authsim.Config{Faults: []authsim.Fault{{Kind: authsim.FaultDropBefore}}})
	if got := tenant.call("DELETE", "/faults", ""); got.status != 204 {
		t.Errorf("got %d", got.status)
	}
	if login := tenant.ask(passwordOf("orders", "password-1")); login.status != 200 {
		t.Errorf("the login got %d after the faults were cleared", login.status)
	}
}

func TestPasswordOverHTTP(t *testing.T) {
	tests := map[string]struct {
		why, path, body string
		status          int
		password        string // the one that works then
	}{
		"changed":         {"the body is the password", "/users/orders/password", "new", 204, "new"},
		"with newline":    {"a newline at the end is an editor's", "/users/orders/password", "new\n", 204, "new"},
		"with newlines":   {"but only one", "/users/orders/password", "new\n\n", 204, "new\n"},
		"empty":           {"an empty password is a mistake", "/users/orders/password", "\n", 400, "password-1"},
		"no such user":    {"users are not made this way", "/users/nobody/password", "new", 404, "password-1"},
		"too much for it": {"no password has a megabyte", "/users/orders/password", strings.Repeat("x", 2<<20), 400, "password-1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tenant := newTenant(t, authsim.Config{})
			if got := tenant.call("POST", test.path, test.body); got.status != test.status {
				t.Errorf("got %d %s, want %d: %s", got.status, got.body, test.status, test.why)
			}
			if got := tenant.ask(passwordOf("orders", test.password)); got.status != 200 {
				t.Errorf("the login got %d: %s", got.status, test.why)
			}
		})
	}
}

func TestSeedOverHTTP(t *testing.T) {
	tenant := newTenant(t, authsim.Config{})
	seed := tenant.call("POST", "/users/orders/refresh-token?client=fluent-api", "")
	if seed.status != 200 {
		t.Fatalf("got %d %s", seed.status, seed.body)
	}
	if got := tenant.ask(refreshOf(seed.body)); got.status != 200 {
		t.Errorf("the seed was refused: %d %s", got.status, got.body)
	}
	if got := tenant.call("POST", "/users/orders/refresh-token?client=nobody", ""); got.status != 404 {
		t.Errorf("a seed for an unknown client got %d", got.status)
	}
}

func TestMistakesInATestPanic(t *testing.T) {
	tenant := newTenant(t, authsim.Config{})
	tests := map[string]struct {
		why string
		do  func()
	}{
		"password of nobody": {"there is no such user to change", func() { tenant.SetPassword("nobody", "x") }},
		"seed of nobody":     {"there is no such user to seed", func() { tenant.Seed("nobody", "fluent-api") }},
		"seed for nobody":    {"there is no such client to seed", func() { tenant.Seed("orders", "nobody") }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Errorf("no panic: %s", test.why)
				}
			}()
			test.do()
		})
	}
}
