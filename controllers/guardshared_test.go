package controllers

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/internal/loginguard"
)

// withOwnLogin creates another FluentCredential with a credentials Secret of its own, and drives that from now on. It returns the former one.
func (d *driven) withOwnLogin(name string, change func(*corev1.Secret, *v1alpha1.FluentCredential)) *v1alpha1.FluentCredential {
	d.t.Helper()
	former := d.cred
	login, cred := loginSecret(former.Namespace, name+"-login"), credential(former.Namespace, name, d.server)
	cred.Spec.CredentialsSecretRef.Name = login.Name
	change(login, cred)
	create(d.t, login)
	create(d.t, cred)
	d.cred = cred
	return former
}

// asOAuth2 asks at the same endpoint, with a query.
func asOAuth2(cred *v1alpha1.FluentCredential, query string) {
	url := v1alpha1.TokenURL(cred.Spec.Provider.Fluent.BaseURL)
	cred.Spec.Provider = v1alpha1.ProviderSpec{OAuth2: &v1alpha1.OAuth2Provider{TokenURL: url + "/oauth/token" + v1alpha1.TokenURL(query)}}
}

// TestSpellingsOfOneUserShareTheBudget (I4): the API locks one user, however FluentCredentials write its name and the token URL.
func TestSpellingsOfOneUserShareTheBudget(t *testing.T) {
	t.Parallel()
	for name, spell := range map[string]func(int, *corev1.Secret, *v1alpha1.FluentCredential){
		"token URL": func(i int, _ *corev1.Secret, cred *v1alpha1.FluentCredential) {
			asOAuth2(cred, fmt.Sprint("?x=", i))
		},
		"user name": func(i int, login *corev1.Secret, _ *v1alpha1.FluentCredential) {
			login.StringData["username"] = []string{user + " ", user + "\u00a0", "\u3000" + user, strings.ToUpper(user)}[i]
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newGuarded(t, nil, false)
			d.settle()
			for i := range 4 {
				d.withOwnLogin(fmt.Sprint("spelling-", i), func(login *corev1.Secret, cred *v1alpha1.FluentCredential) {
					login.StringData["password"] = fmt.Sprint(wrongPassword, i)
					spell(i, login, cred)
				})
				d.settle()
			}
			if got := d.status().Summary; got.Reason != v1alpha1.ReasonLoginLocked {
				t.Errorf("the last one says %s: %s", got.Reason, got.Message)
			}
			if requests := d.server.Ledger().Requests; requests != loginguard.Budget {
				t.Errorf("%d logins were refused at one moment, want %d", requests, loginguard.Budget)
			}
		})
	}
}

// TestRefusedLoginIsNotTaken: a stranger names a user with a wrong password before the user's owner logs in.
func TestRefusedLoginIsNotTaken(t *testing.T) {
	t.Parallel()
	d := newGuarded(t, nil, false)
	d.settle()
	stranger := d.withOwnLogin("owner", func(*corev1.Secret, *v1alpha1.FluentCredential) {})
	d.settle()
	if got := d.status().Summary; got.Reason != v1alpha1.ReasonTokenPublished {
		t.Fatalf("who knows the password says %s: %s", got.Reason, got.Message)
	}
	owner := d.cred
	d.cred = stranger
	d.setLogin(func(login map[string][]byte) { login["password"] = []byte(password) })
	d.settle()
	if got := d.status().Summary; got.Reason != v1alpha1.ReasonLoginInUse {
		t.Errorf("who was refused first says %s: %s", got.Reason, got.Message)
	}
	d.cred = owner
	if got := d.status().Summary; got.Reason != v1alpha1.ReasonTokenPublished {
		t.Errorf("the owner says %s: %s", got.Reason, got.Message)
	}
}

// TestStrangersDoNotLockOutTheOwner: those who name the user of a working FluentCredential with wrong passwords, again and again, leave
// it one of the two logins.
func TestStrangersDoNotLockOutTheOwner(t *testing.T) {
	t.Parallel()
	d := newGuarded(t, func(config *authsim.Config) { config.Users[0].NoRefreshTokens = true }, true)
	d.settle()
	owner := d.cred
	var strangers []*v1alpha1.FluentCredential
	for i := range 3 {
		d.withOwnLogin(fmt.Sprint("stranger-", i), func(login *corev1.Secret, cred *v1alpha1.FluentCredential) {
			login.StringData["password"] = fmt.Sprint(wrongPassword, i)
			cred.Spec.Scope = ""
		})
		strangers = append(strangers, d.cred)
	}
	for end := d.clock.Now().Add(48 * time.Hour); d.clock.Now().Before(end); d.sleep(10 * time.Minute) {
		for _, d.cred = range strangers {
			d.pass()
		}
		d.cred = owner
		d.settle()
		if got := d.status().Summary; got.Reason != v1alpha1.ReasonTokenPublished {
			t.Fatalf("the owner says %s: %s", got.Reason, got.Message)
		}
	}
	if most := mostRefusedWithin(d.server.Ledger(), loginguard.Window); most != loginguard.Others {
		t.Errorf("%d logins of strangers were refused in 20 minutes, want %d", most, loginguard.Others)
	}
}

