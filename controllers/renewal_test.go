package controllers

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/internal/custody"
)

// TestEditOfTheLeadActsOnThePresentToken: its refresh moves at once, without a request, and moves back with the edit.
func TestEditOfTheLeadActsOnThePresentToken(t *testing.T) {
	t.Parallel()
	d := newDriven(t, func(config *authsim.Config) { config.AccessTokenLifetime = time.Hour })
	d.settle()
	stored := d.status()
	lead := func(refresh v1alpha1.RefreshSpec) time.Duration {
		cred := reread(t, d.cred)
		cred.Spec.Refresh = refresh
		if err := live.Update(t.Context(), cred); err != nil {
			t.Fatal(err)
		}
		d.settle()
		status := d.status()
		return status.Token.ExpirationTime.Sub(status.NextRefreshTime.Time)
	}
	percent := int32(50)
	whole := d.status().Token.ExpirationTime.Sub(stored.NextRefreshTime.Time)
	late := lead(v1alpha1.RefreshSpec{Before: &metav1.Duration{Duration: 2 * time.Minute}})
	half := lead(v1alpha1.RefreshSpec{BeforePercentage: &percent})
	again := lead(v1alpha1.RefreshSpec{})
	if late >= whole || late < 2*time.Minute || half <= whole || again != whole {
		t.Errorf("refreshed %s before the expiry; with 2 minutes %s, with 50 %% %s, and then again %s", whole, late, half, again)
	}
	if requests := d.server.Ledger().RequestsOf(authsim.GrantPassword) + d.server.Ledger().RefreshGrants; requests != 1 {
		t.Errorf("%d requests, want the first login alone", requests)
	}
	d.sleep(20 * time.Minute) // half of the life, less the draw, is over in 10 more
	wait := d.settle()
	lead(v1alpha1.RefreshSpec{BeforePercentage: &percent})
	d.sleep(wait)
	d.settle()
	if serial := d.status().Token.Serial; serial != 2 {
		t.Errorf("serial %d after the moment that the new lead asks for, want 2", serial)
	}
}

func TestUnitTokenOfAnOlderVersionKeepsItsMoment(t *testing.T) {
	s := newScene(t)
	s.cred.Spec.Refresh.Before = &metav1.Duration{Duration: time.Minute}
	if got := s.refreshAt(); !got.Equal(s.record.Token.Refresh) {
		t.Errorf("due at %s, and stored is %s: there is no draw to make it from", got, s.record.Token.Refresh)
	}
	s.record.Token.Schedule = &custody.Schedule{Draw: 0.5}
	if got := s.refreshAt(); got.Equal(s.record.Token.Refresh) {
		t.Error("another lead does not move it")
	}
	s.api = nil
	if got := s.refreshAt(); !got.Equal(s.record.Token.Refresh) {
		t.Error("a spec without an API moves it")
	}
}

// TestLateReplyWaitsForNoTurn: another process stored a token, and the workloads must not wait for a turn of the token host to get it.
func TestLateReplyWaitsForNoTurn(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change func(*corev1.Secret)
		held   bool
		why    string
	}{
		"nothing":        {nil, true, "its turn has not come, and nothing is new"},
		"a late reply":   {func(s *corev1.Secret) { s.Annotations[v1alpha1.LateReplyAnnotation] = "claim" }, false, "there is something to publish"},
		"somebody's own": {func(s *corev1.Secret) { s.Labels["theirs"] = "1" }, false, "the state may have been edited"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDriven(t, nil)
			d.settle()
			cred := reread(t, d.cred)
			memory := d.memory.of(client.ObjectKeyFromObject(cred), cred.UID)
			state, now := d.state(), d.clock.Now()
			memory.expected = forecast{
				from: now, expires: now.Add(time.Hour), lane: living, told: true, state: state.ResourceVersion,
				generation: cred.Generation, rotate: cred.Rotate(),
			}
			d.Hosts = NewHosts(1)
			seen, err := d.observe(t.Context(), cred, memory)
			if err != nil || !d.Hosts.Take(hostOf(seen.api), waiter{key: types.NamespacedName{Name: "another"}}, now) {
				t.Fatal(err)
			}
			if d.holdBack(t.Context(), cred, memory) == 0 {
				t.Fatal("it is not held back at all")
			}
			if test.change != nil {
				d.editState(test.change)
				d.untilCached(d.state())
			}
			if wait := d.holdBack(t.Context(), cred, memory); (wait > 0) != test.held {
				t.Errorf("held back for %s: %s", wait, test.why)
			}
		})
	}
}

// untilCached waits until the cache shows this version of a Secret.
func (d *driven) untilCached(secret *corev1.Secret) {
	d.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		cached := secretMetadata()
		if err := d.Client.Get(d.t.Context(), client.ObjectKeyFromObject(secret), cached); err == nil && cached.ResourceVersion == secret.ResourceVersion {
			return
		}
	}
	d.t.Fatal("the cache never shows the Secret")
}
