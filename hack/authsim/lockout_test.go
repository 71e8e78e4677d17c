package authsim_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/fluent-credential/operator/hack/authsim"
)

const lockedSSO = `{"errors":[{"code":"400","message":"User account is locked"}]}`

// attempt is one login, some time after the one before.
type attempt struct {
	after    time.Duration
	password string
	status   int
	body     string // empty: any
}

func right(after time.Duration) attempt {
	return attempt{after: after, status: 200}
}

func rightButLocked(after time.Duration) attempt {
	return attempt{after: after, status: 400, body: badCredentials}
}

func wrong(after time.Duration, times int) []attempt {
	attempts := make([]attempt, times)
	for n := range attempts {
		attempts[n] = attempt{after, "wrong", 400, badCredentials}
	}
	return attempts
}

const minute = time.Minute

// lockouts are stories of one user name.
var lockouts = map[string]struct {
	why      string
	off      bool
	username string
	attempts []attempt
}{
	"four": {
		why: "four refused logins lock nothing", username: "orders",
		attempts: append(wrong(0, 4), right(0)),
	},
	"five": {
		why: "the right password gets the identical answer after five", username: "orders",
		attempts: append(wrong(minute, 5), rightButLocked(0)),
	},
	"released": {
		why: "15 minutes after the last refused login the lock is gone", username: "orders",
		attempts: append(wrong(minute, 5), right(15*minute)),
	},
	"not yet released": {
		why: "and not a moment sooner", username: "orders",
		attempts: append(wrong(minute, 5), rightButLocked(15*minute-1)),
	},
	"prolonged by the right password": {
		why: "a login refused while locked counts from anew", username: "orders",
		attempts: append(wrong(0, 5), rightButLocked(10*minute), rightButLocked(14*minute), right(15*minute)),
	},
	"prolonged by the wrong password": {
		why: "so does a wrong one", username: "orders",
		attempts: append(append(wrong(0, 5), wrong(14*minute, 1)...), rightButLocked(14*minute)),
	},
	"rolling window": {
		why: "failures older than 15 minutes are forgotten", username: "orders",
		attempts: append(wrong(4*minute, 9), right(0)),
	},
	"window reached": {
		why: "the fifth failure within 15 minutes locks", username: "orders",
		attempts: append(wrong(3*minute, 5), rightButLocked(0)),
	},
	"success does not reset": {
		why: "the vendor names a rolling window and no reset", username: "orders",
		attempts: append(append(wrong(0, 4), right(0)), append(wrong(0, 1), rightButLocked(0))...),
	},
	"switched off": {
		why: "without the switch nothing is ever locked", username: "orders", off: true,
		attempts: append(wrong(0, 20), right(0)),
	},
	"SSO": {
		why: "a locked SSO user gets HTTP 500 with code 400, whatever the password", username: "sso",
		attempts: append(wrong(0, 5), attempt{0, "wrong", 500, lockedSSO}, attempt{0, "", 500, lockedSSO}, right(15*minute)),
	},
	"unknown user": {
		why: "a user name that does not exist behaves like one that does", username: "nobody",
		attempts: wrong(0, 7),
	},
}

func TestLockout(t *testing.T) {
	for name, test := range lockouts {
		t.Run(name, func(t *testing.T) {
			tenant := newTenant(t, authsim.Config{Lockout: !test.off})
			for n, attempt := range test.attempts {
				tenant.clock.Advance(attempt.after)
				tenant.attempt(attempt, test.username, fmt.Sprintf("attempt %d: %s", n+1, test.why))
			}
		})
	}
}

func (e *tenant) attempt(made attempt, username, why string) {
	e.t.Helper()
	passwords := map[string]string{"orders": "password-1", "sso": "password-3"}
	if made.password == "" {
		made.password = passwords[username]
	}
	got := e.ask(passwordOf(username, made.password))
	if got.status != made.status || (made.body != "" && got.body != made.body) {
		e.t.Errorf("got %d %s, want %d %s: %s", got.status, got.body, made.status, made.body, why)
	}
}

func TestLockoutInTheLedger(t *testing.T) {
	tenant := newTenant(t, authsim.Config{Lockout: true})
	refresh := tenant.ask(passwordOf("orders", "password-1")).refresh()
	for range 6 {
		tenant.ask(passwordOf("orders", "wrong"))
	}
	if locked := tenant.last(); !locked.Locked || locked.Outcome != authsim.OutcomeInvalidGrant {
		t.Errorf("the ledger tells a lock that the reply does not: %+v", locked)
	}
	if got := tenant.ask(refreshOf(refresh)); got.status != 200 {
		t.Errorf("a lock is on logins, not on refresh tokens; got %d", got.status)
	}
	if got := tenant.ask(passwordOf("stock", "password-2")); got.status != 200 {
		t.Errorf("a lock is on one user name; another got %d", got.status)
	}
	if refused := tenant.Ledger().LoginsRefused; refused != 6 {
		t.Errorf("%d refused logins counted, want 6", refused)
	}
	tenant.SetPassword("orders", "password-9")
	if got := tenant.ask(passwordOf("orders", "password-9")); got.status != 400 {
		t.Errorf("a new password does not lift the lock; got %d", got.status)
	}
	tenant.clock.Advance(15 * time.Minute)
	if got := tenant.ask(passwordOf("orders", "password-9")); got.status != 200 {
		t.Errorf("the new password works when the lock is gone; got %d", got.status)
	}
}
