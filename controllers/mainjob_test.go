package controllers

import (
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// patience bounds a wait for a condition; it is not a time that a test takes.
const patience = 20 * time.Second

// eventually waits until the condition holds; it says what was seen last where it does not.
func eventually(t *testing.T, what string, holds func() (ok bool, seen any)) {
	t.Helper()
	eventuallyIn(t, patience, what, holds)
}

func eventuallyIn(t *testing.T, patience time.Duration, what string, holds func() (ok bool, seen any)) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		ok, seen := holds()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s; last seen: %+v", what, patience, seen)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// get reads an object live; a missing one comes back without a name.
func get[T client.Object](t *testing.T, object T, namespace, name string) T {
	t.Helper()
	err := live.Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: name}, object)
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	return object
}

// edit changes an object as a person would with kubectl edit, again when somebody else was faster.
func edit[T client.Object](t *testing.T, object T, change func(T)) T {
	t.Helper()
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		get(t, object, object.GetNamespace(), object.GetName())
		change(object)
		return live.Update(t.Context(), object)
	})
	if err != nil {
		t.Fatalf("edit %T %s: %v", object, object.GetName(), err)
	}
	return object
}

func secret(t *testing.T, namespace, name string) *corev1.Secret {
	t.Helper()
	return get(t, &corev1.Secret{}, namespace, name)
}

func reread(t *testing.T, cred *v1alpha1.FluentCredential) *v1alpha1.FluentCredential {
	t.Helper()
	return get(t, &v1alpha1.FluentCredential{}, cred.Namespace, cred.Name)
}

func ready(t *testing.T, cred *v1alpha1.FluentCredential) func() (bool, any) {
	return func() (bool, any) {
		status := reread(t, cred).Status
		return meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady), status
	}
}

// pings tells what the API that is protected by the server says to an access token.
func (s *server) pings(t *testing.T, access string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/ping", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+access)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode
}

func TestApplyLoginAndCredential(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, nil), newNamespace(t)
	startOperator(t, namespace)
	create(t, loginSecret(namespace, "orders-login"))
	cred := credential(namespace, "orders", sim)
	create(t, cred)
	eventually(t, "Ready", ready(t, cred))
	if took := time.Since(sim.Ledger().TokenRequests[0].Time); took > 2*time.Second {
		t.Errorf("Ready %s after the request, want within 2 s of its reply", took)
	}

	published := secret(t, namespace, "orders-token")
	for _, key := range []string{"access_token", "token_type", "authorization", "expires_at"} {
		if len(published.Data[key]) == 0 {
			t.Errorf("the workload Secret has no %s", key)
		}
	}
	if status := sim.pings(t, string(published.Data["access_token"])); status != http.StatusOK {
		t.Errorf("the published token gets HTTP %d at /api/ping", status)
	}
}
