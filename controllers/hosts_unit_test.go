package controllers

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// nobody waits: it asks for itself alone.
var nobody = waiter{}

// TestUnitHostsHoldTheRate asks as fast as it can, at random: no minute holds more than the rate, and the one that began it.
func TestUnitHostsHoldTheRate(t *testing.T) {
	for _, rate := range []int{1, 2, 7, 30, 59, 600} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			random, hosts := rand.New(rand.NewPCG(uint64(rate), 1)), NewHosts(rate)
			var taken []time.Time
			for now := start; now.Before(start.Add(10 * time.Minute)); {
				if hosts.Take("host", nobody, now) {
					taken = append(taken, now)
				}
				now = now.Add(time.Duration(random.Int64N(int64(2 * time.Minute / time.Duration(rate)))))
			}
			if len(taken) < 5*rate {
				t.Errorf("%d requests in ten minutes: the rate is hardly used", len(taken))
			}
			for i, first := range taken {
				within := 0
				for _, at := range taken[i:] {
					if at.Sub(first) < time.Minute {
						within++
					}
				}
				if within > rate+1 {
					t.Fatalf("%d requests in the minute from %s", within, first)
				}
			}
		})
	}
}

// TestUnitHostsAreFreeWhenTheySay: who asks at FreeAt is let through, and before it is not told that it is free.
func TestUnitHostsAreFreeWhenTheySay(t *testing.T) {
	for _, rate := range []int{1, 2, 3, 7, 11, 30, 59, 60, 61, 600, 100_000} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			random, hosts, now := rand.New(rand.NewPCG(uint64(rate), 2)), NewHosts(rate), start
			for range 2000 {
				free := hosts.FreeAt("host", nobody, now)
				if free.IsZero() {
					if !hosts.Take("host", nobody, now) {
						t.Fatalf("it says that it is free, and refuses, at %s", now)
					}
					now = now.Add(time.Duration(random.Int64N(int64(time.Minute)) / int64(rate)))
					continue
				}
				if !free.After(now) {
					t.Fatalf("free at %s, which is not after %s: whoever waits for it is called again at once", free, now)
				}
				if hosts.Take("host", nobody, now) {
					t.Fatalf("free at %s, and lets a request through at %s", free, now)
				}
				if now = free; !hosts.Take("host", nobody, now) {
					t.Fatalf("it said that it would be free at %s, and refuses", now)
				}
			}
		})
	}
}

// TestUnitHostsLookingTakesNothing: many credentials look at the same host at once, and none of them asks it.
func TestUnitHostsLookingTakesNothing(t *testing.T) {
	hosts := NewHosts(30)
	look := func() {
		var looking sync.WaitGroup
		for range 8 {
			looking.Go(func() {
				for range 5000 {
					hosts.FreeAt("host", nobody, start)
				}
			})
		}
		looking.Wait()
	}
	look()
	if free := hosts.FreeAt("host", nobody, start); !free.IsZero() || !hosts.Take("host", nobody, start) {
		t.Errorf("nobody asked the host, and it is free at %s only", free)
	}
	look()
	if free := hosts.FreeAt("host", nobody, start); free.After(start.Add(2*time.Second + time.Microsecond)) {
		t.Errorf("it was asked once, and is free after %s only", free.Sub(start))
	}
}

// TestUnitHostsAreTakenWhileSomebodyLooks: whoever looks is told of one turn to wait for, however often others take theirs meanwhile.
func TestUnitHostsAreTakenWhileSomebodyLooks(t *testing.T) {
	const turn = 10 * time.Microsecond
	for range 100 {
		hosts := NewHosts(int(time.Minute / turn))
		var turns atomic.Int64
		var taking sync.WaitGroup
		taking.Go(func() {
			for range 2000 {
				hosts.Take("host", nobody, start.Add(time.Duration(turns.Add(1))*turn))
			}
		})
		for turns.Load() < 2000 {
			at := start.Add(time.Duration(turns.Load()) * turn)
			if wait := hosts.FreeAt("host", nobody, at).Sub(at); wait > turn+time.Microsecond {
				t.Fatalf("a turn is %s, and it is free after %s", turn, wait)
			}
		}
		taking.Wait()
	}
}

