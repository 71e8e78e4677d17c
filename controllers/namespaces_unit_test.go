package controllers

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
)

// of is a credential of a namespace whose token expires after a while.
func of(namespace, name string, wait time.Duration) waiter {
	who := lives(name, wait)
	who.key.Namespace = namespace
	return who
}

// asks sends a request and gets its outcome at once.
func (h *Hosts) asks(host string, who waiter, told news, now time.Time) bool {
	if !h.Take(host, who, now) {
		return false
	}
	h.Land(host, who.key, told, now)
	return true
}

// TestUnitBrokenRequestsOfOneNamespaceCountForItAlone: one author's URL, headers or CA bundle break its own connections. The others
// at that host ask it as before.
func TestUnitBrokenRequestsOfOneNamespaceCountForItAlone(t *testing.T) {
	hosts, now := NewHosts(0).Bound(16), start
	hosts.asks("host", of("shop", "first", time.Hour), answered, now)
	for second := range 120 {
		for i := range 20 {
			hosts.asks("host", of("broken", fmt.Sprint(i), time.Minute), silent, now)
		}
		if hosts.LastFailure("host", "shop") != "" {
			t.Fatalf("after %d s the host fails for a namespace whose requests it answers", second)
		}
		var taken []waiter
		for i := range 4 {
			who := of("shop", fmt.Sprint(i), time.Hour)
			if !hosts.Take("host", who, now) {
				t.Fatalf("after %d s a credential whose host answers waits until %s", second, hosts.FreeAt("host", who, now))
			}
			taken = append(taken, who)
		}
		for _, who := range taken {
			hosts.Land("host", who.key, answered, now)
		}
		now = now.Add(time.Second)
	}
	if hosts.LastFailure("host", "broken") == "" {
		t.Error("the answers to others end the pause of a namespace whose requests break")
	}
}

// TestUnitNewNamespaceAsksBesideHostsThatNeverAnswer: after a start no host is known to answer, and requests that never end use up
// what such hosts may have.
func TestUnitNewNamespaceAsksBesideHostsThatNeverAnswer(t *testing.T) {
	hosts := NewHosts(0).Bound(16)
	for _, namespace := range []string{"mute", "slow", "churn", "junk"} {
		for i := range 24 {
			hosts.Take(fmt.Sprint(namespace, i), of(namespace, fmt.Sprint(i), time.Second), start)
		}
	}
	if !hosts.Take("good", of("shop", "orders", time.Hour), start) {
		t.Error("a namespace with nothing in flight has to wait")
	}
}

// TestUnitNamespaceAtSlowHostsLeavesSlots: one namespace has 150 credentials at two hosts of its own that answer after 28 s with
// tokens that expire at once. Tokens of a minute at a third host are refreshed all the time.
func TestUnitNamespaceAtSlowHostsLeavesSlots(t *testing.T) {
	const life, lead = time.Minute, 20 * time.Second
	type flight struct {
		host string
		who  waiter
		ends time.Time
	}
	hosts, now := NewHosts(0).Bound(16), start
	wakes, flights := map[types.NamespacedName]time.Time{}, []flight{}
	hosts.call = func(key types.NamespacedName) { wakes[key] = now }
	expires := map[types.NamespacedName]time.Time{}
	for i := range 150 {
		wakes[of("mallory", fmt.Sprint(i), 0).key] = start
	}
	for i := range 5 {
		key := of("shop", fmt.Sprint(i), 0).key
		wakes[key], expires[key] = start.Add(life-lead), start.Add(life)
	}
	look := func(key types.NamespacedName) {
		who := waiter{key: key, lane: lacking, expires: expires[key]}
		if now.Before(who.expires) {
			who.lane = living
		}
		host, takes := "shop", 200*time.Millisecond
		if key.Namespace == "mallory" {
			host, takes = "slow"+key.Name[len(key.Name)-1:], 28*time.Second
			host = map[bool]string{true: "slow-a", false: "slow-b"}[host < "slow5"]
		}
		if hosts.Take(host, who, now) {
			delete(wakes, key)
			flights = append(flights, flight{host, who, now.Add(takes)})
			return
		}
		until := hosts.FreeAt(host, who, now)
		wakes[key] = until
		hosts.Wait(host, who, until, now)
	}
	for ; now.Before(start.Add(5 * time.Minute)); now = now.Add(200 * time.Millisecond) {
		for _, each := range flights {
			if each.ends.After(now) {
				continue
			}
			hosts.Land(each.host, each.who.key, answered, now)
			wakes[each.who.key], expires[each.who.key] = now, now.Add(time.Second)
			if each.who.key.Namespace == "shop" {
				expires[each.who.key], wakes[each.who.key] = now.Add(life), now.Add(life-lead)
			}
		}
		flights = slices.DeleteFunc(flights, func(each flight) bool { return !each.ends.After(now) })
		var due []types.NamespacedName
		for key, at := range wakes {
			if !at.After(now) {
				due = append(due, key)
			}
		}
		slices.SortFunc(due, func(a, b types.NamespacedName) int { return order(place{key: a}, place{key: b}) })
		for _, key := range due {
			look(key)
		}
		for key, at := range expires {
			if key.Namespace == "shop" && now.After(at.Add(-lead+2*time.Second)) {
				t.Fatalf("after %s, %s is not refreshed in time: its token expires in %s", now.Sub(start), key, at.Sub(now))
			}
		}
	}
}

