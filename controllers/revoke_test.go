package controllers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/internal/metrics"
)

func keyOf(object client.Object) types.NamespacedName { return client.ObjectKeyFromObject(object) }

// gathering lets a driven operator count into a registry of the test's own.
func (d *driven) gathering() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	d.Metrics = metrics.New(registry)
	return registry
}

// mustGo deletes the credential and makes passes until it is gone.
func (d *driven) mustGo() {
	d.t.Helper()
	if err := live.Delete(d.t.Context(), d.cred.DeepCopy()); err != nil {
		d.t.Fatal(err)
	}
	for range 20 {
		if reread(d.t, d.cred).Name == "" {
			return
		}
		if wait := d.pass(); wait > soon {
			d.sleep(wait)
		}
	}
	d.t.Fatalf("the FluentCredential never goes: %+v", reread(d.t, d.cred))
}

// mustHaveEvent waits for an event.
func (d *driven) mustHaveEvent(reason, says string) {
	d.t.Helper()
	eventually(d.t, "event "+reason, func() (bool, any) {
		var told corev1.EventList
		if err := live.List(d.t.Context(), &told, client.InNamespace(d.cred.Namespace)); err != nil {
			d.t.Fatal(err)
		}
		var seen []string
		for _, event := range told.Items {
			seen = append(seen, event.Reason+": "+event.Message)
			if event.Reason == reason && strings.Contains(event.Message, says) {
				return true, nil
			}
		}
		return false, seen
	})
}

// mustCount looks for the one thing that became of the refresh token.
func mustCount(t *testing.T, registry *prometheus.Registry, result string) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]float64{}
	for _, family := range families {
		if family.GetName() != "fluent_credential_revocations_total" {
			continue
		}
		for _, series := range family.GetMetric() {
			for _, label := range series.GetLabel() {
				if label.GetName() == "result" && series.GetCounter().GetValue() > 0 {
					counted[label.GetValue()] = series.GetCounter().GetValue()
				}
			}
		}
	}
	want := map[string]float64{}
	if result != "" {
		want[result] = 1
	}
	if diff := cmp.Diff(want, counted); diff != "" {
		t.Errorf("what became of refresh tokens (-want +got):\n%s", diff)
	}
}

// farewell is one deletion: what goes before, and what becomes of the refresh token.
type farewell struct {
	asks   func(*v1alpha1.FluentCredential) // nil: commerceLayer
	before func(*driven)
	result string // of the metric
	event  string
	says   string
	why    string
}

func (d *driven) change(change func(*v1alpha1.FluentCredential)) {
	d.t.Helper()
	d.cred = edit(d.t, d.cred, change)
}

func (d *driven) fault(text string) { d.server.AddFault(fault(d.t, text)) }

// withoutLogin deletes the credentials Secret and waits for the cache to follow.
func (d *driven) withoutLogin() {
	d.t.Helper()
	remove(d.t, secret(d.t, d.cred.Namespace, "orders-login"))
	eventually(d.t, "the cache has forgotten the login", func() (bool, any) {
		err := d.Client.Get(d.t.Context(), types.NamespacedName{Namespace: d.cred.Namespace, Name: "orders-login"}, secretMetadata())
		return err != nil, err
	})
}

// another creates a second FluentCredential whose seed is the chain of the first one.
func (d *driven) another(suspend bool) {
	d.t.Helper()
	record, err := d.Custody.Open(d.t.Context(), (&observation{cred: reread(d.t, d.cred)}).owner())
	if err != nil {
		d.t.Fatal(err)
	}
	create(d.t, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.cred.Namespace, Name: "stock-login"},
		StringData: map[string]string{"client_id": clientID, "client_secret": clientSecret, "refresh_token": record.Chain.Refresh.Reveal()},
	})
	cred := credential(d.cred.Namespace, "stock", d.server)
	commerceLayer(cred)
	cred.Spec.CredentialsSecretRef.Name, cred.Spec.Suspend = "stock-login", suspend
	create(d.t, cred)
	eventually(d.t, "the cache shows the other one", func() (bool, any) {
		err := d.Client.Get(d.t.Context(), keyOf(cred), &v1alpha1.FluentCredential{})
		return err == nil, err
	})
	first := d.cred
	d.cred = cred
	d.settle()
	d.cred = first
}

