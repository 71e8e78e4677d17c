package controllers

import (
	"context"
	"testing"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/loginguard"
	"github.com/fluent-credential/operator/internal/token"
)

// TestUnitOneSpellingOfAnEndpoint: who spells the URL of one server in two ways would have two budgets at the login guard, and could
// be given the refresh token of the other.
func TestUnitOneSpellingOfAnEndpoint(t *testing.T) {
	const plain = "https://acme.sandbox.api.fluentretail.com"
	tests := map[string]struct {
		why  string
		url  v1alpha1.BaseURL
		same bool
	}{
		"as it is":           {"nothing differs", plain, true},
		"in capitals":        {"a host has no case", "https://ACME.Sandbox.api.fluentretail.com", true},
		"with its port":      {"443 is what https means", plain + ":443", true},
		"with an empty port": {"RFC 3986 section 6.2.3", plain + ":", true},
		"with a last dot":    {"the name of the same host", plain + "./", true},
		"with a slash":       {"the path follows it anyway", plain + "/", true},
		"another port":       {"another server", plain + ":8443", false},
		"another path":       {"another tenant, maybe", plain + "/other", false},
		"another scheme":     {"another server", "http://acme.sandbox.api.fluentretail.com", false},
		"a scheme's port":    {"80 is not what https means", plain + ":80", false},
	}
	want := spelledAs(t, plain)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := spelledAs(t, test.url); (got == want) != test.same {
				t.Errorf("%s, and the plain one is %s: %s", got, want, test.why)
			}
		})
	}
	if got := spelledAs(t, "https://[2001:DB8::1]:443"); got != "https://[2001:db8::1]/oauth/token" {
		t.Errorf("an address of IPv6 is spelled %s", got)
	}
}

func spelledAs(t *testing.T, url v1alpha1.BaseURL) string {
	t.Helper()
	s := newScene(t)
	s.cred.Spec.Provider = v1alpha1.ProviderSpec{Fluent: &v1alpha1.FluentProvider{BaseURL: url}}
	s.useSpec()
	return s.guarded().Endpoint
}

// guardedScene has a login guard in the Kubernetes API of the scene.
func guardedScene(t *testing.T) *scene {
	t.Helper()
	s := exchangeScene(t, grants)
	s.r.Guard = &loginguard.Guard{
		Reader: s.r.Live, Writer: s.r.Client, Namespace: "operator", Salt: custody.NewID,
		HasLeft: func(context.Context, loginguard.Use, loginguard.Login) bool { return false },
	}
	return s
}

// TestUnitGuardLearnsOfAnAbandonedClaim: a login that was claimed and proven unsent does not count, and a seed that was
// is there for another try. The process that made the claim can report neither any more.
func TestUnitGuardLearnsOfAnAbandonedClaim(t *testing.T) {
	t.Run("login", func(t *testing.T) {
		s := guardedScene(t)
		s.abandon(custody.Claim{ID: "claim", Grant: token.Password, Attempt: 1}, func(claim custody.Claim) (*loginguard.Refusal, error) {
			return s.r.Guard.Reserve(t.Context(), s.guarded(), claim.ID, s.now)
		})
		for range loginguard.Budget {
			if refusal, err := s.r.Guard.Reserve(t.Context(), s.guarded(), custody.NewID(), s.now); refusal != nil || err != nil {
				t.Errorf("a login that was never sent counts: %+v, %v", refusal, err)
			}
		}
	})
	t.Run("seed", func(t *testing.T) {
		s := guardedScene(t)
		s.login.Refresh = token.NewSecret(sceneSeed)
		claim := custody.Claim{
			ID: "claim", Grant: token.RefreshToken, Seed: true, Attempt: 1, Spends: s.login.Refresh.Hash(s.record.Salt),
		}
		try := &attempt{claim: claim, spends: s.login.Refresh}
		s.abandon(claim, func(custody.Claim) (*loginguard.Refusal, error) {
			return s.r.Guard.Take(t.Context(), s.observation.seeded(try), s.now)
		})
		if owner, err := s.r.Guard.OwnerOf(t.Context(), s.observation.seeded(try)); owner != nil || err != nil {
			t.Errorf("a seed that was never sent is taken: %+v, %v", owner, err)
		}
	})
}

// abandon takes a login or a seed, writes a claim for it and settles the claim, for which nothing was sent.
func (s *scene) abandon(claim custody.Claim, take func(custody.Claim) (*loginguard.Refusal, error)) {
	s.t.Helper()
	claim.Holder, claim.Started = custody.Holder{Pod: "pod", Start: "before"}, s.now
	if refusal, err := take(claim); refusal != nil || err != nil {
		s.t.Fatalf("%+v, %v", refusal, err)
	}
	record, err := s.r.Custody.Put(s.t.Context(), s.owner(), s.record, s.record.Claimed(claim, ""))
	if err != nil {
		s.t.Fatal(err)
	}
	s.record, s.memory.unsent = record, claim.ID
	if err := s.r.settle(s.t.Context(), s.observation); err != nil {
		s.t.Fatal(err)
	}
}