// TestUnitSlotsAreDividedAmongNamespaces takes as many slots as it can, one namespace after the other.
func TestUnitSlotsAreDividedAmongNamespaces(t *testing.T) {
	hosts := NewHosts(0).Bound(16)
	known := func(namespace string) {
		for i := range 3 {
			hosts.asks(fmt.Sprint(namespace, i), of(namespace, "first", time.Hour), answered, start)
		}
	}
	takes := func(namespace string) (taken int) {
		for i := range 16 {
			if hosts.Take(fmt.Sprint(namespace, i%3), of(namespace, fmt.Sprint(i), time.Minute), start) {
				taken++
			}
		}
		return taken
	}
	for _, namespace := range []string{"a", "b", "c", "d", "e"} {
		known(namespace)
	}
	var got []int
	for _, namespace := range []string{"a", "b", "c", "d", "e"} {
		if namespace == "a" {
			hosts.waitsAt("b0", of("b", "waits", time.Hour), start)
		}
		got = append(got, takes(namespace))
	}
	if diff := cmp.Diff([]int{8, 4, 2, 1, 1}, got); diff != "" {
		t.Errorf("half of what the others leave, one at least (-want +got)\n%s", diff)
	}
	alone := NewHosts(0).Bound(16)
	hosts = alone
	known("a")
	if got := takes("a"); got != 14 {
		t.Errorf("a namespace that is alone uses %d of 16 slots, want 14", got)
	}
	hosts = NewHosts(0).Bound(16)
	known("a")
	hosts.asks("dead", of("b", "canary", time.Hour), silent, start)
	hosts.waitsAt("dead", of("b", "waits", time.Hour), start)
	if got := takes("a"); got != 14 {
		t.Errorf("beside one that waits for a host that fails, a namespace uses %d of 16 slots, want 14", got)
	}
}

// TestUnitManyNamespacesAreScannedInPart: a scan of all of them at each request would hold the lock for minutes.
func TestUnitManyNamespacesAreScannedInPart(t *testing.T) {
	hosts := NewHosts(0).Bound(16)
	for n := range 16 {
		hosts.Take(fmt.Sprint("busy", n), of(fmt.Sprint("busy", n), "orders", time.Hour), start)
	}
	for n := range 2 * maxScanned {
		for i := range 2 {
			hosts.waitsAt(fmt.Sprint("host", n, i), of(fmt.Sprint("n", n), fmt.Sprint(i), time.Hour), start)
		}
	}
	for i := range 2 * maxScannedOf {
		hosts.waitsAt(fmt.Sprint("own", i), of("n0", fmt.Sprint("own", i), time.Hour), start)
	}
	namespaces := map[string]int{}
	for queue := range hosts.scanned() {
		namespaces[queue.namespace]++
	}
	if len(namespaces) != maxScanned {
		t.Errorf("%d namespaces are scanned, want %d", len(namespaces), maxScanned)
	}
	for namespace, queues := range namespaces {
		if queues > maxScannedOf {
			t.Errorf("%d queues of %s are scanned, want %d at most", queues, namespace, maxScannedOf)
		}
	}
	names := hosts.called()
	hosts.Land("busy0", of("busy0", "orders", 0).key, answered, start.Add(time.Second))
	if len(*names) == 0 {
		t.Error("the free slot goes to no namespace")
	}
}

