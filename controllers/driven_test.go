package controllers

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	testclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/metrics"
)

// driven is an operator whose passes a test makes itself, on a clock that it turns: years pass in seconds, and against the real
// kube-apiserver all the same.
type driven struct {
	*Reconciler
	t      *testing.T
	clock  *testclock.FakePassiveClock
	server *server
	cred   *v1alpha1.FluentCredential
}

// start is when every driven test begins.
var start = time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)

func newDriven(t *testing.T, change func(*authsim.Config)) *driven {
	t.Helper()
	return newDrivenWith(t, change, nil, nil)
}

// newDrivenWith changes the login and the FluentCredential before they are created.
func newDrivenWith(t *testing.T, change func(*authsim.Config), login func(*corev1.Secret), spec func(*v1alpha1.FluentCredential)) *driven {
	t.Helper()
	clock := testclock.NewFakePassiveClock(start)
	sim := newServer(t, func(config *authsim.Config) {
		config.Clock = clock.Now
		if change != nil {
			change(config)
		}
	})
	namespace := newNamespace(t)
	credentials, cred := loginSecret(namespace, "orders-login"), credential(namespace, "orders", sim)
	if login != nil {
		login(credentials)
	}
	if spec != nil {
		spec(cred)
	}
	create(t, credentials)
	create(t, cred)
	return &driven{Reconciler: newIdleReconciler(t, namespace, clock), t: t, clock: clock, server: sim, cred: cred}
}

// newIdleManager has a running cache, and no controller.
func newIdleManager(t *testing.T, namespaces ...string) ctrl.Manager {
	t.Helper()
	return newIdleManagerAs(t, cluster, namespaces...)
}

func newIdleManagerAs(t *testing.T, who *rest.Config, namespaces ...string) ctrl.Manager {
	t.Helper()
	mgr := newManagerAs(t, who, namespaces...)
	if err := AddIndexes(t.Context(), mgr.GetFieldIndexer()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the manager stopped with: %v", err)
		}
	})
	if !mgr.GetCache().WaitForCacheSync(t.Context()) {
		t.Fatal("the cache does not fill")
	}
	return mgr
}

// newIdleTokens is a TokenReconciler that no controller calls.
func newIdleTokens(t *testing.T, clock *testclock.FakePassiveClock, namespaces ...string) *TokenReconciler {
	t.Helper()
	r := NewReconciler(newIdleManager(t, namespaces...), Options{Metrics: metrics.New(prometheus.NewRegistry()), Clock: clock, Namespace: namespaces[0]})
	return NewTokenReconciler(r, Options{Namespaces: namespaces}, false)
}

// newIdleReconciler is a Reconciler with a running cache, and with no controller that calls it.
func newIdleReconciler(t *testing.T, namespace string, clock *testclock.FakePassiveClock) *Reconciler {
	t.Helper()
	return idleReconcilerOf(newIdleManager(t, namespace), namespace, clock)
}

// idleReconcilerOf is a Reconciler with the client and the cache of a manager.
func idleReconcilerOf(mgr ctrl.Manager, namespace string, clock *testclock.FakePassiveClock) *Reconciler {
	reconciler := NewReconciler(mgr, Options{
		Policy: exchange.Policy{InsecureHTTP: true}, Metrics: metrics.New(prometheus.NewRegistry()), Clock: clock, Namespace: namespace,
	})
	reconciler.Draw = rand.New(rand.NewPCG(1, 2)).Float64
	return reconciler
}

// pass makes one pass and returns when the next one is wanted.
func (d *driven) pass() time.Duration {
	d.t.Helper()
	cred := reread(d.t, d.cred)
	cred.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("FluentCredential"))
	result, err := d.Reconcile(ctrl.LoggerInto(d.t.Context(), ctrl.Log), cred)
	if err != nil {
		d.t.Fatalf("reconcile: %v", err)
	}
	return result.RequeueAfter
}

// settle makes passes until the next one is only wanted later, and returns when.
func (d *driven) settle() time.Duration {
	d.t.Helper()
	for range 20 {
		if wait := d.pass(); wait == 0 || wait > soon {
			return wait
		}
	}
	d.t.Fatal("the passes never come to rest")
	return 0
}

// sleep turns the clock.
func (d *driven) sleep(wait time.Duration) { d.clock.SetTime(d.clock.Now().Add(wait)) }

// status is what the FluentCredential says now.
func (d *driven) status() v1alpha1.FluentCredentialStatus {
	d.t.Helper()
	return reread(d.t, d.cred).Status
}

// access is the published access token.
func (d *driven) access() string {
	d.t.Helper()
	return string(secret(d.t, d.cred.Namespace, d.cred.TargetName()).Data[v1alpha1.AccessTokenKey])
}
