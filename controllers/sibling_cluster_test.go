package controllers

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/internal/custody"
)

// untilSeen waits until the cache shows a Secret as it is.
func (g *gated) untilSeen(name string) {
	g.t.Helper()
	eventually(g.t, "the cache is not behind", func() (bool, any) {
		found, cached := &corev1.Secret{}, secretMetadata()
		key := client.ObjectKey{Namespace: g.cred.Namespace, Name: name}
		err, other := live.Get(g.t.Context(), key, found), g.Client.Get(g.t.Context(), key, cached)
		if apierrors.IsNotFound(err) && apierrors.IsNotFound(other) {
			return true, nil
		}
		return err == nil && other == nil && found.ResourceVersion == cached.ResourceVersion, other
	})
}

// TestSiblingSomebodyUndoesEachPublication: another controller has other wishes, and is as quick as this one. Nothing is
// spent, the writes are few, a person is told, and it is over when the other one stops.
func TestSiblingSomebodyUndoesEachPublication(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why  string
		undo func(*testing.T, *corev1.Secret)
	}{
		"takes the serial away": {"as one that prunes annotations it does not know", edited(func(s *corev1.Secret) {
			delete(s.Annotations, v1alpha1.SerialAnnotation)
		})},
		"has a token of its own": {"as one that syncs a repository", edited(func(s *corev1.Secret) {
			s.Data["access_token"] = []byte("theirs")
		})},
		"deletes it": {"as one that cleans up", remove},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, writes := newGated(t, newDriven(t, longLived)), 0
			g.settle()
			g.gate.after = func(_ string, o client.Object) {
				if o.GetName() == "orders-token" {
					writes++
				}
			}
			round := func() {
				if target := get(t, &corev1.Secret{}, g.cred.Namespace, "orders-token"); target.Name != "" {
					test.undo(t, target)
				}
				g.untilSeen("orders-token")
				g.tryPass()
				g.untilSeen("orders-token")
			}
			for range 30 {
				round() // each change is an event, which makes a pass at once
			}
			for end := g.clock.Now().Add(5 * time.Minute); g.clock.Now().Before(end); g.sleep(2 * time.Second) {
				round()
			}
			if writes > 45 {
				t.Errorf("%d writes in five minutes (%s)", writes, test.why)
			}
			const says = "Secret orders-token is changed or deleted by somebody else whenever it is published"
			g.mustSay(v1alpha1.ConditionReady, "False PublishFailed", says)
			g.mustHaveEvent(v1alpha1.ReasonPublishFailed, says)
			g.live(90 * time.Second)
			g.mustSay(v1alpha1.ConditionReady, "True TokenPublished", "")
			if requests := g.server.Ledger().Requests; requests != 1 {
				t.Errorf("%d requests to the token host, want the login", requests)
			}
		})
	}
}

// lossy is a client whose writes are made, and whose answers are lost.
type lossy struct {
	client.Client
	only func(client.Object) bool // nil: none is lost
}

func (l *lossy) after(o client.Object, err error) error {
	if err == nil && l.only != nil && l.only(o) {
		return apierrors.NewTimeoutError("request did not complete within requested timeout", 1)
	}
	return err
}

func (l *lossy) Create(ctx context.Context, o client.Object, options ...client.CreateOption) error {
	return l.after(o, l.Client.Create(ctx, o, options...))
}

func (l *lossy) Update(ctx context.Context, o client.Object, options ...client.UpdateOption) error {
	return l.after(o, l.Client.Update(ctx, o, options...))
}

func (l *lossy) Patch(ctx context.Context, o client.Object, patch client.Patch, options ...client.PatchOption) error {
	return l.after(o, l.Client.Patch(ctx, o, patch, options...))
}

// TestSiblingAnswersThatAreLost: for ten minutes a proxy gives up before the API server answers. All that was asked for
// is done: tokens are rotated and published as ever, and no attempt is counted twice by the login guard.
func TestSiblingAnswersThatAreLost(t *testing.T) {
	t.Parallel()
	for name, only := range map[string]func(client.Object) bool{
		"of all Secrets": func(o client.Object) bool { _, is := o.(*corev1.Secret); return is },
		"of the target":  func(o client.Object) bool { return o.GetName() == "orders-token" },
		"of the state":   isStateSecret,
		"of the guard":   func(o client.Object) bool { return strings.HasPrefix(o.GetName(), "fluent-credential-login-") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGated(t, newGuarded(t, nil, true))
			g.gate.Client = &lossy{Client: g.gate.Client, only: only}
			g.live(10 * time.Minute)
			g.mustSay(v1alpha1.ConditionReady, "True TokenPublished", "")
			ledger := g.server.Ledger()
			if ledger.Reuses != 0 || ledger.RequestsOf(authsim.GrantPassword) != 1 || ledger.RefreshGrants < 20 {
				t.Errorf("%d reuses, %d logins, %d rotations", ledger.Reuses, ledger.RequestsOf(authsim.GrantPassword), ledger.RefreshGrants)
			}
		})
	}
}

