package controllers

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	testclock "k8s.io/utils/clock/testing"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// slowHost is a token host that refuses the client at once until it becomes slow.
type slowHost struct {
	url     string
	slow    atomic.Bool
	waiting atomic.Int32
}

func newSlowHost(t *testing.T, released <-chan struct{}) *slowHost {
	t.Helper()
	h := &slowHost{}
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if h.slow.Load() {
			h.waiting.Add(1)
			defer h.waiting.Add(-1)
			select {
			case <-released:
			case <-request.Context().Done():
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":"invalid_client"}`))
	}))
	t.Cleanup(listener.Close)
	h.url = listener.URL
	return h
}

// TestNamespaceOfSlowHostsDelaysNobody: 64 FluentCredentials of one namespace are at hosts that answer and then take their time. A token
// of another namespace comes as promptly as ever.
func TestNamespaceOfSlowHostsDelaysNobody(t *testing.T) {
	t.Parallel()
	delaysNoOther(t, 64, newNamespace(t))
}

// TestTwoNamespacesOfSlowHostsDelayNobody: the workers that one namespace leaves to another would be enough to use up all exchange
// slots.
func TestTwoNamespacesOfSlowHostsDelayNobody(t *testing.T) {
	t.Parallel()
	delaysNoOther(t, 32, newNamespace(t), newNamespace(t))
}

// delaysNoOther has so many FluentCredentials in each namespace at slow hosts, and one in another namespace.
func delaysNoOther(t *testing.T, count int, greedy ...string) {
	t.Helper()
	released := make(chan struct{})
	hosts := []*slowHost{newSlowHost(t, released), newSlowHost(t, released), newSlowHost(t, released), newSlowHost(t, released)}
	friend, sim := newNamespace(t), newServer(t, nil)
	startOperatorAs(t, cluster, append([]string{friend}, greedy...)...)
	t.Cleanup(func() { close(released) })
	var creds []*v1alpha1.FluentCredential
	for i := range count * len(greedy) {
		namespace, name := greedy[i%len(greedy)], fmt.Sprint("orders-", i)
		login := loginSecret(namespace, name+"-login")
		login.StringData["username"] = name // one login can be used by one FluentCredential only
		create(t, login)
		cred := credential(namespace, name, &server{URL: hosts[i/len(greedy)%len(hosts)].url})
		cred.Spec.CredentialsSecretRef.Name = login.Name
		create(t, cred)
		creds = append(creds, cred)
	}
	inFlight := func() (count int) {
		for _, host := range hosts {
			count += int(host.waiting.Load())
		}
		return count
	}
	eventually(t, "the hosts have answered", func() (bool, any) {
		for _, cred := range creds {
			if reread(t, cred).Status.Failures == nil {
				return false, cred.Name
			}
		}
		return true, nil
	})
	for _, host := range hosts {
		host.slow.Store(true)
	}
	for _, cred := range creds {
		edit(t, reread(t, cred), func(cred *v1alpha1.FluentCredential) {
			cred.Annotations = map[string]string{v1alpha1.RotateAnnotation: "now"}
		})
	}
	most, since := 0, time.Now()
	eventually(t, "many requests are in flight, and no more begin", func() (bool, any) {
		if now := inFlight(); now > most {
			most, since = now, time.Now()
		}
		return most >= 10 && time.Since(since) > 2*time.Second, most
	})
	begun := time.Now()
	create(t, loginSecret(friend, "orders-login"))
	cred := credential(friend, "orders", sim)
	create(t, cred)
	eventually(t, "the other namespace has its token", func() (bool, any) { return isReady(reread(t, cred)) })
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the other namespace waited for its token for %s", took)
	}
	if still := inFlight(); still < 8 {
		t.Errorf("only %d requests were in flight meanwhile", still)
	}
}

// TestBrokenRequestsOfANamespaceDelayNoOther: an author writes https:// for the port of a plain-HTTP host. A credential of another
// namespace asks that host at once.
func TestBrokenRequestsOfANamespaceDelayNoOther(t *testing.T) {
	t.Parallel()
	sim, clock := newServer(t, nil), testclock.NewFakePassiveClock(time.Now())
	broken, friend := newNamespace(t), newNamespace(t)
	r := idleReconcilerOf(newIdleManager(t, friend, broken), friend, clock)
	r.Hosts = NewHosts(0).Bound(16)
	of := func(namespace, url string) *driven {
		cred := credential(namespace, "orders", &server{URL: url})
		create(t, loginSecret(namespace, cred.Spec.CredentialsSecretRef.Name))
		create(t, cred)
		return &driven{Reconciler: r, t: t, clock: clock, server: sim, cred: cred}
	}
	bad, good := of(broken, strings.Replace(sim.URL, "http://", "https://", 1)), of(friend, sim.URL)
	bad.settle()
	if failures := reread(t, bad.cred).Status.Failures; failures == nil {
		t.Fatal("the broken request has not failed")
	}
	good.settle()
	if ready, conditions := isReady(reread(t, good.cred)); !ready {
		t.Errorf("the other namespace waits: %+v", conditions)
	}
}
