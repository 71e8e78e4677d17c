package controllers

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/plan"
)

// A line is a queue of which a test is the work queue: it calls everybody when they wanted to be called, on a clock of its own.
type line struct {
	*Hosts
	now    time.Time
	calls  map[string]time.Time
	ranks  map[string]waiter
	served []string
	at     []time.Time
	looks  int
}

// newLine is a host that was asked a moment ago, and allows thirty requests a minute.
func newLine() *line {
	l := &line{Hosts: NewHosts(30), now: start, calls: map[string]time.Time{}, ranks: map[string]waiter{}}
	l.call = func(key types.NamespacedName) {
		if _, waits := l.calls[key.Name]; waits {
			l.calls[key.Name] = l.now
		}
	}
	l.Take("host", waiter{lane: lacking}, start)
	return l
}

// comes puts somebody into the line; the wait is until its token expires.
func (l *line) comes(name string, of lane, wait time.Duration) {
	who := waiter{key: types.NamespacedName{Name: name}, lane: of}
	if of != lacking {
		who.expires = start.Add(wait)
	}
	l.ranks[name] = who
	l.look(name)
}

// come puts many into the line: "living 10 20" are two whose tokens expire in 10 and 20 s, and that are called living-10, living-20.
func (l *line) come(many string) {
	words := strings.Fields(many)
	of := map[string]lane{"asked": asked, "living": living, "lacking": lacking}[words[0]]
	for _, word := range words[1:] {
		seconds, _ := strconv.Atoi(word)
		l.comes(words[0]+"-"+word, of, time.Duration(seconds)*time.Second)
	}
}

// look is what a pass does.
func (l *line) look(name string) {
	l.looks++
	delete(l.calls, name)
	who := l.ranks[name]
	if l.Take("host", who, l.now) {
		l.served, l.at = append(l.served, name), append(l.at, l.now)
		return
	}
	until := l.FreeAt("host", who, l.now)
	l.Wait("host", who, until, l.now)
	l.calls[name] = until
}

// vanish takes somebody out of the line, who may say so.
func (l *line) vanish(name string, says bool) {
	delete(l.calls, name)
	if says {
		l.Leave(l.ranks[name].key, l.now)
	}
}

// run calls everybody until the time.
func (l *line) run(until time.Time) {
	for len(l.calls) > 0 {
		next := ""
		for name, at := range l.calls {
			if next == "" || at.Before(l.calls[next]) || at.Equal(l.calls[next]) && name < next {
				next = name
			}
		}
		if l.calls[next].After(until) {
			break
		}
		l.now = l.calls[next]
		l.look(next)
	}
	l.now = until
}

func (l *line) mustHoldTheRate(t *testing.T) {
	t.Helper()
	for i := 30; i < len(l.at); i++ {
		if apart := l.at[i].Sub(l.at[i-30]); apart < time.Minute {
			t.Fatalf("31 requests within %s", apart)
		}
	}
}

var lines = map[string]struct {
	why  string
	play func(l *line)
	want string
	by   time.Duration // when the last of them has had its turn
}{
	"expiries": {
		"the earliest expiry is first, whoever came first",
		func(l *line) { l.come("living 90 30 70 50 10") },
		"living-10 living-30 living-50 living-70 living-90", 10 * time.Second,
	},
	"late and urgent": {
		"who comes late and has less time goes before", func(l *line) {
			l.come("living 80 90 100")
			l.run(start.Add(3 * time.Second))
			l.come("living 20")
		},
		"living-80 living-20 living-90 living-100", 8 * time.Second,
	},
	"a person": {
		"what was asked for goes before the routine", func(l *line) {
			l.come("living 20 30 40")
			l.come("asked 90")
		},
		"asked-90 living-20 living-30 living-40", 8 * time.Second,
	},
	"many people": {
		"a thousand annotations do not let a fleet expire, whatever comes first in a round", func(l *line) {
			l.come("asked 300 310 320 330")
			l.come("living 20 30")
		},
		"asked-300 living-20 asked-310 living-30 asked-320 asked-330", 12 * time.Second,
	},
	"new ones": {
		"new credentials do not starve behind refreshes, nor refreshes behind them: they take turns", func(l *line) {
			l.come("lacking 1 2 3")
			l.come("living 20 30 40")
		},
		"living-20 lacking-1 living-30 lacking-2 living-40 lacking-3", 12 * time.Second,
	},
	"new ones alone": {
		"without a token the first to come is the first to go", func(l *line) {
			l.come("lacking 2")
			l.now = l.now.Add(time.Second)
			l.come("lacking 1")
		},
		"lacking-2 lacking-1", 4 * time.Second,
	},
	"refused again": {
		"a token that expired long ago does not go before those that wait for longer", func(l *line) {
			l.come("lacking 2")
			l.now = l.now.Add(time.Second)
			l.ranks["old"] = waiter{key: types.NamespacedName{Name: "old"}, lane: lacking, expires: start.Add(-time.Hour)}
			l.look("old")
		},
		"lacking-2 old", 4 * time.Second,
	},
	"expired in the line": {
		"who loses its token while it waits keeps its place among those that have none", func(l *line) {
			l.come("living 3 4 5")
			l.now = l.now.Add(time.Second)
			l.come("lacking 1")
			l.run(start.Add(5 * time.Second))
			for _, name := range []string{"living-4", "living-5"} {
				who := l.ranks[name]
				who.lane = lacking
				l.ranks[name] = who
				l.look(name)
			}
			l.now = l.now.Add(time.Second / 2)
			l.come("lacking 2")
		},
		"living-3 lacking-1 living-4 living-5 lacking-2", 11 * time.Second,
	},
	"left": {
		"who was deleted or suspended holds nobody up", func(l *line) {
			l.come("living 10 20 30")
			l.vanish("living-10", true)
		},
		"living-20 living-30", 4 * time.Second,
	},
	"vanished": {
		"who does not come within the grace of its turn loses it", func(l *line) {
			l.come("living 10 20 30")
			l.vanish("living-10", false)
		},
		"living-20 living-30", 14 * time.Second,
	},
	"late": {
		"who lost its turn is first when it comes after all", func(l *line) {
			l.come("living 10 20 30 40")
			l.vanish("living-10", false)
			l.run(start.Add(9 * time.Second))
			l.look("living-10")
		},
		"living-20 living-10 living-30 living-40", 16 * time.Second,
	},
	"the clock is set back": {
		"nobody waits for an hour because of it", func(l *line) {
			l.come("living 10 20")
			l.now = l.now.Add(-time.Hour)
			l.look("living-10")
			l.look("living-20")
		},
		"living-10 living-20", 4*time.Second - time.Hour,
	},
}

