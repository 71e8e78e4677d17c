package controllers

import (
	"context"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
)

func retain(cred *v1alpha1.FluentCredential) {
	cred.Spec.Target.DeletionPolicy = v1alpha1.DeletionRetain
}

const theirFinalizer = "example.com/theirs"

// addTheirs is what others put into a target Secret: everything that they can.
func addTheirs(t *testing.T, target *corev1.Secret) {
	t.Helper()
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: target.Namespace, Name: "theirs"}}
	create(t, config)
	edit(t, target, func(s *corev1.Secret) {
		s.Labels["theirs"], s.Annotations["theirs"], s.Data["theirs"] = "1", "1", []byte("1")
		s.Finalizers = append(s.Finalizers, theirFinalizer)
		s.OwnerReferences = append(s.OwnerReferences,
			metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: config.Name, UID: config.UID},
			metav1.OwnerReference{
				APIVersion: v1alpha1.GroupVersion.String(), Kind: "FluentCredential", Name: "another", UID: "another",
			})
	})
	t.Cleanup(func() {
		left, ctx := &corev1.Secret{}, context.Background()
		if live.Get(ctx, client.ObjectKeyFromObject(target), left) == nil {
			left.Finalizers = nil
			_ = live.Update(ctx, left)
		}
	})
}

// mustKeepTheirs fails the test unless all that addTheirs added is there, beside what this operator publishes.
func mustKeepTheirs(t *testing.T, target *corev1.Secret, serial int64) {
	t.Helper()
	lost := func(what string, there bool) {
		if !there {
			t.Errorf("lost: %s", what)
		}
	}
	lost("a label", target.Labels["theirs"] == "1")
	lost("an annotation", target.Annotations["theirs"] == "1")
	lost("a key", string(target.Data["theirs"]) == "1")
	lost("a finalizer", slices.Contains(target.Finalizers, theirFinalizer))
	for _, owner := range []string{"theirs", "another"} {
		isThere := func(o metav1.OwnerReference) bool { return o.Name == owner }
		lost("the owner "+owner, slices.ContainsFunc(target.OwnerReferences, isThere))
	}
	lost("our owner", metav1.GetControllerOf(target) != nil)
	lost("our token", len(target.Data["access_token"]) > 0)
	if got := serialOf(target); got < serial {
		t.Errorf("serial %d, want %d at least", got, serial)
	}
}

// recreate deletes the FluentCredential and applies it again, as a person does who corrects something by this.
func (d *driven) recreate(change func(*v1alpha1.FluentCredential)) {
	d.t.Helper()
	again := &v1alpha1.FluentCredential{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.cred.Namespace, Name: d.cred.Name},
		Spec:       *reread(d.t, d.cred).Spec.DeepCopy(),
	}
	if err := live.Delete(d.t.Context(), reread(d.t, d.cred)); err != nil {
		d.t.Fatal(err)
	}
	eventually(d.t, "it is gone", func() (bool, any) {
		if left := reread(d.t, d.cred); left.Name == "" {
			return true, nil
		}
		_ = d.pass()
		return false, reread(d.t, d.cred).Finalizers
	})
	if change != nil {
		change(again)
	}
	create(d.t, again)
	d.cred = again
}

// TestFirstPublicationKeepsWhatOthersPutIntoTheSecret: a target Secret that was kept, or restored from a backup, is
// shared. The first publication of a new FluentCredential keeps what is theirs, as every rotation does.
func TestFirstPublicationKeepsWhatOthersPutIntoTheSecret(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		change func(*v1alpha1.FluentCredential)
	}{
		"the same spec": {"as after a correction elsewhere", nil},
		"other keys": {"what this operator wrote and does not want goes, what is theirs stays",
			func(c *v1alpha1.FluentCredential) {
				c.Spec.Target.Data = map[string]string{"access_token": "{{.AccessToken}}", "mine": "1"}
			}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDrivenWith(t, nil, nil, retain)
			d.settle()
			addTheirs(t, secret(t, d.cred.Namespace, d.cred.TargetName()))
			d.recreate(test.change)
			d.settle()
			target := secret(t, d.cred.Namespace, d.cred.TargetName())
			mustKeepTheirs(t, target, 2)
			if test.change != nil && target.Data["expires_at"] != nil {
				t.Errorf("a key that this operator wrote, and does not want any more, is left (%s)", test.why)
			}
			d.sleep(d.settle())
			d.settle()
			mustKeepTheirs(t, secret(t, d.cred.Namespace, d.cred.TargetName()), 3)
		})
	}
}

