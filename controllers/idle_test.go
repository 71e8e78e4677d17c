package controllers

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// months is a server whose access tokens outlive its refresh tokens by far.
func months(config *authsim.Config) {
	config.AccessTokenLifetime, config.RefreshTokenLifetime = 90*24*time.Hour, 14*24*time.Hour
}

// TestIdleRefreshTokenIsRotated: nothing but the refresh token is due, again and again, and each time for three days there is nobody
// to ask. The password is used once, to begin with.
func TestIdleRefreshTokenIsRotated(t *testing.T) {
	t.Parallel()
	told := api{dialect: authsim.DialectOAuth2, asks: func(cred *v1alpha1.FluentCredential) {
		standard(cred)
		cred.Spec.Provider.OAuth2.RefreshTokenLifetime = &metav1.Duration{Duration: 14 * 24 * time.Hour}
	}}
	for name, of := range map[string]api{"documented": apis["commerceLayer"], "told by the user": told} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newSpeaking(t, of, months, nil)
			wait := d.settle()
			for rotation := range 6 {
				if days := wait.Hours() / 24; days != 10.5 {
					t.Fatalf("rotation %d: the refresh token is used after %.1f days, want 10.5", rotation, days)
				}
				d.server.AddFault(fault(t, "every: server-error 503 600"))
				d.sleep(wait)
				for begun := d.clock.Now(); d.clock.Now().Sub(begun) < 72*time.Hour; {
					d.sleep(max(d.settle(), 6*time.Hour))
				}
				d.server.ClearFaults()
				wait = d.settle()
				d.mustBeAlive()
			}
			if got := d.server.Ledger(); got.PasswordGrants != 1 || got.RefreshGrants != 6 {
				t.Errorf("%d logins and %d refreshes, want 1 and 6", got.PasswordGrants, got.RefreshGrants)
			}
		})
	}
}

// TestIdleRefreshTokenDiesWithoutTheRule shows what it is for: a server that has an end which nobody told of.
func TestIdleRefreshTokenDiesWithoutTheRule(t *testing.T) {
	t.Parallel()
	d := newSpeaking(t, apis["oauth2 Basic"], months, nil)
	d.sleep(d.settle())
	d.settle()
	if got := d.server.Ledger(); got.RefreshGrants != 0 || got.PasswordGrants != 2 {
		t.Errorf("%d refreshes and %d logins; the refresh token was to be dead, and the password to help", got.RefreshGrants, got.PasswordGrants)
	}
	if !meta.IsStatusConditionTrue(d.status().Conditions, v1alpha1.ConditionReady) {
		t.Errorf("Ready is not True: %+v", d.status().Conditions)
	}
}
