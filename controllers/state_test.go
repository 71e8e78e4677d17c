package controllers

import (
	"bytes"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/internal/custody"
)

// state is the state Secret under its usual name.
func (d *driven) state() *corev1.Secret {
	d.t.Helper()
	return secret(d.t, d.cred.Namespace, custody.Names(d.cred.Name)[0])
}

func (d *driven) editState(change func(*corev1.Secret)) {
	d.t.Helper()
	edit(d.t, d.state(), change)
}

// giveSeed puts a new seed into the credentials Secret, as a person who authorized would.
func (d *driven) giveSeed() {
	d.t.Helper()
	seed := []byte(d.server.Seed(user, clientID))
	edit(d.t, secret(d.t, d.cred.Namespace, "orders-login"), func(login *corev1.Secret) { login.Data["refresh_token"] = seed })
}

func forge(state *corev1.Secret) {
	state.Data["state.json"] = bytes.Replace(state.Data["state.json"], []byte(`"refreshToken":"`), []byte(`"refreshToken":"forged`), 1)
}

func TestEditedStateIsNotTrusted(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	d.sleep(d.settle())
	d.editState(forge)
	d.settle()
	ledger := d.server.Ledger()
	if ledger.RefreshGrants != 0 || len(ledger.Presentations) != 0 {
		t.Errorf("a token of an edited state was presented: %v", ledger.Presentations)
	}
	if status := d.status(); status.Token.Serial != 2 || status.Summary.Reason != v1alpha1.ReasonTokenPublished {
		t.Errorf("serial %d, %s; want 2, by the password", status.Token.Serial, status.Summary.Reason)
	}
	d.mustHaveEvent("StateSecretEdited", "not used any more")
}

func TestEditedStateWithoutALoginAsksAPerson(t *testing.T) {
	t.Parallel()
	d := newDrivenWith(t, nil, func(login *corev1.Secret) {
		delete(login.StringData, "username")
		delete(login.StringData, "password")
	}, nil)
	d.settle()
	d.giveSeed()
	d.sleep(d.settle())
	before := d.state().Data["state.json"]
	d.editState(forge)
	d.settle()
	if got := d.status().Summary.Reason; got != v1alpha1.ReasonStateInvalid {
		t.Fatalf("says %s, want StateInvalid", got)
	}
	d.editState(func(state *corev1.Secret) { state.Data["state.json"] = before })
	d.settle()
	if status := d.status(); status.Token.Serial != 2 || d.server.Ledger().Reuses != 0 {
		t.Errorf("after the edit was undone: serial %d, %d reuses; want 2 and 0", status.Token.Serial, d.server.Ledger().Reuses)
	}
}

func TestRestoredStateIsDoubted(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	wait := d.settle()
	old := d.state().Data
	d.sleep(wait)
	d.sleep(d.settle())
	d.editState(func(state *corev1.Secret) { state.Data = old }) // an old backup, over two rotations
	d.settle()
	ledger := d.server.Ledger()
	if ledger.Reuses != 0 {
		t.Errorf("the old refresh token was presented %d times although the login could be used", ledger.Reuses)
	}
	if serial := d.status().Token.Serial; serial != 3 {
		t.Errorf("serial %d, want 3: it never goes back", serial)
	}
}

func TestLostReplyPolicies(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		policy    v1alpha1.LostReplyPolicy
		seedOnly  bool
		processed bool // whether the server had spent the token when its reply was lost
		reason    string
		presented int // of the token whose reply was lost
		passwords int
		why       string
	}{
		"Auto with a password":           {v1alpha1.LostReplyAuto, false, true, v1alpha1.ReasonTokenPublished, 1, 2, "the login starts a new family; the doubtful token stays in the drawer"},
		"Auto without, spent":            {v1alpha1.LostReplyAuto, true, true, v1alpha1.ReasonReauthorizationRequired, 2, 0, "one late try, then a person: the bound of two generals"},
		"Auto without, not spent":        {v1alpha1.LostReplyAuto, true, false, v1alpha1.ReasonTokenPublished, 2, 0, "the late try works"},
		"Retry, not spent":               {v1alpha1.LostReplyRetry, true, false, v1alpha1.ReasonTokenPublished, 2, 0, "the second try comes at once"},
		"Retry, spent, with a password":  {v1alpha1.LostReplyRetry, false, true, v1alpha1.ReasonTokenPublished, 2, 2, "no grace: the login helps"},
		"Reauthenticate":                 {v1alpha1.LostReplyReauthenticate, false, false, v1alpha1.ReasonTokenPublished, 1, 2, "never presented again"},
		"Reauthenticate without a login": {v1alpha1.LostReplyReauthenticate, true, false, v1alpha1.ReasonReauthorizationRequired, 1, 0, "never presented again, so a person"},
		"Stop":                           {v1alpha1.LostReplyStop, false, false, v1alpha1.ReasonReplyLost, 1, 1, "the user wants to be asked"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newChain(t, test.policy, test.seedOnly)
			d.sleep(d.settle())
			kind := "drop-before"
			if test.processed {
				kind = "drop-after"
			}
			d.server.AddFault(fault(t, "every x1: "+kind))
			d.settle()
			d.runFor(2 * time.Minute)
			if got := d.status().Summary.Reason; got != test.reason {
				t.Errorf("says %s, want %s (%s)", got, test.reason, test.why)
			}
			ledger := d.server.Ledger()
			if got := mostPresented(ledger); got != test.presented {
				t.Errorf("the token whose reply was lost was presented %d times, want %d (%s)", got, test.presented, test.why)
			}
			if got := ledger.RequestsOf(authsim.GrantPassword); got != test.passwords {
				t.Errorf("the password was used %d times, want %d (%s)", got, test.passwords, test.why)
			}
		})
	}
}

// newChain is a credential with a policy whose chain begins with a password or with a seed.
func newChain(t *testing.T, policy v1alpha1.LostReplyPolicy, seedOnly bool) *driven {
	t.Helper()
	d := newDrivenWith(t, nil, func(login *corev1.Secret) {
		if seedOnly {
			delete(login.StringData, "username")
			delete(login.StringData, "password")
		}
	}, func(cred *v1alpha1.FluentCredential) { cred.Spec.Refresh.OnLostReply = policy })
	if seedOnly {
		d.giveSeed()
	}
	return d
}

// runFor makes passes, whenever one is wanted, for a span of the turned clock.
func (d *driven) runFor(span time.Duration) {
	d.t.Helper()
	for end := d.clock.Now().Add(span); d.clock.Now().Before(end); {
		wait := d.settle()
		if wait == 0 {
			return
		}
		d.sleep(wait)
	}
}

func mostPresented(ledger authsim.Ledger) int {
	most := 0
	for _, presented := range ledger.Presentations {
		most = max(most, presented)
	}
	return most
}