func TestUnitTurns(t *testing.T) {
	for name, test := range lines {
		t.Run(name, func(t *testing.T) {
			l := newLine()
			test.play(l)
			l.run(start.Add(test.by))
			if diff := cmp.Diff(strings.Fields(test.want), l.served); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.why, diff)
			}
			l.mustHoldTheRate(t)
		})
	}
}

// TestUnitAThousandTurns: in the order of expiry, no turn is lost, and nobody looks more than a few times.
func TestUnitAThousandTurns(t *testing.T) {
	const count = 1000
	l, random := newLine(), rand.New(rand.NewPCG(1, 2))
	for _, number := range random.Perm(count) {
		l.comes(fmt.Sprintf("%04d", number), living, time.Duration(number)*time.Second)
	}
	l.run(start.Add(count * 2 * time.Second))
	if !slices.IsSorted(l.served) || len(l.served) != count {
		t.Errorf("%d had a turn, in the order of expiry: %t", len(l.served), slices.IsSorted(l.served))
	}
	if l.looks > 3*count {
		t.Errorf("%d looks for %d turns", l.looks, count)
	}
	l.mustHoldTheRate(t)
}

// TestUnitTurnsAtRandom: whoever comes, goes and is late, the limit holds, and everybody who stays has a turn.
func TestUnitTurnsAtRandom(t *testing.T) {
	for seed := range uint64(50) {
		l, random, gone := newLine(), rand.New(rand.NewPCG(seed, 3)), 0
		for number := range 200 {
			name := fmt.Sprint(number)
			l.comes(name, lane(random.IntN(int(lanes))), time.Duration(random.Int64N(int64(10*time.Minute))))
			if _, waits := l.calls[name]; waits && random.IntN(5) == 0 {
				l.vanish(name, random.IntN(2) == 0)
				gone++
			}
			l.run(l.now.Add(time.Duration(random.Int64N(int64(3 * time.Second)))))
		}
		l.run(l.now.Add(time.Hour))
		if len(l.served)+gone != 200 {
			t.Fatalf("seed %d: of 200 %d had a turn, and %d went away", seed, len(l.served), gone)
		}
		l.mustHoldTheRate(t)
	}
}

func TestUnitAPlaceIsAtOneHost(t *testing.T) {
	hosts, first, second := NewHosts(30), waiter{key: types.NamespacedName{Name: "first"}}, waiter{key: types.NamespacedName{Name: "second"}}
	hosts.Take("old", nobody, start)
	for _, host := range []string{"old", "new"} {
		hosts.Wait(host, first, start.Add(2*time.Second), start)
	}
	if free := hosts.FreeAt("old", second, start.Add(2*time.Second)); !free.IsZero() {
		t.Errorf("the first went to another host, and the second waits for it until %s", free)
	}
}

// TestUnitATurnWakesThePass: who moves up because another one left comes into the work queue.
func TestUnitATurnWakesThePass(t *testing.T) {
	r := newScene(t).r
	r.Hosts = NewHosts(30)
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
	defer queue.ShutDown()
	if err := r.turns().Start(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	first, second := waiter{key: types.NamespacedName{Name: "first"}}, waiter{key: types.NamespacedName{Name: "second"}}
	r.Hosts.Take("host", nobody, start)
	for _, who := range []waiter{first, second} {
		r.Hosts.Wait("host", who, r.Hosts.FreeAt("host", who, start), start)
	}
	r.Hosts.Leave(first.key, start)
	if request, _ := queue.Get(); request.NamespacedName != second.key {
		t.Errorf("%s is called, want %s", request, second.key)
	}
}

// TestUnitWhatWasBegunGoesOnFirst: after a start thousands wait for their first look, in the order in which they came. A credential whose
// exchange is next has its turn now, and is not put behind them.
func TestUnitWhatWasBegunGoesOnFirst(t *testing.T) {
	later := start.Add(time.Minute)
	for _, test := range []struct {
		next plan.Step
		wait time.Duration
		want int
	}{
		{plan.Step{Do: plan.Exchange, Means: plan.ByRefresh}, soon, inLine},
		{plan.Step{Do: plan.Publish}, soon, inLine},
		{plan.Step{Do: plan.Wait, Why: plan.NotDue, At: later}, time.Minute, routine},
		{plan.Step{Do: plan.Wait, Why: plan.HostBusy, At: later}, time.Minute, routine},
	} {
		if result := again(test.next, start); result.RequeueAfter != test.wait || *result.Priority != test.want {
			t.Errorf("%+v: in %s with priority %d, want %s and %d", test.next, result.RequeueAfter, *result.Priority, test.wait, test.want)
		}
	}
	if result, err := abandoned(custody.ErrConflict); err != nil || *result.Priority != inLine {
		t.Errorf("after a race: %+v, %v", result, err)
	}
}
