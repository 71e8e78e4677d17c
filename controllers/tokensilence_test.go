package controllers

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	testclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/metrics"
)

// recorder keeps what a client asks the API server for, in its order, but for watches, which come and go by themselves.
type recorder struct {
	mu    sync.Mutex
	asked []string
}

// of is the client's configuration.
func (r *recorder) of(config *rest.Config) *rest.Config {
	who := rest.CopyConfig(config)
	who.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			if !strings.Contains(request.URL.RawQuery, "watch=") {
				r.mu.Lock()
				r.asked = append(r.asked, request.Method+" "+request.URL.Path)
				r.mu.Unlock()
			}
			return next.RoundTrip(request)
		})
	})
	return who
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// take is what was asked for since the last time.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.asked
	r.asked = nil
	return asked
}

// in is what was asked for in a namespace, without its name.
func (r *recorder) in(namespace string) (asked []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, each := range r.asked {
		if strings.Contains(each, "/namespaces/"+namespace+"/") {
			asked = append(asked, strings.ReplaceAll(each, namespace, "-"))
		}
	}
	return asked
}

// TestPassWithoutConsentIsTheSameWhateverThereIs: a pass over a FluentToken takes as long as what it asks for. Without consent it asks for
// the same things in the same order, says the same at the same moment, and wants to be called again at the same time, whether the
// credential exists, has a token, has a new one, permits somebody else, or has gone. It asks for nothing in the credential's namespace.
func TestPassWithoutConsentIsTheSameWhateverThereIs(t *testing.T) {
	t.Parallel()
	sim, shop, web, api := newServer(t, longLived), newNamespace(t), newNamespace(t), newNamespace(t)
	cred, asked := credential(shop, "orders", sim), &recorder{}
	r := &running{server: sim, operator: startOperator(t, shop), namespace: shop, cred: cred}
	create(t, loginSecret(shop, "orders-login"))
	create(t, cred)
	eventually(t, "Ready", ready(t, cred))
	clock := testclock.NewFakePassiveClock(start)
	mgr := newIdleManagerAs(t, asked.of(cluster), shop, web, api)
	there, nowhere := fluentToken(web, cred), fluentToken(api, cred)
	nowhere.Spec.CredentialRef.Name = "absent"
	create(t, there)
	create(t, nowhere)

	// told is all that a pass leaves behind.
	type told struct {
		Asked, Events []string
		Result        ctrl.Result
		Status        v1alpha1.FluentTokenStatus
	}
	reconcilers := map[string]*TokenReconciler{}
	pass := func(token *v1alpha1.FluentToken) told {
		idle := reconcilers[token.Namespace]
		if idle == nil {
			r := NewReconciler(mgr, Options{Metrics: metrics.New(prometheus.NewRegistry()), Clock: clock, Namespace: shop})
			idle = NewTokenReconciler(r, Options{Namespaces: []string{shop, web, api}}, false)
			reconcilers[token.Namespace] = idle
		}
		recorded := events.NewFakeRecorder(10)
		idle.Recorder = recorded
		now := get(t, &v1alpha1.FluentToken{}, token.Namespace, token.Name)
		asked.take()
		result, err := idle.Reconcile(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		seen := told{Asked: asked.take(), Result: result, Status: get(t, &v1alpha1.FluentToken{}, token.Namespace, token.Name).Status}
		for i := range seen.Asked {
			if strings.Contains(seen.Asked[i], "/"+shop) {
				t.Errorf("without consent: %s", seen.Asked[i])
			}
			seen.Asked[i] = strings.ReplaceAll(seen.Asked[i], token.Namespace, "-")
		}
		for len(recorded.Events) > 0 {
			seen.Events = append(seen.Events, strings.ReplaceAll(<-recorded.Events, "/"+token.Spec.CredentialRef.Name+" ", "/- "))
		}
		for i := range seen.Status.Conditions {
			condition := &seen.Status.Conditions[i]
			condition.Message = strings.ReplaceAll(condition.Message, "/"+token.Spec.CredentialRef.Name+" ", "/- ")
		}
		return seen
	}
	for _, turn := range []struct {
		what string
		play func()
	}{
		{"at first", func() {}},
		{"once more", func() {}},
		{"renewed", func() { r.renew(t) }},
		{"another namespace is permitted", func() {
			edit(t, cred, func(cred *v1alpha1.FluentCredential) { cred.Spec.AllowedNamespaces = names("other") })
		}},
		{"gone", func() { gone(t, cred) }},
	} {
		turn.play()
		eventually(t, "the cache has caught up", func() (bool, any) {
			cached, now := &v1alpha1.FluentCredential{}, reread(t, cred)
			_ = mgr.GetClient().Get(t.Context(), there.Spec.CredentialRef.Key(), cached)
			return cached.ResourceVersion == now.ResourceVersion, cached.ResourceVersion
		})
		if diff := cmp.Diff(pass(nowhere), pass(there)); diff != "" {
			t.Errorf("%s: whether it exists can be told (-absent +there)\n%s", turn.what, diff)
		}
		clock.SetTime(clock.Now().Add(lagWait))
	}
}