func farewells() map[string]farewell {
	return map[string]farewell{
		"commerce layer": {result: "revoked", event: "RefreshTokenRevoked", why: "nobody shall be able to use it any more"},
		"oauth2":         {asks: standard, result: "revoked", event: "RefreshTokenRevoked", says: "127.0.0.1", why: "the spec names the endpoint"},
		"oauth2 without an endpoint": {asks: func(cred *v1alpha1.FluentCredential) {
			standard(cred)
			cred.Spec.Provider.OAuth2.RevocationURL = ""
		}, why: "there is nobody to ask, which is no news"},
		"suspended": {before: func(d *driven) { d.change(func(c *v1alpha1.FluentCredential) { c.Spec.Suspend = true }) },
			result: "kept", event: "RefreshTokenKept", says: "spec.suspend is true", why: "that is how a chain is moved elsewhere"},
		"retained": {before: func(d *driven) {
			d.change(func(c *v1alpha1.FluentCredential) { c.Spec.Target.DeletionPolicy = v1alpha1.DeletionRetain })
		}, result: "kept", event: "RefreshTokenKept", says: "deletionPolicy is Retain", why: "the access token that stays could die with it"},
		"login gone": {before: (*driven).withoutLogin, result: "revoked", event: "RefreshTokenRevoked",
			why: "of a namespace that goes, the Secrets are often the first; the login was read before"},
		"login gone, and the operator is a new one": {before: func(d *driven) { d.withoutLogin(); d.memory = newMemory() },
			result: "kept", event: "RefreshTokenKept", says: "Secret orders-login is gone", why: "a client that nobody knows cannot ask"},
		"not available": {before: func(d *driven) { d.fault("every revocation: server-error 503") },
			result: "failed", event: "RevocationFailed", says: "HTTP 503", why: "it is best effort"},
		"endless": {before: func(d *driven) { d.fault("every revocation: slow 1h") },
			result: "failed", event: "RevocationFailed", says: "no reply in time", why: "a deletion never hangs on the API"},
		"hung up": {before: func(d *driven) { d.fault("every revocation: drop-after") },
			result: "failed", event: "RevocationFailed", says: "closed before the reply was complete", why: "the answer is not known, and not asked for again"},
		"wrong client": {before: func(d *driven) { d.setSeed("client_secret", "another-secret") },
			result: "failed", event: "RevocationFailed", says: "HTTP 401: invalid_client", why: "the API's own words"},
		"another client": {before: func(d *driven) { d.setSeed("client_id", "another") },
			result: "kept", event: "RefreshTokenKept", says: "another client", why: "whose token it is not does not get to see it"},
		"another endpoint": {before: func(d *driven) {
			d.change(func(c *v1alpha1.FluentCredential) {
				c.Spec.Provider.CommerceLayer.BaseURL = v1alpha1.BaseURL(strings.Replace(d.server.URL, "127.0.0.1", "localhost", 1))
			})
		}, result: "kept", event: "RefreshTokenKept", says: "another token endpoint", why: "who can edit the spec does not get the refresh token"},
		"taken over": {before: func(d *driven) { d.another(false) }, result: "kept", event: "RefreshTokenKept",
			says: "FluentCredential stock uses it", why: "the chain lives on there"},
		"about to be taken over": {before: func(d *driven) { d.another(true) }, result: "kept", event: "RefreshTokenKept",
			says: "FluentCredential stock uses it", why: "it is to live on there"},
		"maybe spent": {before: func(d *driven) {
			d.setLogin(func(login map[string][]byte) { delete(login, "password") })
			d.fault("1st refresh_token: drop-after")
			d.sleep(documentedPace)
			d.change(func(c *v1alpha1.FluentCredential) {
				c.Annotations = map[string]string{v1alpha1.RotateAnnotation: "now"}
			})
			d.settle()
		}, result: "kept", event: "RefreshTokenKept", says: "may be spent already", why: "servers end a family for less"},
		"host busy for long": {before: func(d *driven) {
			d.Hosts = NewHosts(1)
			d.Hosts.Take(strings.TrimPrefix(d.server.URL, "http://"), waiter{}, d.clock.Now())
		},
			result: "kept", event: "RefreshTokenKept", says: "--host-rate", why: "who waits for a deletion does not wait a minute"},
		"host busy for a moment": {before: func(d *driven) {
			d.Hosts = NewHosts(6)
			d.Hosts.Take(strings.TrimPrefix(d.server.URL, "http://"), waiter{}, d.clock.Now())
		},
			result: "revoked", event: "RefreshTokenRevoked", why: "its turn comes within the patience"},
	}
}

