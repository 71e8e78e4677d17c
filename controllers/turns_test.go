package controllers

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// readCounter counts the reads that no cache answers.
type readCounter struct {
	client.Reader
	reads int
}

func (c *readCounter) Get(ctx context.Context, key types.NamespacedName, into client.Object, options ...client.GetOption) error {
	c.reads++
	return c.Reader.Get(ctx, key, into, options...)
}

// fleet is many credentials of one operator, called when they want to be, on a clock that the test turns.
type fleet struct {
	*Reconciler
	clock  *testclock.FakePassiveClock
	server *server
	creds  []*driven
	calls  map[*driven]time.Time
	random *rand.Rand
}

// numbered is the life of the token of the n-th credential of a fleet: each expires one turn after the one before.
func numbered(number int) time.Duration { return 10*time.Minute + time.Duration(number)*2*time.Second }

func newFleet(t *testing.T, count int) *fleet {
	t.Helper()
	clock := testclock.NewFakePassiveClock(start)
	sim := newServer(t, manyUsers(count, func(config *authsim.Config) {
		config.Clock = clock.Now
		for i := range count {
			config.Clients = append(config.Clients, authsim.Client{
				ID: fmt.Sprintf("%s-%d", clientID, i), Secret: clientSecret, Scope: "api", AccessTokenLifetime: numbered(i),
			})
		}
	}))
	namespace := newNamespace(t)
	f := &fleet{
		Reconciler: newIdleReconciler(t, namespace, clock), clock: clock, server: sim,
		calls: map[*driven]time.Time{}, random: rand.New(rand.NewPCG(4, 0)),
	}
	for i := range count {
		name := fmt.Sprintf("orders-%d", i)
		login, cred := loginSecret(namespace, name+"-login"), credential(namespace, name, sim)
		login.StringData["username"] = fmt.Sprintf("%s-%d", user, i)
		login.StringData["client_id"] = fmt.Sprintf("%s-%d", clientID, i)
		cred.Spec.CredentialsSecretRef.Name = login.Name
		create(t, login)
		create(t, cred)
		f.creds = append(f.creds, &driven{Reconciler: f.Reconciler, t: t, clock: clock, server: sim, cred: cred})
	}
	return f
}

// callAll makes a pass over each, in no order.
func (f *fleet) callAll() {
	for _, i := range f.random.Perm(len(f.creds)) {
		f.call(f.creds[i])
	}
}

func (f *fleet) call(d *driven) {
	f.calls[d] = f.clock.Now().Add(d.pass())
}

// next is who wants to be called first.
func (f *fleet) next() *driven {
	var first *driven
	for _, d := range f.creds {
		if first == nil || f.calls[d].Before(f.calls[first]) {
			first = d
		}
	}
	return first
}

// runUntil calls all when they want to be, until so many refreshes were granted.
func (f *fleet) runUntil(t *testing.T, granted int) {
	t.Helper()
	for range 10 * len(f.creds) {
		if f.server.Ledger().RefreshGrants >= granted {
			return
		}
		d := f.next()
		if at := f.calls[d]; at.After(f.clock.Now()) {
			f.clock.SetTime(at)
		}
		f.call(d)
	}
	t.Fatalf("%d of %d had their turn", f.server.Ledger().RefreshGrants, granted)
}

// TestDueTogether: forty credentials are due at one moment, the n-th of them expires two seconds after its turn at thirty a minute.
// There is one order in which no token expires.
func TestDueTogether(t *testing.T) {
	t.Parallel()
	const count = 40
	f := newFleet(t, count)
	for _, d := range f.creds {
		d.settle()
	}
	counter := &readCounter{Reader: f.Custody.Reader}
	f.Custody.Reader = counter
	f.Hosts = NewHosts(30)
	f.clock.SetTime(start.Add(numbered(0) - 4*time.Second)) // until now the operator was down
	f.Hosts.Take(strings.TrimPrefix(f.server.URL, "http://"), nobody, f.clock.Now())
	f.callAll()
	f.runUntil(t, count)
	if counter.reads > 3*count {
		t.Errorf("%d live reads of states for %d tokens", counter.reads, count)
	}
	t.Logf("%d live reads of states for %d tokens", counter.reads, count)
	mustTakeTurns(t, f.server.Ledger(), 2*time.Second)
}

// mustTakeTurns looks at the refreshes in the order of their arrival.
func mustTakeTurns(t *testing.T, ledger authsim.Ledger, interval time.Duration) {
	t.Helper()
	expiries := map[string]time.Time{} // by user, of the first token
	for _, issued := range slices.Backward(ledger.AccessTokens) {
		expiries[issued.Username] = issued.Expires
	}
	var before authsim.TokenRequest
	for _, request := range ledger.TokenRequests {
		if request.Grant != authsim.GrantRefreshToken {
			continue
		}
		expires := expiries[request.Username]
		if !request.Time.Before(expires) {
			t.Errorf("the token of %s expired %s before its turn", request.Username, request.Time.Sub(expires))
		}
		if before.Seq > 0 && request.Time.Sub(before.Time) < interval {
			t.Errorf("two requests within %s", request.Time.Sub(before.Time))
		}
		if before.Seq > 0 && expires.Before(expiries[before.Username]) {
			t.Errorf("%s had its turn after %s, and its token expires before", request.Username, before.Username)
		}
		before = request
	}
}

// TestDueTogetherWithOneSlot: forty credentials are due when an operator comes back, which looks at them in no order. They are served
// in the order of expiry, without a limit of the host, and each state is read twice at most.
func TestDueTogetherWithOneSlot(t *testing.T) {
	t.Parallel()
	const count = 40
	f := newFleet(t, count)
	for _, d := range f.creds {
		d.settle()
	}
	f.clock.SetTime(start.Add(numbered(0) - 4*time.Second)) // until now the operator was down
	f.memory = newMemory()
	f.Hosts = NewHosts(0).Bound(1)
	f.Hosts.call = func(key types.NamespacedName) {
		for _, d := range f.creds {
			if client.ObjectKeyFromObject(d.cred) == key {
				f.calls[d] = f.clock.Now()
			}
		}
	}
	counter := &readCounter{Reader: f.Custody.Reader}
	f.Custody.Reader = counter
	eventually(t, "the cache shows when they are due", func() (bool, any) {
		var list v1alpha1.FluentCredentialList
		if err := f.Client.List(t.Context(), &list); err != nil {
			t.Fatal(err)
		}
		due := 0
		for i := range list.Items {
			if looksDue(&list.Items[i], f.clock.Now()) {
				due++
			}
		}
		return due == count, due
	})
	f.callAll()
	f.runUntil(t, count)
	if counter.reads > 2*count {
		t.Errorf("%d live reads of states for %d tokens", counter.reads, count)
	}
	mustTakeTurns(t, f.server.Ledger(), 0)
}
