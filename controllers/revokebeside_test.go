package controllers

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// beside creates a FluentCredential that has no token, and waits for the cache to show it.
func (d *driven) beside(namespace, name string) *v1alpha1.FluentCredential {
	d.t.Helper()
	cred := credential(namespace, name, d.server)
	commerceLayer(cred)
	cred.Spec.CredentialsSecretRef.Name = name + "-login"
	cred.Spec.Suspend = true
	create(d.t, cred)
	return cred
}

func (d *driven) cacheShows(cred *v1alpha1.FluentCredential) {
	d.t.Helper()
	eventually(d.t, "the cache shows "+cred.Name, func() (bool, any) {
		err := d.Client.Get(d.t.Context(), keyOf(cred), &v1alpha1.FluentCredential{})
		return err == nil, err
	})
}

// takenName is a Secret that is no state, under the name of one.
func takenName(namespace, name string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name + v1alpha1.StateSuffix},
		StringData: map[string]string{"state.json": "{}"},
	}
}

// counting counts live reads of Secrets.
type counting struct {
	client.Reader
	reads atomic.Int64
}

func (c *counting) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	if _, isSecret := object.(*corev1.Secret); isSecret {
		c.reads.Add(1)
	}
	return c.Reader.Get(ctx, key, object, options...)
}

// TestOthersDoNotDecideWhatIsRevoked: what is stored beside a credential, or in other namespaces, neither keeps its refresh
// token alive nor costs the operator more than a bounded number of reads.
func TestOthersDoNotDecideWhatIsRevoked(t *testing.T) {
	t.Parallel()
	newer := func(namespace, name string) *corev1.Secret {
		state := takenName(namespace, name)
		state.Type = v1alpha1.StateSecretType
		state.StringData = map[string]string{"state.json": `{"version":1000}`}
		return state
	}
	tests := map[string]struct {
		why     string
		given   func(*driven)
		revoked bool
		says    string
		reads   int64 // at most
	}{
		"a broken state in another namespace": {
			"it is another tenant's, and nothing there is asked",
			func(d *driven) {
				elsewhere := newNamespace(d.t)
				create(d.t, takenName(elsewhere, "spoil"))
				d.cacheSpans(elsewhere)
				d.cacheShows(d.beside(elsewhere, "spoil"))
			}, true, "", 20,
		},
		"a state of a newer operator in another namespace": {
			"beside it, it would keep the token",
			func(d *driven) {
				elsewhere := newNamespace(d.t)
				create(d.t, newer(elsewhere, "spoil"))
				d.cacheSpans(elsewhere)
				d.cacheShows(d.beside(elsewhere, "spoil"))
			}, true, "", 20,
		},
		"very many in another namespace": {
			"beside it, they would keep the token",
			func(d *driven) {
				elsewhere := newNamespace(d.t)
				d.cacheSpans(elsewhere)
				var last *v1alpha1.FluentCredential
				for i := range maxHeirs + 10 {
					last = d.beside(elsewhere, fmt.Sprintf("many-%d", i))
				}
				d.cacheShows(last)
			}, true, "", 20,
		},
		"a broken state beside it": {
			"the operator stores nothing in a Secret that is not its own",
			func(d *driven) {
				create(d.t, takenName(d.cred.Namespace, "spoil"))
				d.cacheShows(d.beside(d.cred.Namespace, "spoil"))
			}, true, "", 20,
		},
		"a state of a newer operator beside it": {
			"it may hold the refresh token",
			func(d *driven) {
				create(d.t, newer(d.cred.Namespace, "spoil"))
				d.cacheShows(d.beside(d.cred.Namespace, "spoil"))
			}, false, "could not be found out", 20,
		},
		"very many beside it": {
			"a token is kept rather than searched for with thousands of reads",
			func(d *driven) {
				var last *v1alpha1.FluentCredential
				for i := range maxHeirs + 10 {
					last = d.beside(d.cred.Namespace, fmt.Sprintf("many-%d", i))
				}
				d.cacheShows(last)
			}, false, "could not be found out", 4 * maxHeirs,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newSpeaking(t, apis["commerceLayer"], nil, nil)
			d.settle()
			test.given(d)
			counted := &counting{Reader: d.Live}
			d.Live, d.Custody.Reader = counted, counted
			d.mustGo()
			if revoked := d.server.Ledger().Revocations == 1; revoked != test.revoked {
				t.Errorf("revoked: %t, want %t: %s", revoked, test.revoked, test.why)
			}
			if test.says != "" {
				d.mustHaveEvent("RefreshTokenKept", test.says)
			}
			if reads := counted.reads.Load(); reads > test.reads {
				t.Errorf("%d live reads of Secrets, want %d at most", reads, test.reads)
			}
		})
	}
}

// cacheSpans replaces the cache by one that sees another namespace, too.
func (d *driven) cacheSpans(namespace string) {
	d.t.Helper()
	manager := newIdleManager(d.t, d.cred.Namespace, namespace)
	d.Client = manager.GetClient()
}

// TestHeirOfAnotherNamespaceIsNotNamed: who may see the events of one namespace need not be one who may look into others.
func TestHeirOfAnotherNamespaceIsNotNamed(t *testing.T) {
	t.Parallel()
	d := newSpeaking(t, apis["commerceLayer"], nil, nil)
	d.settle()
	elsewhere := newNamespace(t)
	d.cacheSpans(elsewhere)
	create(t, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: elsewhere, Name: "stock-login"},
		StringData: map[string]string{
			"client_id": clientID, "client_secret": clientSecret, "refresh_token": d.stored().Chain.Refresh.Reveal(),
		},
	})
	cred := d.beside(elsewhere, "stock")
	edit(t, cred, func(cred *v1alpha1.FluentCredential) { cred.Spec.Suspend = false })
	d.cacheShows(cred)
	first := d.cred
	d.cred = cred
	d.sleep(documentedPace)
	d.settle()
	if serial := d.stored().Serial; serial != 1 {
		t.Fatalf("it was not taken over: %s", d.says(v1alpha1.ConditionReady))
	}
	d.cred = first
	d.mustGo()
	d.mustHaveEvent("RefreshTokenKept", "another FluentCredential uses it")
	if strings.Contains(fmt.Sprint(eventsOf(t, first.Namespace, first.Name)), elsewhere) {
		t.Error("the event names the other namespace")
	}
}