func TestFarewells(t *testing.T) {
	t.Parallel()
	for name, test := range farewells() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			of := api{dialect: authsim.DialectCommerceLayer, asks: commerceLayer}
			if test.asks != nil {
				of = api{dialect: authsim.DialectOAuth2, asks: test.asks}
			}
			d := newSpeaking(t, of, nil, nil)
			registry := d.gathering()
			d.settle()
			access := d.access()
			if test.before != nil {
				test.before(d)
			}
			d.mustGo()
			ledger := d.server.Ledger()
			if revoked := ledger.Revocations == 1; revoked != (test.result == "revoked") && name != "hung up" {
				t.Errorf("%d revocations, but %s", ledger.Revocations, test.why)
			}
			if asked := len(ledger.RevocationRequests); asked > 1 || asked == 1 && (test.result == "kept" || test.result == "") {
				t.Errorf("the API was asked %d times, but %s", asked, test.why)
			}
			if code := d.server.pings(t, access); test.result == "kept" && code != http.StatusOK {
				t.Errorf("the access token gets HTTP %d, but %s", code, test.why)
			}
			mustCount(t, registry, test.result)
			if test.event != "" {
				d.mustHaveEvent(test.event, test.says)
			}
		})
	}
}

// TestRevocationGoesNowhereElse: neither a redirect nor an endpoint that the admin forbids gets the refresh token.
func TestRevocationGoesNowhereElse(t *testing.T) {
	t.Parallel()
	d := newSpeaking(t, apis["oauth2 Basic"], nil, nil)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the other host was asked") }))
	defer elsewhere.Close()
	d.fault("every revocation: redirect 307 " + elsewhere.URL)
	d.settle()
	d.mustGo()
	d.mustHaveEvent("RevocationFailed", "redirects to 127.0.0.1, which is not followed")
	if d.server.Ledger().Revocations != 0 {
		t.Error("it was revoked")
	}
}

func TestRevocationKeepsToThePolicy(t *testing.T) {
	t.Parallel()
	d := newSpeaking(t, apis["oauth2 Basic"], nil, nil)
	d.settle()
	d.Dialer.Policy.InsecureHTTP = false
	d.mustGo()
	d.mustHaveEvent("RevocationFailed", "only https is allowed")
	if asked := len(d.server.Ledger().RevocationRequests); asked != 0 {
		t.Errorf("the endpoint was asked %d times", asked)
	}
}

// TestRevocationURLOfAnotherHost: who may edit the spec and not read Secrets could have the refresh token sent to them.
func TestRevocationURLOfAnotherHost(t *testing.T) {
	t.Parallel()
	d := newSpeaking(t, apis["oauth2 Basic"], nil, nil)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the other host was asked") }))
	defer elsewhere.Close()
	d.settle()
	d.change(func(cred *v1alpha1.FluentCredential) {
		cred.Spec.Provider.OAuth2.RevocationURL = v1alpha1.TokenURL(elsewhere.URL)
	})
	d.settle()
	if says, want := d.says(v1alpha1.ConditionStalled), "True EndpointNotAllowed provider.oauth2.revocationURL: it is on another host than tokenURL"; says != want {
		t.Errorf("Stalled says %q, want %q", says, want)
	}
	d.mustGo()
}

