package controllers

import (
	"fmt"
	"maps"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/internal/custody"
)

// longLived is a server whose tokens outlast any test: whatever it is asked for after the first token is too much.
func longLived(config *authsim.Config) { config.AccessTokenLifetime = 24 * time.Hour }

// running is a credential that is Ready under a running operator.
type running struct {
	*server
	operator  *operator
	namespace string
	cred      *v1alpha1.FluentCredential
}

func startReady(t *testing.T, change func(*authsim.Config)) *running {
	t.Helper()
	sim, namespace := newServer(t, change), newNamespace(t)
	operator := startOperator(t, namespace)
	create(t, loginSecret(namespace, "orders-login"))
	cred := credential(namespace, "orders", sim)
	create(t, cred)
	eventually(t, "Ready", ready(t, cred))
	return &running{server: sim, operator: operator, namespace: namespace, cred: cred}
}

func (r *running) workload(t *testing.T) *corev1.Secret {
	t.Helper()
	return secret(t, r.namespace, r.cred.TargetName())
}

func TestWorkloadSecretIsRepairedWithoutACall(t *testing.T) {
	t.Parallel()
	damages := map[string]struct {
		damage func(*testing.T, *corev1.Secret)
		why    string
	}{
		"deleted": {remove,
			"pods mount it, so it comes back"},
		"value edited": {edited(func(s *corev1.Secret) { s.Data["access_token"] = []byte("edited") }),
			"a token that is not in the state must not be used"},
		"key removed": {edited(func(s *corev1.Secret) { delete(s.Data, "expires_at") }),
			"pods read every key"},
		"owner removed": {edited(func(s *corev1.Secret) { s.OwnerReferences = nil }),
			"it would outlive its credential"},
		"serial edited": {edited(func(s *corev1.Secret) {
			s.Data["access_token"] = []byte("edited")
			s.Annotations[v1alpha1.SerialAnnotation] = "0"
		}), "an edit of the serial hides no edit of the data"},
	}
	for name, test := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startReady(t, longLived)
			before, requests := r.workload(t), r.Ledger().Requests
			test.damage(t, before.DeepCopy())
			damaged := time.Now()
			eventually(t, "repaired ("+test.why+")", func() (bool, any) {
				now := r.workload(t)
				return metav1.IsControlledBy(now, r.cred) && maps.EqualFunc(before.Data, now.Data, equalBytes), len(now.Data)
			})
			if took := time.Since(damaged); took > time.Second {
				t.Errorf("repaired after %s, want under 1 s", took)
			}
			if asked := r.Ledger().Requests - requests; asked != 0 {
				t.Errorf("the repair asked the server %d times", asked)
			}
		})
	}
}

func edited(change func(*corev1.Secret)) func(*testing.T, *corev1.Secret) {
	return func(t *testing.T, s *corev1.Secret) { t.Helper(); edit(t, s, change) }
}

