package controllers

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

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
	released := make(chan struct{})
	hosts := []*slowHost{newSlowHost(t, released), newSlowHost(t, released), newSlowHost(t, released), newSlowHost(t, released)}
	greedy, friend := newNamespace(t), newNamespace(t)
	sim := newServer(t, nil)
	startOperatorAs(t, cluster, friend, greedy)
	t.Cleanup(func() { close(released) })
	var creds []*v1alpha1.FluentCredential
	for i := range 64 {
		name := fmt.Sprint("orders-", i)
		login := loginSecret(greedy, name+"-login")
		login.StringData["username"] = name // one login can be used by one FluentCredential only
		create(t, login)
		cred := credential(greedy, name, &server{URL: hosts[i%len(hosts)].url})
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
	eventually(t, "many requests are in flight", func() (bool, any) { return inFlight() >= 12, inFlight() })
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
