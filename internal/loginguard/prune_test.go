package loginguard

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/fluent-credential/operator/internal/token"
)

// stored is a guard with its Secrets.
type stored struct {
	*Guard

	t *testing.T
}

func newStored(t *testing.T) *stored {
	t.Helper()
	byType := func(o client.Object) []string { return []string{string(o.(*corev1.Secret).Type)} }
	api := fake.NewClientBuilder().WithIndex(&corev1.Secret{}, "type", byType).Build()
	left := func(context.Context, Use, Login) bool { return false }
	return &stored{&Guard{Reader: api, Writer: api, Namespace: "system", Salt: func() string { return "salt" }, HasLeft: left}, t}
}

// secrets are the names of the guards' Secrets.
func (s *stored) secrets() map[string]bool {
	s.t.Helper()
	var list corev1.SecretList
	if err := s.Reader.List(s.t.Context(), &list); err != nil {
		s.t.Fatal(err)
	}
	names := map[string]bool{}
	for _, secret := range list.Items {
		names[secret.Name] = true
	}
	return names
}

func loginOf(uid, username string) Login {
	return Login{
		Endpoint: plainURL, Username: username, Password: token.NewSecret("password-of-" + username),
		Use: Use{Client: "client", Owner: Owner{Namespace: "shop", Name: uid, UID: uid}},
	}
}

// try makes a login end with a verdict, and returns why it was not made.
func (s *stored) try(login Login, now time.Time, verdict token.Verdict) Why {
	s.t.Helper()
	refusal, err := s.Reserve(s.t.Context(), login, "id", now)
	if err != nil {
		s.t.Fatal(err)
	}
	if refusal != nil {
		return refusal.Why
	}
	if _, err := s.Settle(s.t.Context(), login, "id", verdict, now); err != nil {
		s.t.Fatal(err)
	}
	return ""
}

// TestLoginsInALoopAreBounded: a FluentCredential whose user name is changed in a loop does not fill the operator's namespace.
func TestLoginsInALoopAreBounded(t *testing.T) {
	for name, test := range map[string]struct {
		verdict token.Verdict
		most    int
		why     string
	}{
		"refused":   {token.LoginRefused, MaxKept, "a refused password is remembered for a day at most"},
		"granted":   {token.Granted, MaxNew + formerLogins, "a former login is not used any more"},
		"lost":      {token.Unknown, MaxNew + formerLogins, "it counts for a window"},
		"no answer": {token.TryLater, MaxNew, "nothing is known of it"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStored(t)
			passed, most := 0, 0
			for i := range 8 * 60 { // hours
				now := noon.Add(time.Duration(i) * time.Minute)
				if s.try(loginOf("looping", fmt.Sprint("user-", i)), now, test.verdict) == "" {
					passed++
				}
				most = max(most, len(s.secrets()))
			}
			if most > test.most {
				t.Errorf("%d guards, want %d at most: %s", most, test.most, test.why)
			}
			if passed > 8*3*MaxNew || passed < MaxKept {
				t.Errorf("%d logins in 8 hours", passed)
			}
			if why := s.try(loginOf("other", "user-of-another"), noon.Add(time.Minute), token.Granted); why != "" {
				t.Errorf("another FluentCredential is held back: %s", why)
			}
		})
	}
}