// TestRestoredSecretKeepsWhatOthersPutIntoIt: out of a backup it comes without an owner, and without managed fields of
// this operator.
func TestRestoredSecretKeepsWhatOthersPutIntoIt(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	d.settle()
	addTheirs(t, secret(t, d.cred.Namespace, d.cred.TargetName()))
	saved := secret(t, d.cred.Namespace, d.cred.TargetName())
	edit(t, saved, func(s *corev1.Secret) { s.Finalizers = nil })
	saved.ResourceVersion, saved.UID, saved.ManagedFields, saved.Finalizers = "", "", nil, []string{theirFinalizer}
	saved.OwnerReferences = slices.DeleteFunc(saved.OwnerReferences, func(o metav1.OwnerReference) bool {
		return o.Controller != nil
	})
	remove(t, secret(t, d.cred.Namespace, d.cred.TargetName()))
	d.recreate(func(*v1alpha1.FluentCredential) {
		create(t, saved)
		eventually(t, "the cache shows it", func() (bool, any) {
			cached := secretMetadata()
			err := d.Client.Get(t.Context(), client.ObjectKeyFromObject(saved), cached)
			return err == nil && cached.UID == saved.UID, err
		})
	})
	d.settle()
	mustKeepTheirs(t, secret(t, d.cred.Namespace, d.cred.TargetName()), 1)
}

// TestLostStateKeepsWhatOthersPutIntoTheTarget: without a state there is no token to begin with, as for a new
// FluentCredential.
func TestLostStateKeepsWhatOthersPutIntoTheTarget(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	d.settle()
	addTheirs(t, secret(t, d.cred.Namespace, d.cred.TargetName()))
	state := secret(t, d.cred.Namespace, custody.Names(d.cred.Name)[0])
	edit(t, state, func(s *corev1.Secret) { s.Finalizers = nil })
	remove(t, state)
	d.memory = newMemory() // as after a restart
	d.settle()
	mustKeepTheirs(t, secret(t, d.cred.Namespace, d.cred.TargetName()), 2)
}

// TestSecretThatIsMadeBetweenLookAndWrite: what was there at the look counts for nothing any more.
func TestSecretThatIsMadeBetweenLookAndWrite(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	d.sleep(d.settle())
	target := secret(t, d.cred.Namespace, d.cred.TargetName())
	whole := d.Client
	d.Client = &meddling{Client: whole, name: target.Name, meddle: func() {
		again := target.DeepCopy()
		remove(t, secret(t, target.Namespace, target.Name))
		again.ResourceVersion, again.UID, again.ManagedFields = "", "", nil
		create(t, again)
		addTheirs(t, again)
	}}
	d.settle()
	mustKeepTheirs(t, secret(t, target.Namespace, target.Name), 2)
}

// meddling does something once, right before a Secret is written.
type meddling struct {
	client.Client
	name   string
	meddle func()
}

func (m *meddling) once(object client.Object) {
	if object.GetName() == m.name && m.meddle != nil {
		meddle := m.meddle
		m.meddle = nil
		meddle()
	}
}

func (m *meddling) Update(ctx context.Context, object client.Object, options ...client.UpdateOption) error {
	m.once(object)
	return m.Client.Update(ctx, object, options...)
}