// TestUnitSlowPathLeavesSlotsOfItsHost: a namespace that is alone asks a slow path of a host, and then another one asks that host.
func TestUnitSlowPathLeavesSlotsOfItsHost(t *testing.T) {
	hosts := NewHosts(0).Bound(16)
	hosts.asks("host", of("slow", "first", time.Hour), answered, start)
	hosts.asks("host", of("shop", "first", time.Hour), answered, start)
	for i := range 16 {
		hosts.Take("host", of("slow", fmt.Sprint(i), time.Second), start)
	}
	if !hosts.Take("host", of("shop", "orders", time.Hour), start) {
		t.Error("the other namespace has to wait")
	}
}

// TestUnitFreeSlotGoesToTheNamespaceWithFewestRequests: an earlier deadline is none of the others' business.
func TestUnitFreeSlotGoesToTheNamespaceWithFewestRequests(t *testing.T) {
	hosts := NewHosts(0).Bound(2)
	for _, host := range []string{"greedy", "shop"} {
		hosts.asks(host, of(host, "first", time.Hour), answered, start)
	}
	for i := range 2 {
		hosts.Take("greedy", of("greedy", fmt.Sprint(i), time.Second), start)
	}
	names := hosts.called()
	hosts.waitsAt("greedy", of("greedy", "earlier", time.Second), start)
	hosts.waitsAt("shop", of("shop", "later", time.Hour), start)
	hosts.Land("greedy", of("greedy", "0", 0).key, answered, start)
	if diff := cmp.Diff([]string{"later"}, *names); diff != "" {
		t.Errorf("called (-want +got)\n%s", diff)
	}
}

// TestUnitFreeSlotGoesToTheNamespaceThatWaitsLongest: many namespaces whose requests take long, and whose tokens have expired
// already, keep no other one waiting for more than one round.
func TestUnitFreeSlotGoesToTheNamespaceThatWaitsLongest(t *testing.T) {
	hosts, now := NewHosts(0).Bound(16), start
	slow := func(n int) waiter { return of(fmt.Sprintf("slow%02d", n), "orders", -time.Hour) }
	name := func(n int) string { return fmt.Sprintf("host%02d", n) }
	for n := range 16 {
		hosts.asks(name(n), slow(n), answered, now)
	}
	hosts.asks("shop", of("shop", "orders", time.Minute), answered, now)
	for n := range 16 {
		hosts.Take(name(n), slow(n), now)
	}
	now = now.Add(time.Second)
	names := hosts.called()
	hosts.waitsAt("shop", of("shop", "orders", time.Minute), now)
	for n := range 16 {
		hosts.waitsAt(name(n), slow(n), now)
	}
	now = now.Add(2 * time.Second)
	hosts.call = func(key types.NamespacedName) { *names = append(*names, key.Namespace) }
	hosts.Land(name(0), slow(0).key, answered, now)
	if diff := cmp.Diff([]string{"shop"}, *names); diff != "" {
		t.Errorf("called (-want +got)\n%s", diff)
	}
	if !hosts.Take("shop", of("shop", "orders", time.Minute), now) {
		t.Errorf("the namespace that has waited longest waits until %s", hosts.FreeAt("shop", of("shop", "orders", time.Minute), now))
	}
}

// TestUnitNamespaceWithoutWorkersHoldsNoTurn: its waiter is called and does not come, because the namespace has no free worker. Others
// do not wait for it.
func TestUnitNamespaceWithoutWorkersHoldsNoTurn(t *testing.T) {
	for why, test := range map[string]struct{ rate, slots int }{"the last slot": {0, 1}, "the rate": {30, 16}} {
		t.Run(why, func(t *testing.T) {
			hosts, now := NewHosts(test.rate).Bound(test.slots), start
			hosts.Take("host", of("another", "first", time.Hour), now)
			hosts.waitsAt("host", of("stuck", "earlier", time.Minute), now)
			hosts.waitsAt("host", of("shop", "later", time.Hour), now)
			now = now.Add(2 * time.Second)
			names := hosts.called()
			hosts.Land("host", of("another", "first", 0).key, answered, now)
			*names = nil
			now = now.Add(courtesy + 100*time.Millisecond)
			hosts.waitsAt("host", of("another", "first", 2*time.Hour), now)
			if !slices.Contains(*names, "later") && !hosts.Take("host", of("shop", "later", time.Hour), now) {
				t.Errorf("it is told to wait until %s", hosts.FreeAt("host", of("shop", "later", time.Hour), now).Sub(now))
			}
		})
	}
}