// TestNamespaceGoes: the Secrets of a namespace that is being deleted go in any order, nothing can be created in it any more, and
// the token endpoint swallows what it is asked.
func TestNamespaceGoes(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, speaking(authsim.DialectCommerceLayer, nil)), newNamespace(t)
	startOperator(t, namespace)
	create(t, loginSecret(namespace, "orders-login"))
	cred := credential(namespace, "orders", sim)
	commerceLayer(cred)
	create(t, cred)
	eventually(t, "Ready", ready(t, cred))
	sim.AddFault(fault(t, "every revocation: slow 1h"))
	begun := time.Now()
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, secret(t, namespace, "orders-login"),
		secret(t, namespace, "orders-token"), cred,
	} {
		if err := live.Delete(t.Context(), object); client.IgnoreNotFound(err) != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "nothing is left that holds the namespace", func() (bool, any) {
		var left corev1.SecretList
		err := live.List(t.Context(), &left, client.InNamespace(namespace))
		names := []string{reread(t, cred).Name}
		for _, one := range left.Items {
			if strings.HasPrefix(one.Name, "orders") { // the namespace is the operator's own, too
				names = append(names, one.Name)
			}
		}
		return names[0] == "" && len(names) == 1, fmt.Sprint(names, err)
	})
	t.Logf("gone after %s, of which the silent API took its part", time.Since(begun).Round(time.Millisecond))
	if asked := len(sim.Ledger().RevocationRequests); asked != 1 {
		t.Errorf("the API was asked %d times, want once", asked)
	}
}

// stubborn takes no write of an existing Secret.
type stubborn struct {
	client.Writer
	refuse error
	tried  int
}

func (s *stubborn) Update(context.Context, client.Object, ...client.UpdateOption) error {
	s.tried++
	return s.refuse
}

// TestClaimThatFailsForEverHoldsUpNoDeletion: a quota, a policy or a webhook may refuse the claim of a revocation for good.
func TestClaimThatFailsForEverHoldsUpNoDeletion(t *testing.T) {
	t.Parallel()
	secrets := schema.GroupResource{Resource: "secrets"}
	for name, refuse := range map[string]error{
		"a policy":    apierrors.NewForbidden(secrets, "orders-state", errors.New("a policy says so")),
		"a webhook":   apierrors.NewInternalError(errors.New("failed calling webhook")),
		"no API here": errors.New("connection refused"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newSpeaking(t, apis["oauth2 Basic"], nil, nil)
			registry := d.gathering()
			d.settle()
			writer := &stubborn{Writer: d.Custody.Writer, refuse: refuse}
			d.Custody.Writer = writer
			begun := d.clock.Now()
			if err := live.Delete(t.Context(), d.cred.DeepCopy()); err != nil {
				t.Fatal(err)
			}
			for backoff := errorBackoff; reread(t, d.cred).Name != ""; {
				if d.clock.Now().Sub(begun) > time.Minute {
					t.Fatalf("after a minute it is there still: %+v", reread(t, d.cred))
				}
				wait, err := d.tryPass()
				if err != nil {
					wait, backoff = backoff, min(2*backoff, errorBackoffMost)
				}
				d.sleep(wait)
			}
			if asked := len(d.server.Ledger().RevocationRequests); asked != 0 || writer.tried < 2 {
				t.Errorf("the API was asked %d times without a claim, which was tried %d times", asked, writer.tried)
			}
			mustCount(t, registry, "kept")
			d.mustHaveEvent("RefreshTokenKept", "its claim could not be written")
		})
	}
}

// tryPass makes a pass that may fail.
func (d *driven) tryPass() (time.Duration, error) {
	d.t.Helper()
	result, err := d.Reconcile(ctrl.LoggerInto(d.t.Context(), ctrl.Log), reread(d.t, d.cred))
	return result.RequeueAfter, err
}
