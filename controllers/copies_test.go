package controllers

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
)

// copySecret does what "kubectl get -o yaml | sed | kubectl apply" does: everything is copied but what the API server
// alone sets.
func copySecret(t *testing.T, from *corev1.Secret, name string, managed bool) *corev1.Secret {
	t.Helper()
	if !managed {
		from.ManagedFields = nil
	}
	text, err := yaml.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	made := &corev1.Secret{}
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(string(text), from.Name, name)), made); err != nil {
		t.Fatal(err)
	}
	made.ResourceVersion, made.UID = "", ""
	if err := live.Create(t.Context(), made, client.FieldOwner("kubectl-client-side-apply")); err != nil {
		t.Fatal(err)
	}
	return made
}

func copiedEvents(t *testing.T, namespace string) int {
	t.Helper()
	count := 0
	for _, event := range eventsOf(t, namespace, "orders") {
		if strings.HasPrefix(event, "Warning SecretCopied Secret ") {
			count++
		}
	}
	return count
}

// TestCopyOfATargetIsLeftAlone: a Secret that this operator did not publish is not withdrawn, whatever marks it
// carries. A renamed target goes all the same.
func TestCopyOfATargetIsLeftAlone(t *testing.T) {
	t.Parallel()
	for name, managed := range map[string]bool{"as kubectl shows it": false, "with its managed fields": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startReady(t, longLived)
			if managed { // the fields of the original are older than the copy: they count in seconds
				eventually(t, "a second on", func() (bool, any) {
					return r.workload(t).CreationTimestamp.Unix() < time.Now().Unix(), nil
				})
			}
			made := copySecret(t, r.workload(t), "orders-copy", managed)
			eventually(t, "it is said", func() (bool, any) {
				return copiedEvents(t, r.namespace) == 1, eventsOf(t, r.namespace, "orders")
			})
			edit(t, r.cred, func(cred *v1alpha1.FluentCredential) { cred.Spec.Target.Name = "renamed" })
			eventually(t, "the former target is gone", func() (bool, any) {
				old := secret(t, r.namespace, "orders-token")
				return old.Name == "" && secret(t, r.namespace, "renamed").Name != "", old.Name
			})
			if left := secret(t, r.namespace, "orders-copy"); left.UID != made.UID {
				t.Error("the copy was deleted")
			}
			if said := copiedEvents(t, r.namespace); said != 1 {
				t.Errorf("%d events on one copy", said)
			}
			if ok, status := ready(t, r.cred)(); !ok {
				t.Errorf("not Ready with a copy beside it: %+v", status)
			}
		})
	}
}

// TestCopyOfAConsumersSecretIsLeftAlone: the same for a FluentToken, also where the consent is withdrawn.
func TestCopyOfAConsumersSecretIsLeftAlone(t *testing.T) {
	t.Parallel()
	s := newPublished(t)
	made := copySecret(t, secret(t, s.web, "orders-token"), "orders-copy", false)
	eventually(t, "it is said", func() (bool, any) { return copiedEvents(t, s.web) == 1, eventsOf(t, s.web, "orders") })
	s.renew(t)
	s.allow(t, nil)
	eventually(t, "the published one is withdrawn", func() (bool, any) {
		left := secret(t, s.web, "orders-token")
		return left.Name == "", left.Name
	})
	s.allow(t, names(s.web))
	s.mustPublish(t)
	if left := secret(t, s.web, "orders-copy"); left.UID != made.UID {
		t.Error("the copy was deleted")
	}
	events := eventsOf(t, s.web, "orders")
	if !slices.ContainsFunc(events, func(event string) bool { return strings.Contains(event, "TokenWithdrawn") }) {
		t.Errorf("no event on the withdrawal: %q", events)
	}
}

// TestCopyOfAStateDoesNotHang: it has the state's finalizer, which has to be taken off when the FluentCredential
// goes.
func TestCopyOfAStateDoesNotHang(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	d.settle()
	state := secret(t, d.cred.Namespace, custody.Names("orders")[0])
	made := copySecret(t, state, "orders-state-copy", false)
	remove(t, made)
	if err := live.Delete(t.Context(), d.cred); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the FluentCredential and the copy are gone", func() (bool, any) {
		if left := reread(t, d.cred); left.Name != "" {
			_ = d.pass()
		}
		left := secret(t, d.cred.Namespace, made.Name)
		return reread(t, d.cred).Name == "" && left.Name == "", left.Finalizers
	})
}