// TestSiblingForeignSecretWithTheNameOfAGuard: nothing is written over it, no login is tried uncounted, and it is over
// when it is moved.
func TestSiblingForeignSecretWithTheNameOfAGuard(t *testing.T) {
	t.Parallel()
	g := newGated(t, newGuarded(t, longLived, true))
	g.settle()
	guard := g.guardSecret()
	remove(t, guard)
	create(t, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: guard.Namespace, Name: guard.Name}, Data: map[string][]byte{"theirs": []byte("1")},
	})
	g.forceState()
	g.memory = newMemory()
	requests := g.server.Ledger().Requests
	g.live(10 * time.Minute)
	g.mustSay(v1alpha1.ConditionStalled, "True StateUnwritable", "a Secret that is not the operator's has the name of the login guard")
	foreign := secret(t, guard.Namespace, guard.Name)
	if sent := g.server.Ledger().Requests - requests; string(foreign.Data["theirs"]) != "1" || len(foreign.Data) != 1 || sent != 0 {
		t.Errorf("it has %d entries, and %d requests were sent", len(foreign.Data), sent)
	}
	remove(t, foreign)
	g.live(90 * time.Second)
	g.mustSay(v1alpha1.ConditionReady, "True TokenPublished", "")
}

// TestSiblingOthersHoldTheObjectBack: it was released, and a finalizer of others keeps it. Nothing is begun for it.
func TestSiblingOthersHoldTheObjectBack(t *testing.T) {
	t.Parallel()
	g := newGated(t, newGuarded(t, nil, true))
	g.settle()
	edit(t, g.cred, func(c *v1alpha1.FluentCredential) { c.Finalizers = append(c.Finalizers, theirFinalizer) })
	if err := live.Delete(t.Context(), g.cred.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	g.live(time.Minute)
	requests := g.server.Ledger().Requests
	edit(t, g.cred, func(c *v1alpha1.FluentCredential) { metav1.SetMetaDataLabel(&c.ObjectMeta, "theirs", "1") })
	for range 5 {
		if wait := g.tryPass(); wait != 0 {
			t.Errorf("another pass after %s", wait)
		}
		g.sleep(time.Minute)
	}
	g.mustSay(v1alpha1.ConditionReady, "False Progressing it is being deleted", "")
	left := reread(t, g.cred)
	if sent := g.server.Ledger().Requests - requests; sent != 0 || len(left.Finalizers) != 1 || left.Finalizers[0] != theirFinalizer {
		t.Errorf("%d requests, finalizers %q", sent, left.Finalizers)
	}
	for _, name := range custody.Names(g.cred.Name) {
		if state := get(t, &corev1.Secret{}, g.cred.Namespace, name); state.Name != "" {
			t.Errorf("there is a state again: %s", name)
		}
	}
	edit(t, g.cred, func(c *v1alpha1.FluentCredential) { c.Finalizers = nil })
}

// TestSiblingDeletionThatCannotSee: a right to read is missing while the object is to go. It says so, and goes when it
// can.
func TestSiblingDeletionThatCannotSee(t *testing.T) {
	t.Parallel()
	for _, name := range []string{custody.Names("orders")[0], "orders-login", "orders-token"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGated(t, newGuarded(t, nil, true))
			g.settle()
			eyes := &blind{Reader: g.Live, cannot: func(read string) bool { return read == name }}
			g.Live, g.Custody.Reader, g.memory = eyes, eyes, newMemory()
			if err := live.Delete(t.Context(), g.cred.DeepCopy()); err != nil {
				t.Fatal(err)
			}
			g.live(10 * time.Minute)
			g.mustSay(v1alpha1.ConditionReady, "False TokenExpired", name+": Forbidden")
			g.mustSay(v1alpha1.ConditionStalled, "True StateUnwritable", name+": Forbidden")
			eyes.cannot = nil
			g.live(90 * time.Second)
			if left := reread(t, g.cred); left.Name != "" {
				t.Errorf("the deletion hangs: %v", left.Finalizers)
			}
		})
	}
}

