package controllers

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// lives is somebody whose token expires after a while.
func lives(name string, wait time.Duration) waiter {
	return waiter{key: types.NamespacedName{Name: name}, lane: living, expires: start.Add(wait)}
}

// waitsAt puts somebody into the line of a host.
func (h *Hosts) waitsAt(host string, who waiter, now time.Time) {
	h.Wait(host, who, h.FreeAt(host, who, now), now)
}

// called collects who is called.
func (h *Hosts) called() *[]string {
	names := &[]string{}
	h.call = func(key types.NamespacedName) { *names = append(*names, key.Name) }
	return names
}

// TestUnitSlotsAreNeverExceeded takes and lands at random: the bounds hold at every moment.
func TestUnitSlotsAreNeverExceeded(t *testing.T) {
	for seed := range uint64(30) {
		random, slots := rand.New(rand.NewPCG(seed, 5)), 1+int(seed)
		hosts, now, flying := NewHosts(0).Bound(slots), start, map[string][]types.NamespacedName{}
		count, taken := 0, 0
		for number := range 3000 {
			host := fmt.Sprint(random.IntN(4))
			who := lives(fmt.Sprint(number), time.Duration(random.IntN(1000))*time.Second)
			failing := hosts.LastFailure(host, "") != ""
			if random.IntN(2) == 0 && hosts.Take(host, who, now) {
				if failing && len(flying[host]) > 0 {
					t.Fatalf("seed %d: two ask a host that fails", seed)
				}
				flying[host] = append(flying[host], who.key)
				count++
				taken++
			} else if len(flying[host]) > 0 {
				told := []news{none, answered, answered, silent}[random.IntN(4)]
				hosts.Land(host, flying[host][0], told, now)
				flying[host] = flying[host][1:]
				count--
			}
			if count > slots || len(flying[host]) > share(slots, 3) {
				t.Fatalf("seed %d: %d on their way, %d to one host, of %d", seed, count, len(flying[host]), slots)
			}
			now = now.Add(time.Duration(random.IntN(int(time.Second))))
		}
		if taken < 300 {
			t.Errorf("seed %d: %d of 3000 had a turn: the slots are hardly used", seed, taken)
		}
	}
}

// TestUnitHangingHostsLeaveRoom: as many hosts hang as there are slots, and one that answers is asked all the same.
func TestUnitHangingHostsLeaveRoom(t *testing.T) {
	hosts := NewHosts(0).Bound(16)
	if !hosts.Take("good", lives("first", time.Hour), start) {
		t.Fatal("an idle operator does not ask")
	}
	hosts.Land("good", types.NamespacedName{Name: "first"}, answered, start)
	hung := 0
	for i := range 16 {
		if hosts.Take(fmt.Sprint("hangs-", i), lives(fmt.Sprint(i), time.Minute), start) {
			hung++
		}
	}
	good := 0
	for i := range 16 {
		if hosts.Take("good", lives(fmt.Sprint("good-", i), time.Hour), start) {
			good++
		}
	}
	if hung != 7 || good != 7 {
		t.Errorf("%d hang and %d are served of 16; want half and half, and two left for other namespaces", hung, good)
	}
	hosts = NewHosts(0).Bound(16)
	for i := range 100 {
		hosts.Take("stops", lives(fmt.Sprint(i), time.Minute), start)
		if i < 20 {
			hosts.Land("stops", types.NamespacedName{}, answered, start)
		}
	}
	if !hosts.Take("other", lives("other", time.Hour), start) {
		t.Error("a host that answered once and then hangs has taken all slots")
	}
}

// TestUnitCanary: while a host fails one asks it, others wait for what comes of it, and when it answers all are called.
func TestUnitCanary(t *testing.T) {
	hosts, now := NewHosts(0).Bound(16), start
	canary, person := lives("canary", time.Minute), waiter{key: types.NamespacedName{Name: "person"}, lane: asked}
	others := []waiter{lives("a", 2*time.Minute), lives("b", 3*time.Minute), lives("c", 4*time.Minute)}
	hosts.Take("host", canary, now)
	hosts.Land("host", canary.key, silent, now)
	names := hosts.called()
	for _, who := range others {
		if hosts.Take("host", who, now) {
			t.Errorf("%s asks a host that has just failed", who.key.Name)
		}
		hosts.waitsAt("host", who, now)
	}
	if !hosts.Take("host", canary, now) {
		t.Error("the canary waits for more than its own retry time")
	}
	if hosts.Take("host", person, now) {
		t.Error("two ask a host that fails")
	}
	hosts.Land("host", canary.key, silent, now)
	if !hosts.Take("host", person, now) {
		t.Error("what a person asked for waits for the pace of the canaries")
	}
	hosts.Land("host", person.key, silent, now)
	if now = hosts.FreeAt("host", others[0], now); now.Sub(start) > canaryPaceMost {
		t.Errorf("the next canary flies after %s", now.Sub(start))
	}
	if !hosts.Take("host", others[0], now) {
		t.Error("the canary that has the earliest expiry does not fly at its time")
	}
	*names = nil
	hosts.Land("host", others[0].key, answered, now)
	if diff := cmp.Diff([]string{"b", "c"}, *names); diff != "" {
		t.Errorf("the host answers, and those that wait are not called (-want +got)\n%s", diff)
	}
	if !hosts.Take("host", others[1], now) || !hosts.Take("host", others[2], now) {
		t.Error("the host answers, and not all may ask")
	}
}