// TestImmutableTargetSaysWhatHelps: nothing of it can be changed, only the Secret be deleted.
func TestImmutableTargetSaysWhatHelps(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	wait := d.settle()
	edit(t, secret(t, d.cred.Namespace, d.cred.TargetName()), func(s *corev1.Secret) { s.Immutable = ptr.To(true) })
	d.sleep(wait)
	eventually(t, "it says so", func() (bool, any) {
		_, _ = d.Reconcile(t.Context(), reread(t, d.cred))
		now := meta.FindStatusCondition(d.status().Conditions, v1alpha1.ConditionReady)
		return now.Reason == v1alpha1.ReasonPublishFailed && strings.Contains(now.Message, "immutable"), now
	})
	remove(t, secret(t, d.cred.Namespace, d.cred.TargetName()))
	eventually(t, "Ready again", func() (bool, any) {
		_, _ = d.Reconcile(t.Context(), reread(t, d.cred))
		return ready(t, d.cred)()
	})
}

// TestRetainLeavesTheOwnersOfOthers: only this operator's owner is taken from a Secret that is kept.
func TestRetainLeavesTheOwnersOfOthers(t *testing.T) {
	t.Parallel()
	d := newDrivenWith(t, nil, nil, retain)
	d.settle()
	addTheirs(t, secret(t, d.cred.Namespace, d.cred.TargetName()))
	d.recreate(nil)
	kept := secret(t, d.cred.Namespace, d.cred.TargetName())
	if owners := kept.OwnerReferences; len(owners) != 2 || owners[0].Name != "theirs" || owners[1].Name != "another" {
		t.Errorf("its owners are %+v", owners)
	}
}

// TestConsumersSecretKeepsWhatOthersPutIntoIt: the same for the Secret of a FluentToken, also where another credential
// of the same name has its token in it from now on.
func TestConsumersSecretKeepsWhatOthersPutIntoIt(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	s.allow(t, names(s.web))
	s.token.Spec.Target.DeletionPolicy = v1alpha1.DeletionRetain
	create(t, s.token)
	published := s.mustPublish(t)
	addTheirs(t, published)
	if err := live.Delete(t.Context(), s.token); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is gone", func() (bool, any) {
		left := get(t, &v1alpha1.FluentToken{}, s.web, "orders")
		return left.Name == "", left.Finalizers
	})
	s.token = fluentToken(s.web, s.cred)
	s.token.Spec.Target.DeletionPolicy = v1alpha1.DeletionRetain
	create(t, s.token)
	mustKeepTheirs(t, s.mustPublish(t), 1)
	s.renew(t)
	s.recreate(t, names(s.web))
	eventually(t, "the new one's token has its place", func() (bool, any) {
		now, err := s.published(t)
		return err == nil && serialOf(now) == 1, err
	})
	again := secret(t, s.web, "orders-token")
	mustKeepTheirs(t, again, 1)
	if again.UID != published.UID {
		t.Error("the Secret was deleted to make room")
	}
}

func TestImmutabilityIsExplained(t *testing.T) {
	t.Parallel()
	because := field.ErrorList{field.Forbidden(field.NewPath("data"), "field is immutable")}
	refused := apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, "orders-token", because)
	tests := map[string]struct {
		why  string
		read *corev1.Secret
		err  error
		want bool
	}{
		"immutable": {"only deletion helps", &corev1.Secret{Immutable: ptr.To(true)}, refused, true},
		"mutable":   {"the API has another reason", &corev1.Secret{Immutable: ptr.To(false)}, refused, false},
		"not read":  {"nothing is known of it", nil, refused, false},
		"immutable, forbidden": {
			"the API has another reason",
			&corev1.Secret{Immutable: ptr.To(true)}, apierrors.NewForbidden(schema.GroupResource{}, "x", nil), false,
		},
	}
	for name, test := range tests {
		w := &workload{read: test.read}
		got := w.explain(test.err)
		if explained := strings.Contains(got.Error(), "delete it, and it is published again"); explained != test.want {
			t.Errorf("%s: %v (%s)", name, got, test.why)
		}
		if apierrors.ReasonForError(got) != apierrors.ReasonForError(test.err) {
			t.Errorf("%s: the reason became %s", name, apierrors.ReasonForError(got))
		}
	}
}