// TestSiblingPolicyThatRepeatsTheToken: what helps is said, the token is not.
func TestSiblingPolicyThatRepeatsTheToken(t *testing.T) {
	t.Parallel()
	g := newGated(t, newDriven(t, longLived))
	name := "echo-" + g.cred.Namespace
	create(t, &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{
				ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: secretWrites}},
			},
			Validations: []admissionv1.Validation{{
				Expression:        "object.type != 'Opaque'",
				MessageExpression: "'a token like ' + string(object.data['access_token']) + ' may not be here: ask the team of the shop'",
			}},
		},
	})
	create(t, &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
			MatchResources: &admissionv1.MatchResources{NamespaceSelector: inNamespace(g.cred.Namespace)},
		},
	})
	t.Cleanup(func() {
		for _, object := range []client.Object{&admissionv1.ValidatingAdmissionPolicyBinding{}, &admissionv1.ValidatingAdmissionPolicy{}} {
			object.SetName(name)
			if err := live.Delete(context.Background(), object); err != nil {
				t.Error(err)
			}
		}
	})
	mustForbid(t, g.cred.Namespace)
	g.live(20 * time.Second)
	const says = " may not be here: ask the team of the shop"
	g.mustSay(v1alpha1.ConditionReady, "False PublishFailed Secret orders-token cannot be written: ", says)
	g.mustSay(v1alpha1.ConditionReady, "False PublishFailed", "a token like [redacted]")
	g.mustHaveEvent(v1alpha1.ReasonPublishFailed, says)
}

// TestSiblingNoTokenOfAnotherIsALogin: who may write a FluentCredential chooses the host, and may not have another's
// access token sent there.
func TestSiblingNoTokenOfAnotherIsALogin(t *testing.T) {
	t.Parallel()
	d := newDriven(t, longLived)
	d.settle()
	url, opened := newDoor(t)
	second := credential(d.cred.Namespace, "second", d.server)
	second.Spec.Provider = v1alpha1.ProviderSpec{OAuth2: &v1alpha1.OAuth2Provider{TokenURL: v1alpha1.TokenURL(url)}}
	second.Spec.CredentialsSecretRef = v1alpha1.CredentialsSecretReference{
		Name: "orders-token", Keys: map[string]v1alpha1.SecretKey{"client_id": "token_type", "client_secret": "access_token"},
	}
	create(t, second)
	d.cred = second
	for range 5 {
		d.pass()
	}
	if says := d.says(v1alpha1.ConditionReady); opened.Load() != 0 || !strings.HasPrefix(says, "False ReferenceNotAllowed") {
		t.Errorf("%d connections, and it says %s", opened.Load(), says)
	}
}

// TestSiblingShorterLifeIsHeededAtOnce: a person was told that the life may be in another unit, and sets what helps.
func TestSiblingShorterLifeIsHeededAtOnce(t *testing.T) {
	t.Parallel()
	d := newDriven(t, longLived)
	d.settle()
	d.sleep(2 * time.Hour)
	edit(t, d.cred, func(c *v1alpha1.FluentCredential) {
		c.Spec.Refresh.MaximumLifetime = &metav1.Duration{Duration: time.Hour}
	})
	d.settle()
	status := d.status()
	if left := status.Token.ExpirationTime.Sub(d.clock.Now()); status.Token.Serial != 2 || left > time.Hour {
		t.Errorf("serial %d, which expires in %s", status.Token.Serial, left)
	}
	d.sleep(time.Minute)
	d.settle()
	if serial := d.status().Token.Serial; serial != 2 {
		t.Errorf("serial %d a minute later", serial)
	}
}

// TestSiblingDirectoryOfTheJournalIsGone: as where a volume was unmounted under a running process.
func TestSiblingDirectoryOfTheJournalIsGone(t *testing.T) {
	t.Parallel()
	d, dir := newDriven(t, nil), t.TempDir()
	d.journalIn(dir)
	g := newGated(t, d)
	g.sleep(g.settle())
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	requests, since := g.server.Ledger().Requests, g.clock.Now()
	g.live(10 * time.Minute)
	g.mustSay(v1alpha1.ConditionReady, "False TokenExpired", "no such file or directory")
	if sent := g.server.Ledger().Requests - requests; sent != 0 {
		t.Errorf("%d requests", sent)
	}
	g.mustDialSeldom(since)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	g.live(90 * time.Second)
	g.mustSay(v1alpha1.ConditionReady, "True TokenPublished", "")
	mustRotateCleanly(t, g.server.Ledger(), 1)
}