// TestGuardOfAFormerSpellingIsFound: an upgrade forgets neither the refused logins of a user whose name or token URL an earlier version
// took as written, nor who has the login.
func TestGuardOfAFormerSpellingIsFound(t *testing.T) {
	t.Parallel()
	d := newGuarded(t, nil, true)
	d.change(func(cred *v1alpha1.FluentCredential) { asOAuth2(cred, "?x=1") })
	d.settle()
	if got := d.status().Summary; got.Reason != v1alpha1.ReasonTokenPublished {
		t.Fatalf("%s: %s", got.Reason, got.Message)
	}
	guard := d.guardSecret()
	former := guard.DeepCopy()
	endpoint := d.server.URL + "/oauth/token?x=1"
	sum := sha256.Sum256([]byte(endpoint + "\x00" + user))
	former.ObjectMeta = metav1.ObjectMeta{
		Namespace: guard.Namespace, Name: fmt.Sprintf("fluent-credential-login-%x", sum[:16]), Labels: guard.Labels,
	}
	former.Data["guard.json"] = bytes.Replace(guard.Data["guard.json"], []byte(`"query":"x=1",`), nil, 1)
	if err := live.Delete(t.Context(), guard); err != nil {
		t.Fatal(err)
	}
	create(t, former)
	d.withOwnLogin("second", func(_ *corev1.Secret, cred *v1alpha1.FluentCredential) { asOAuth2(cred, "?x=1") })
	d.settle()
	if got := d.status().Summary; got.Reason != v1alpha1.ReasonLoginInUse {
		t.Errorf("another one with that login says %s: %s", got.Reason, got.Message)
	}
	if now := d.guardSecret(); now.Name != guard.Name {
		t.Errorf("the login guard is %s, want %s only", now.Name, guard.Name)
	}
}

// TestLoginsOfOneCredentialArePaced: one FluentCredential whose user name is changed in a loop makes few login guards, and none of them
// outlives it for long.
func TestLoginsOfOneCredentialArePaced(t *testing.T) {
	t.Parallel()
	d := newGuarded(t, nil, false)
	for i := range 3 * loginguard.MaxNew {
		d.setLogin(func(login map[string][]byte) { login["username"] = fmt.Appendf(nil, "user-%d", i) })
		d.settle()
	}
	if got := d.status().Summary; got.Reason != v1alpha1.ReasonLoginLocked || !strings.Contains(got.Message, "new logins") {
		t.Errorf("it says %s: %s", got.Reason, got.Message)
	}
	if guards := d.guardSecrets(); len(guards) != loginguard.MaxNew {
		t.Errorf("%d login guards, want %d", len(guards), loginguard.MaxNew)
	}
	d.sleep(loginguard.Window)
	d.settle()
	if got := d.status().Summary; got.Reason != v1alpha1.ReasonCredentialsRejected {
		t.Errorf("after the window it says %s: %s", got.Reason, got.Message)
	}
	if err := live.Delete(t.Context(), d.cred); err != nil {
		t.Fatal(err)
	}
	d.pass()
	d.sleep(2 * loginguard.Window)
	if err := d.Guard.Sweep(t.Context(), d.clock.Now(), d.hasGone); err != nil {
		t.Fatal(err)
	}
	if guards := d.guardSecrets(); len(guards) != 0 {
		t.Errorf("%d login guards outlive their FluentCredential", len(guards))
	}
}

// TestGuardOfADeletedCredentialGoes: a login that was granted counts no more when its FluentCredential is deleted.
func TestGuardOfADeletedCredentialGoes(t *testing.T) {
	t.Parallel()
	d := newGuarded(t, nil, true)
	d.settle()
	d.sleep(loginguard.Window)
	if err := d.Guard.Sweep(t.Context(), d.clock.Now(), d.hasGone); err != nil {
		t.Fatal(err)
	}
	if guards := d.guardSecrets(); len(guards) != 1 {
		t.Fatalf("%d login guards while it lives, want one", len(guards))
	}
	if err := live.Delete(t.Context(), d.cred); err != nil {
		t.Fatal(err)
	}
	d.pass()
	if guards := d.guardSecrets(); len(guards) != 0 {
		t.Errorf("%d login guards, want none", len(guards))
	}
}

func (d *driven) guardSecrets() []corev1.Secret {
	d.t.Helper()
	var all corev1.SecretList
	ofGuards := client.MatchingFields{"type": v1alpha1.GuardSecretType}
	if err := live.List(d.t.Context(), &all, client.InNamespace(d.Guard.Namespace), ofGuards); err != nil {
		d.t.Fatal(err)
	}
	return all.Items
}
