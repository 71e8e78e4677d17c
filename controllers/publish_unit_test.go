package controllers

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/projection"
)

func TestUnitIsOurs(t *testing.T) {
	owner := projection.Owner{Kind: projection.Credential, Name: "orders", UID: "uid"}
	controlledBy := func(kind projection.Kind, name string, uid types.UID) func(*corev1.Secret) {
		return func(s *corev1.Secret) {
			isController := true
			s.OwnerReferences = []metav1.OwnerReference{{Kind: string(kind), Name: name, UID: uid, Controller: &isController}}
		}
	}
	tests := map[string]struct {
		why    string
		change func(*corev1.Secret)
		want   bool
	}{
		"of this object": {"it is the controller", controlledBy(projection.Credential, "orders", "uid"), true},
		"left behind":    {"a former object of the name published it", func(*corev1.Secret) {}, true},
		"of a former object": {
			"it came out of a backup", controlledBy(projection.Credential, "orders", "former"), true,
		},
		"of another object": {"it is in use", controlledBy(projection.Credential, "stock", "other"), false},
		"made by a person": {
			"it happens to have the name", func(s *corev1.Secret) { s.Labels, s.Annotations = nil, nil }, false,
		},
		"of another tool": {
			"it happens to have the name", func(s *corev1.Secret) { s.Labels[v1alpha1.ManagedByLabel] = "helm" }, false,
		},
		"left behind by another object": {
			"its name was the same", func(s *corev1.Secret) { s.Annotations[v1alpha1.CredentialAnnotation] = "stock" }, false,
		},
		"a state Secret": {"nothing is published there", func(s *corev1.Secret) { s.Type = v1alpha1.StateSecretType }, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
				Labels:      map[string]string{v1alpha1.ManagedByLabel: v1alpha1.OperatorName},
				Annotations: map[string]string{v1alpha1.CredentialAnnotation: "orders"},
			}}
			test.change(secret)
			if got := isOurs(secret, owner); got != test.want {
				t.Errorf("got %t, want %t: %s", got, test.want, test.why)
			}
		})
	}
}

// refusingClient refuses to create anything.
type refusingClient struct{ client.Client }

func (refusingClient) Create(context.Context, client.Object, ...client.CreateOption) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "orders-token", errors.New("a quota"))
}

// TestUnitRefusedPublicationIsRemembered: the status reports it, and the next try has a back-off.
func TestUnitRefusedPublicationIsRemembered(t *testing.T) {
	s := exchangeScene(t, grants)
	s.workload = workload{}
	s.render()
	s.r.Client = refusingClient{s.r.Client}
	s.r.publish(t.Context(), s.observation)
	if s.failed == nil {
		t.Error("the pass does not know that the publication was refused")
	}
	if known := s.memory.target; known.count != 1 || !known.retryAt.After(s.now) {
		t.Errorf("%d failures are remembered, and the next try is at %s", known.count, known.retryAt)
	}
}

// TestUnitErrorDoesNotOutlastTheExpiry: Ready would be True until the back-off ends.
func TestUnitErrorDoesNotOutlastTheExpiry(t *testing.T) {
	failed := errors.New("no")
	tests := map[string]struct {
		why    string
		left   time.Duration
		errors int
		ready  metav1.ConditionStatus
		want   time.Duration // until the next pass; zero: the workqueue's back-off
	}{
		"the token expires before the next try": {"the status changes then", 5 * time.Second, 20, metav1.ConditionTrue, 6 * time.Second},
		"the next try comes before":             {"it is early enough", time.Minute, 20, metav1.ConditionTrue, 0},
		"a first error":                         {"the next try comes soon", 5 * time.Second, 0, metav1.ConditionTrue, 0},
		"the token has expired":                 {"the status cannot be written", -time.Minute, 20, metav1.ConditionTrue, 0},
		"not Ready":                             {"nothing changes at the expiry", 5 * time.Second, 20, metav1.ConditionFalse, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.cred.Status.Token = &v1alpha1.TokenStatus{ExpirationTime: metav1.NewTime(s.now.Add(test.left))}
			s.cred.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: test.ready}}
			s.memory.errors = test.errors
			result, err := s.r.beforeExpiry(t.Context(), s.cred, s.memory, inLineAfter(0), failed)
			if (err == nil) != (test.want > 0) || result.RequeueAfter != test.want {
				t.Errorf("the next pass is after %s (%v), want %s: %s", result.RequeueAfter, err, test.want, test.why)
			}
		})
	}
}

// TestUnitCredentialConcernsTokens: what wakes the FluentTokens of a credential.
func TestUnitCredentialConcernsTokens(t *testing.T) {
	now := metav1.Now()
	tests := map[string]struct {
		why    string
		change func(*v1alpha1.FluentCredential)
		want   bool
	}{
		"a new token": {
			"a consumer that could not be written is tried again", func(c *v1alpha1.FluentCredential) { c.Status.Token.Serial++ }, true,
		},
		"another consent": {
			"a consumer may have to go", func(c *v1alpha1.FluentCredential) { c.Spec.AllowedNamespaces = nil }, true,
		},
		"a deletion":        {"the consent ends", func(c *v1alpha1.FluentCredential) { c.DeletionTimestamp = &now }, true},
		"another object":    {"its tokens are others", func(c *v1alpha1.FluentCredential) { c.UID = "another" }, true},
		"another account":   {"templates show it", func(c *v1alpha1.FluentCredential) { c.Spec.Provider.Fluent.Account = "OTHER" }, true},
		"another condition": {"it is no news to consumers", func(c *v1alpha1.FluentCredential) { c.Status.TargetName = "x" }, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := newScene(t).cred
			before.Spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{Names: []string{"web"}}
			before.Status.Token = &v1alpha1.TokenStatus{Serial: 17}
			after := before.DeepCopy()
			test.change(after)
			if got := credentialConcernsTokens().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: after}); got != test.want {
				t.Errorf("lets it through: %t, want %t: %s", got, test.want, test.why)
			}
		})
	}
}

// TestUnitHigherSerialOfAFluentToken: why the Secret of a FluentToken is ahead of the state that was read.
func TestUnitHigherSerialOfAFluentToken(t *testing.T) {
	tests := map[string]struct {
		why   string
		given func(*tokenObservation)
		want  int64 // the serial that the Secret counts with
	}{
		"the status has seen it": {
			"the state came out of a backup, and consumers keep the newer token",
			func(o *tokenObservation) { o.cred.Status.Token = &v1alpha1.TokenStatus{Serial: 18} }, 18,
		},
		"this process has published it": {
			"likewise", func(o *tokenObservation) { o.known.published.serial = 18 }, 18,
		},
		"it was never published": {
			"the annotation was edited", func(*tokenObservation) {}, 0,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := exchangeScene(t, grants)
			seen := tokenScene()
			seen.cred, seen.known.source = s.cred, s.cred.UID
			seen.workload.source, seen.workload.serial = s.cred.UID, 18
			test.given(seen)
			if err := (&TokenReconciler{Custody: s.r.Custody, Live: s.r.Custody.Reader}).explainSerial(t.Context(), seen); err != nil {
				t.Fatal(err)
			}
			if seen.workload.serial != test.want {
				t.Errorf("the serial counts as %d, want %d: %s", seen.workload.serial, test.want, test.why)
			}
		})
	}
}