func remove(t *testing.T, s *corev1.Secret) {
	t.Helper()
	if err := live.Delete(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

func equalBytes(a, b []byte) bool { return string(a) == string(b) }

func TestStateSecretDeletedLosesNothing(t *testing.T) {
	t.Parallel()
	r := startReady(t, func(config *authsim.Config) { config.AccessTokenLifetime = 4 * time.Second })
	for round := range 3 {
		serial := reread(t, r.cred).Status.Token.Serial
		if err := live.DeleteAllOf(t.Context(), &corev1.Secret{}, client.InNamespace(r.namespace)); err != nil {
			t.Fatal(err)
		}
		create(t, loginSecret(r.namespace, "orders-login"))
		eventually(t, fmt.Sprintf("round %d: the state under one name, not being deleted", round), func() (bool, any) {
			return r.states(t)
		})
		eventually(t, fmt.Sprintf("round %d: two rotations on", round), func() (bool, any) {
			now := reread(t, r.cred).Status.Token.Serial
			return now >= serial+2, now
		})
	}
	mustRotateCleanly(t, r.Ledger(), 6)
}

// states tells whether exactly one state Secret exists and stays.
func (r *running) states(t *testing.T) (bool, any) {
	t.Helper()
	var found []string
	for _, name := range custody.Names(r.cred.Name) {
		if state := secret(t, r.namespace, name); state.Name != "" {
			found = append(found, fmt.Sprintf("%s deleted: %t", name, state.DeletionTimestamp != nil))
			if state.DeletionTimestamp != nil {
				return false, found
			}
		}
	}
	return len(found) == 1, found
}

func TestRestartWithNothingDueMakesNoCall(t *testing.T) {
	t.Parallel()
	const credentials = 100
	sim, namespace := newServer(t, manyUsers(credentials, longLived)), newNamespace(t)
	first := startOperator(t, namespace)
	createMany(t, namespace, credentials, sim)
	allReady := func() (bool, any) {
		var all v1alpha1.FluentCredentialList
		if err := live.List(t.Context(), &all, client.InNamespace(namespace)); err != nil {
			t.Fatal(err)
		}
		count := 0
		for i := range all.Items {
			if ok, _ := isReady(&all.Items[i]); ok {
				count++
			}
		}
		return count == credentials, count
	}
	eventually(t, "all ready", allReady)
	first.stop()
	requests := sim.Ledger().Requests

	second := startOperator(t, namespace)
	eventually(t, "every credential looked at by the second operator", func() (bool, any) {
		seen := second.series(t, "fluent_credential_ready")
		return seen == credentials, seen
	})
	if asked := sim.Ledger().Requests - requests; asked != 0 {
		t.Errorf("a restart with nothing due asked the server %d times", asked)
	}
	if ok, count := allReady(); !ok {
		t.Errorf("%v of %d are ready after the restart", count, credentials)
	}
}

func TestDeletion(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		policy v1alpha1.DeletionPolicy
		stays  bool
		why    string
	}{
		"Delete": {v1alpha1.DeletionDelete, false, "nobody would renew the token any more"},
		"Retain": {v1alpha1.DeletionRetain, true, "the user asked for it"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startReady(t, longLived)
			cred := edit(t, r.cred, func(cred *v1alpha1.FluentCredential) { cred.Spec.Target.DeletionPolicy = test.policy })
			if err := live.Delete(t.Context(), cred); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the object is gone", func() (bool, any) {
				left := reread(t, r.cred)
				return left.Name == "", left.Finalizers
			})
			if left := r.workload(t); (left.Name != "") != test.stays || len(left.OwnerReferences) > 0 {
				t.Errorf("the workload Secret stays: %t, owners %v (%s)", left.Name != "", left.OwnerReferences, test.why)
			}
			for _, state := range custody.Names("orders") {
				if left := secret(t, r.namespace, state); left.Name != "" {
					t.Errorf("the state Secret %s is left", state)
				}
			}
			eventually(t, "its metrics are gone", func() (bool, any) {
				left := r.operator.series(t, "fluent_credential_ready")
				return left == 0, left
			})
		})
	}
}

func TestRenamedTargetIsPublishedBeforeTheOldOneGoes(t *testing.T) {
	t.Parallel()
	r := startReady(t, longLived)
	requests := r.Ledger().Requests
	edit(t, r.cred, func(cred *v1alpha1.FluentCredential) { cred.Spec.Target.Name = "renamed" })
	eventually(t, "the old one is gone", func() (bool, any) {
		old := secret(t, r.namespace, "orders-token")
		if old.Name == "" && secret(t, r.namespace, "renamed").Name == "" {
			t.Fatal("the old Secret went before the new one came")
		}
		return old.Name == "", old.Name
	})
	if status := reread(t, r.cred).Status; status.TargetName != "renamed" {
		t.Errorf("status.targetName is %q", status.TargetName)
	}
	if asked := r.Ledger().Requests - requests; asked != 0 {
		t.Errorf("the renaming asked the server %d times", asked)
	}
}