// TestUnitNamespacesTakeTurnsAtARate: hundreds of credentials of one namespace wait, the earliest expiry first. One of another namespace
// comes after one of them.
func TestUnitNamespacesTakeTurnsAtARate(t *testing.T) {
	hosts, now, served := NewHosts(30).Bound(16), start, []string{}
	wakes := map[waiter]time.Time{}
	hosts.call = func(key types.NamespacedName) {
		for who := range wakes {
			if who.key == key {
				wakes[who] = now
			}
		}
	}
	for i := range 20 {
		wakes[of("greedy", fmt.Sprintf("greedy-%02d", i), time.Duration(i)*time.Second+time.Minute)] = start
	}
	for i := range 3 {
		wakes[of("shop", fmt.Sprint("shop-", i), time.Duration(3-i)*time.Hour)] = start
	}
	looks := 0
	for ; now.Before(start.Add(time.Minute)); now = now.Add(100 * time.Millisecond) {
		var due []waiter
		for who, at := range wakes {
			if !at.After(now) {
				due = append(due, who)
			}
		}
		slices.SortFunc(due, func(a, b waiter) int { return order(place{key: a.key}, place{key: b.key}) })
		for _, who := range due {
			looks++
			if hosts.asks("host", who, answered, now) {
				delete(wakes, who)
				served = append(served, who.key.Name)
				continue
			}
			until := hosts.FreeAt("host", who, now)
			wakes[who] = until
			hosts.Wait("host", who, until, now)
		}
	}
	want := []string{"greedy-00", "shop-2", "greedy-01", "shop-1", "greedy-02", "shop-0"}
	for i := 3; i < 20; i++ {
		want = append(want, fmt.Sprintf("greedy-%02d", i))
	}
	if diff := cmp.Diff(want, served); diff != "" {
		t.Errorf("one of each in turn (-want +got)\n%s", diff)
	}
	if looks > 5*len(want) {
		t.Errorf("%d looks for %d requests", looks, len(want))
	}
}

// TestUnitManyNamespacesAtAHostThatFails: each sends canaries of its own, all together no more than two a second on average, and all
// go on within seconds when the host answers one of them.
func TestUnitManyNamespacesAtAHostThatFails(t *testing.T) {
	const namespaces = 100
	hosts, now, asks := NewHosts(0).Bound(16), start, 0
	who := func(n, i int) waiter { return of(fmt.Sprintf("n%02d", n), fmt.Sprint(i), time.Hour) }
	round := func(told news) {
		for n := range namespaces {
			for i := 1; i <= 2; i++ { // canaries have a retry time of their own: this one is another each time
				if hosts.asks("host", who(n, asks*2+i), told, now) {
					asks++
				}
			}
		}
		now = now.Add(250 * time.Millisecond)
	}
	for now.Before(start.Add(10 * time.Minute)) {
		round(silent)
	}
	asks = 0
	for end := now.Add(10 * time.Minute); now.Before(end); {
		round(silent)
	}
	if asks > 1300 || asks < 1000 {
		t.Errorf("asked %d times in ten minutes, want two a second", asks)
	}
	for end := now.Add(canaryPaceMost + time.Second); now.Before(end); {
		round(answered)
	}
	for n := range namespaces {
		if hosts.LastFailure("host", fmt.Sprintf("n%02d", n)) != "" {
			t.Errorf("the host answers, and still fails for namespace %d", n)
		}
	}
}

// TestUnitNothingIsKeptOfNamespacesThatAreGone: they come and go.
func TestUnitNothingIsKeptOfNamespacesThatAreGone(t *testing.T) {
	hosts, now := NewHosts(30).Bound(16), start
	for i := range 200 {
		who := of(fmt.Sprint("n", i), "orders", time.Hour)
		hosts.waitsAt("host", who, now)
		if hosts.Take("host", who, now) {
			hosts.Land("host", who.key, answered, now)
		}
		hosts.Leave(who.key, now)
		now = now.Add(time.Minute)
	}
	if kept := len(hosts.known["host"].guests); kept > 62 {
		t.Errorf("%d namespaces are remembered an hour after the last came", kept)
	}
	if len(hosts.active)+len(hosts.busy)+len(hosts.aloft)+len(hosts.places)+hosts.flying > 0 {
		t.Errorf("what nobody waits for is kept: %v %v", hosts.active, hosts.busy)
	}
	for _, rate := range hosts.known["host"].rates {
		if len(rate.busy) > 0 {
			t.Errorf("queues without waiters count at a rate: %v", rate.busy)
		}
	}
}