func TestSeedsInALoopAreBounded(t *testing.T) {
	s := newStored(t)
	for i := range 4 * 60 {
		login := loginOf("looping", "")
		login.Seed = token.NewSecret(fmt.Sprint("seed-that-is-long-enough-", i))
		now := noon.Add(time.Duration(i) * time.Minute)
		if refusal, err := s.Take(t.Context(), login, now); err != nil {
			t.Fatal(err)
		} else if refusal == nil {
			if err := s.Spend(t.Context(), login); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := len(s.secrets()); got != MaxKept {
		t.Errorf("%d guards after 4 hours, want %d", got, MaxKept)
	}
	login := loginOf("looping", "")
	login.Seed = token.NewSecret("one-more-seed-that-is-long-enough")
	if refusal, err := s.Take(t.Context(), login, noon.Add(SeedMemory+24*time.Hour)); err != nil || refusal != nil {
		t.Errorf("held back when those before are long forgotten: %+v, %v", refusal, err)
	}
}

// TestGuardsThatHoldNothingAreRemoved: what counts stays, and what does not goes, at a deletion and in a sweep.
func TestGuardsThatHoldNothingAreRemoved(t *testing.T) {
	seed := loginOf("gone", "")
	seed.Seed = token.NewSecret("seed-that-is-long-enough")
	const day = 24 * time.Hour
	cases := map[string]struct {
		login   Login
		verdict token.Verdict
		after   time.Duration
		forget  bool // it stays when its FluentCredential is deleted
		sweep   bool // it stays in a sweep
		why     string
	}{
		"just refused":        {loginOf("gone", "a"), token.LoginRefused, 0, true, true, "it counts"},
		"lost":                {loginOf("gone", "b"), token.Unknown, Window, true, true, "the API may have refused it late"},
		"refused an hour ago": {loginOf("gone", "c"), token.LoginRefused, time.Hour, false, false, "nothing counts any more"},
		"granted":             {loginOf("gone", "d"), token.Granted, Window, false, false, "its FluentCredential is gone"},
		"granted, lives":      {loginOf("lives", "e"), token.Granted, day, true, true, "another FluentCredential could steal its token"},
		"a seed":              {seed, token.Granted, day, true, true, "one that is created anew would spend it again"},
		"a seed, long ago":    {seed, token.Granted, SeedMemory, true, false, "its family is long dead"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			s := newStored(t)
			if test.login.Seed.IsZero() {
				s.try(test.login, noon, test.verdict)
			} else if _, err := s.Take(t.Context(), test.login, noon); err != nil {
				t.Fatal(err)
			}
			now := noon.Add(test.after)
			if err := s.Forget(t.Context(), Owner{UID: "gone"}, now); err != nil {
				t.Fatal(err)
			}
			if stays := len(s.secrets()) == 1; stays != test.forget {
				t.Errorf("it stays at the deletion: %t, want %t: %s", stays, test.forget, test.why)
			}
			if err := s.Sweep(t.Context(), now, func(_ context.Context, o Owner) bool { return o.UID == "gone" }); err != nil {
				t.Fatal(err)
			}
			if stays := len(s.secrets()) == 1; stays != test.sweep {
				t.Errorf("it stays in the sweep: %t, want %t: %s", stays, test.sweep, test.why)
			}
		})
	}
}

// TestGuardOfALoginUnderWayIsNotRemoved: a login reserves an attempt between the sweep's look and its removal.
func TestGuardOfALoginUnderWayIsNotRemoved(t *testing.T) {
	s := newStored(t)
	s.try(loginOf("gone", "user"), noon, token.Granted)
	now := noon.Add(time.Hour)
	reserve := func(context.Context, Owner) bool {
		if _, err := s.Reserve(t.Context(), loginOf("gone", "user"), "later", now); err != nil {
			t.Fatal(err)
		}
		return true
	}
	if err := s.Sweep(t.Context(), now, reserve); err != nil {
		t.Fatal(err)
	}
	if len(s.secrets()) != 1 {
		t.Error("the attempt is forgotten")
	}
}

// TestClientsInALoopAreBounded: a FluentCredential whose client is changed in a loop does not fill a guard.
func TestClientsInALoopAreBounded(t *testing.T) {
	s, refused := newStored(t), 0
	for i := range maxUses + 8 {
		login := loginOf("looping", "user")
		login.Use.Client = fmt.Sprint("client-", i)
		if why := s.try(login, noon.Add(time.Duration(i)*time.Minute), token.Granted); why != "" {
			t.Fatalf("client %d is held back: %s", i, why)
		}
		seed := login
		seed.Seed = token.NewSecret("seed-that-is-long-enough")
		refusal, err := s.Take(t.Context(), seed, noon)
		if err != nil {
			t.Fatal(err)
		}
		if refusal != nil && refusal.Why == Paced {
			refused++
		}
	}
	if refused != 8 {
		t.Errorf("%d clients may not take the seed, want 8", refused)
	}
	k, err := s.know(t.Context(), loginOf("looping", "user"), noon)
	if err != nil || len(k.state.Uses) != formerLogins {
		t.Errorf("%d uses are remembered, want %d; error %v", len(k.state.Uses), formerLogins, err)
	}
}