func TestUnitHostsKeepApart(t *testing.T) {
	hosts := NewHosts(1)
	if !hosts.Take("one", nobody, start) || !hosts.Take("other", nobody, start) {
		t.Error("two hosts wait for each other")
	}
	if hosts.Take("one", nobody, start.Add(59*time.Second)) {
		t.Error("one request a minute, and 59 s passed")
	}
	if !hosts.Take("one", nobody, start.Add(time.Minute)) {
		t.Error("one request a minute, and a minute passed")
	}
}

func TestUnitHostsWithoutLimit(t *testing.T) {
	hosts := NewHosts(0)
	for range 10_000 {
		if !hosts.Take("host", nobody, start) || !hosts.FreeAt("host", nobody, start).IsZero() {
			t.Fatal("there is no limit")
		}
	}
}

// TestUnitHostsKeepToWhatTheAPIDocuments: nobody has to know the limit of an API to keep to it.
func TestUnitHostsKeepToWhatTheAPIDocuments(t *testing.T) {
	documented := waiter{perMinute: 30}
	hosts := NewHosts(0)
	if !hosts.Take("host", documented, start) || hosts.Take("host", documented, start.Add(1999*time.Millisecond)) {
		t.Error("thirty requests a minute are one every two seconds")
	}
	if !hosts.Take("host", documented, start.Add(2*time.Second)) || !hosts.Take("other", nobody, start) || !hosts.Take("other", nobody, start) {
		t.Error("the limit of one host holds for its own requests alone")
	}
	told := NewHosts(60)
	if !told.Take("host", documented, start) || !told.Take("host", documented, start.Add(time.Second)) {
		t.Error("--host-rate is the administrator's word, who may have another contract")
	}
}

// TestUnitTheRateOfOneAPISlowsNobodyElse: whoever writes the host of another API into a FluentCredential has its own requests held to
// the rate, and not those of everybody who asks that host.
func TestUnitTheRateOfOneAPISlowsNobodyElse(t *testing.T) {
	misled := waiter{key: types.NamespacedName{Namespace: "other", Name: "misled"}, perMinute: 30}
	hosts, taken := NewHosts(0).Bound(16), 0
	for second := range 60 {
		now := start.Add(time.Duration(second) * time.Second)
		if hosts.Take("host", misled, now) {
			taken++
			hosts.Land("host", misled.key, answered, now)
		}
		for i := range 5 {
			who := lives(fmt.Sprint(i), time.Hour)
			if free := hosts.FreeAt("host", who, now); !free.IsZero() || !hosts.Take("host", who, now) {
				t.Fatalf("after %d s a credential of an API without a rate waits until %s", second, free)
			}
			hosts.Land("host", who.key, answered, now)
		}
	}
	if taken != 30 {
		t.Errorf("%d requests in a minute of those that are held to 30", taken)
	}
}

// TestUnitOneHostIsOneHostAtAnyRate: what is on its way, and whether it fails, counts for the host, at whatever rate it is asked.
func TestUnitOneHostIsOneHostAtAnyRate(t *testing.T) {
	hosts, held := NewHosts(0).Bound(4), waiter{key: types.NamespacedName{Name: "held"}, perMinute: 30}
	hosts.Take("host", held, start)
	hosts.Land("host", held.key, silent, start)
	if hosts.LastFailure("host", "") == "" || hosts.FreeAt("host", lives("free", time.Hour), start).IsZero() {
		t.Error("the host fails, and those who are held to no rate know nothing of it")
	}
	hosts = NewHosts(0).Bound(4)
	hosts.Take("host", lives("first", time.Hour), start)
	hosts.Land("host", types.NamespacedName{Name: "first"}, answered, start)
	for i := range 3 {
		hosts.Take("host", lives(fmt.Sprint(i), time.Hour), start)
	}
	if hosts.Take("host", held, start) {
		t.Error("one host has all slots")
	}
}