// TestUnitCanariesKeepTheirPace: a thousand wait at a host that fails for an hour, and it is asked every five seconds at most.
func TestUnitCanariesKeepTheirPace(t *testing.T) {
	hosts, now, asks := NewHosts(0).Bound(16), start, 0
	for i := range 1000 {
		hosts.waitsAt("host", lives(fmt.Sprintf("%04d", i), time.Duration(2+i)*time.Hour), now)
	}
	for now.Before(start.Add(time.Hour)) {
		for _, next := range hosts.of("host", nobody).next(1, now) {
			who := lives(next.key.Name, next.deadline.Sub(start))
			if hosts.Take("host", who, now) {
				asks++
				hosts.Land("host", who.key, silent, now)
			}
		}
		for _, other := range hosts.of("host", nobody).waiting {
			other.until = now.Add(time.Minute) // they come when they want to
			hosts.of("host", nobody).put(other)
		}
		now = now.Add(250 * time.Millisecond)
	}
	if asks > 730 || asks < 600 {
		t.Errorf("asked %d times in an hour", asks)
	}
}

// TestUnitShortSlotsGoByDeadline: of all that wait, at whatever host, the one with the earliest expiry is called when a slot is free.
func TestUnitShortSlotsGoByDeadline(t *testing.T) {
	hosts, names := NewHosts(0).Bound(1), []string{"one", "two", "three"}
	for _, host := range names {
		hosts.Take(host, lives("first", 0), start)
		hosts.Land(host, types.NamespacedName{}, answered, start)
	}
	hosts.Take("one", lives("busy", 0), start)
	called, at := hosts.called(), map[string]string{}
	for i, wait := range []int{50, 20, 60, 10, 40, 30} {
		at[fmt.Sprint(wait)] = names[i%3]
		hosts.waitsAt(names[i%3], lives(fmt.Sprint(wait), time.Duration(wait)*time.Minute), start)
	}
	var served []string
	for flying, now := "one", start; len(served) < 6; now = now.Add(time.Second) {
		*called = nil
		hosts.Land(flying, types.NamespacedName{}, none, now)
		if len(*called) != 1 {
			t.Fatalf("one slot is free, and %v are called", *called)
		}
		next := (*called)[0]
		wait, _ := strconv.Atoi(next)
		if flying = at[next]; !hosts.Take(flying, lives(next, time.Duration(wait)*time.Minute), now) {
			t.Fatalf("%s is called, and may not ask", next)
		}
		served = append(served, next)
	}
	if !slices.IsSorted(served) {
		t.Errorf("served in the order %v", served)
	}
}

func TestUnitNewsOfAHost(t *testing.T) {
	tests := map[string]struct {
		why    string
		answer provider.Answer
		want   news
	}{
		"granted":        {"it works", provider.Answer{Verdict: token.Granted}, answered},
		"dead token":     {"it works, and says no", provider.Answer{Verdict: token.RefusedDead}, answered},
		"wrong password": {"it works, and says no", provider.Answer{Verdict: token.LoginRefused}, answered},
		"wrong client":   {"it works, and says no", provider.Answer{Verdict: token.RefusedIntact}, answered},
		"declined":       {"it works, and says something that nobody knows", provider.Answer{Verdict: token.Declined}, answered},
		"redirected":     {"a portal or a page in front of it, for everybody", provider.Answer{Verdict: token.Declined, Problem: provider.Problem{Code: provider.Redirect}}, silent},
		"forbidden here": {"nobody was asked", provider.Answer{Verdict: token.RefusedIntact, Problem: provider.Problem{Code: exchange.NotAllowed}}, none},
		"a name's lie":   {"nobody was asked", provider.Answer{Verdict: token.Unsent, Problem: provider.Problem{Code: exchange.NotAllowed}}, none},
		"refused":        {"nobody listens", provider.Answer{Verdict: token.Unsent}, silent},
		"reply lost":     {"nobody knows, and the next may be lost too", provider.Answer{Verdict: token.Unknown}, silent},
		"try later":      {"it says itself that it cannot", provider.Answer{Verdict: token.TryLater}, silent},
		"disk full":      {"that is our own trouble", provider.Answer{Verdict: token.Unsent, Problem: provider.Problem{Code: journalUnwritable}}, none},
	}
	for name, test := range tests {
		if got := newsOf(test.answer); got != test.want {
			t.Errorf("%s: %d, want %d: %s", name, got, test.want, test.why)
		}
	}
}