// TestUnitHostsThatNobodyAsksAreForgotten: FluentCredentials come and go, and so do the hosts that they name.
func TestUnitHostsThatNobodyAsksAreForgotten(t *testing.T) {
	hosts, now := NewHosts(0).Bound(16), start
	hosts.waitsAt("waited-for", lives("waits", 48*time.Hour), now)
	hosts.Take("hangs", lives("hangs", time.Hour), now)
	for i := range 1000 {
		who := lives(fmt.Sprint(i), time.Hour)
		hosts.Take(fmt.Sprint("host-", i), who, now)
		hosts.Land(fmt.Sprint("host-", i), who.key, answered, now)
		now = now.Add(time.Minute)
	}
	if kept := len(hosts.known); kept > 2+75+1 {
		t.Errorf("a thousand hosts were asked, one a minute, and %d are known", kept)
	}
	for _, name := range []string{"waited-for", "hangs", "host-999", "host-950"} {
		if hosts.known[name] == nil {
			t.Errorf("%s is forgotten", name)
		}
	}
}

// TestUnitFarBehindIsAGuess: who has thousands before it is told about how long they take, without their being counted one by one.
func TestUnitFarBehindIsAGuess(t *testing.T) {
	hosts, count := NewHosts(0).Bound(4), 5000
	hosts.Take("host", lives("first", time.Hour), start)
	hosts.Land("host", types.NamespacedName{Name: "first"}, answered, start)
	for i := range 3 {
		hosts.Take("host", lives(fmt.Sprint("flies-", i), time.Hour), start)
	}
	at := func(place int) waiter {
		return lives(fmt.Sprintf("%04d", place), time.Hour+time.Duration(place)*time.Second)
	}
	for place := range count {
		hosts.waitsAt("host", at(place), start)
	}
	for place, want := range map[int]time.Duration{
		0: glance, 100: glance, nearby - 1: 511 * swiftness, nearby + 1: 513 * swiftness, 2500: 2500 * swiftness, 4000: 4000 * swiftness,
		count - 1: farthest * swiftness,
	} {
		told := hosts.FreeAt("host", at(place), start).Sub(start)
		if told < want*9/10 || told > want*11/10 {
			t.Errorf("place %d is told to come after %s, want about %s", place, told, want)
		}
	}
}

// TestUnitHostsThatAnAuthorMadeUpAreForgotten: a domain has any number of names, and a name costs its author an edit.
func TestUnitHostsThatAnAuthorMadeUpAreForgotten(t *testing.T) {
	tests := map[string]struct {
		why   string
		asks  bool
		pause time.Duration // between two hosts
		hosts int
		most  int
	}{
		"never asked":    {"nothing is known of them", false, 100 * time.Millisecond, 10_000, 1000},
		"asked":          {"for an hour something is known of them", true, time.Second, 10_000, 3700},
		"asked too many": {"then only the latest are remembered", true, 50 * time.Millisecond, 20_000, 2 * mostHosts},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			hosts, now, most := NewHosts(0).Bound(16), start, 0
			for i := range test.hosts {
				host, who := fmt.Sprintf("n%d.attacker.example", i), waiter{key: types.NamespacedName{Namespace: "greedy", Name: "orders"}}
				hosts.FreeAt(host, who, now)
				if test.asks && hosts.Take(host, who, now) {
					hosts.Land(host, who.key, answered, now)
				}
				now = now.Add(test.pause)
				most = max(most, len(hosts.known))
			}
			if most > test.most {
				t.Errorf("%d hosts are remembered at a time, want %d at most: %s", most, test.most, test.why)
			}
		})
	}
}
