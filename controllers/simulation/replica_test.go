package simulation

import (
	"context"
	"net"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/fluent-credential/operator/controllers"
	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/journal"
	"github.com/fluent-credential/operator/internal/metrics"
)

// replica is one pod of the operator, through all its lives.
type replica struct {
	world *world
	name  string
	pod   int
	life  int

	*controllers.Reconciler
	disk  *disk
	cache map[objectKey]clientObject
	seen  int                            // how much of the cluster's history the cache has
	lags  bool                           // its watches were interrupted
	queue map[types.NamespacedName]*item // of the credentials

	controls    []*control
	dead        bool
	restartAt   time.Duration // where it is dead
	frozenUntil time.Duration
	deposedAt   time.Duration // when it ends because another one leads
	cutOffUntil time.Duration // from the API server
	watchUntil  time.Duration // until when its watches bring nothing
	skew        time.Duration // of its wall clock
	stopping    stopping
	flags
	root context.Context
	stop context.CancelFunc
}

// allMetrics count for all runs: nothing looks at them.
var allMetrics = metrics.New(prometheus.NewRegistry())

// clockOf is the clock of one replica.
type clockOf struct{ replica *replica }

func (c clockOf) Now() time.Time {
	c.replica.world.handOver()
	return instant(c.replica.world.now()+c.replica.skew, c.replica.world.now())
}

func (c clockOf) Since(at time.Time) time.Duration { return c.Now().Sub(at) }

// recovery is the process that looks at the journal when a life begins.
const recovery = "start"

const journalDir = "/journal"

var journalKey = make([]byte, journal.KeySize)

// boot begins a life.
func (r *replica) boot() {
	r.dead, r.life, r.deposedAt, r.frozenUntil = false, r.life+1, 0, 0
	r.stopping = stopping{}
	r.cache, r.seen, r.lags = map[objectKey]clientObject{}, 0, false
	r.root, r.stop = context.WithCancel(context.Background())
	life := r.life
	options := controllers.Options{
		Policy: exchange.Policy{InsecureHTTP: true}, Metrics: allMetrics, Clock: clockOf{r},
		Namespace: operatorNamespace, PodUID: r.podUID(),
		MaxConcurrentExchanges: r.world.setup.slots + r.exchanges, HostRate: r.world.setup.hostRate,
	}
	r.Reconciler = controllers.NewReconciler(manager{replica: r, life: life}, options)
	r.Tokens = controllers.NewTokenReconciler(r.Reconciler, options, r.world.setup.selects)
	r.Dialer.Connect = func(ctx context.Context, _, address string) (net.Conn, error) { return r.connect(ctx, life, address) }
	r.Dialer.Now = func() time.Time {
		r.world.step(context.Background(), r.world.current(r, life), "look at the clock") // the last moment at which a freeze is noticed: the write comes right after it
		return clockOf{r}.Now()
	}
	r.Custody.Pause = func(ctx context.Context, wait time.Duration) bool { return r.pause(ctx, life, wait) }
	r.Draw = func() float64 {
		r.world.handOver()
		return r.world.dice.draw("jitter")
	}
	if r.logs() {
		r.disk = r.disk.of(life)
		r.Journal = r.open(r.disk)
		_ = r.Journal.Hold(r.Holder.Start) // without it others wait
	}
	if r.world.wrap != nil {
		r.world.wrap(r)
	}
	r.Tokens.Client = r.Client
	r.control(options)
	r.world.tell("%s starts", r.writer())
	r.world.spawn(r, recovery, r.RecoverJournal)
	r.catchUp()
}

// open opens the journal, whose operations have deadlines as in the operator.
func (r *replica) open(on journal.Disk) *journal.Journal {
	opened, err := journal.OpenWithin(journal.Bounds{After: time.After}, on, journalDir, r.journalKey())
	if err != nil {
		panic(err)
	}
	return opened
}

func (r *replica) podUID() string { return r.name + "-pod-" + string(rune('a'+r.pod%26)) }

func (r *replica) writer() writer { return writer{r.name, r.life} }

func (r *replica) context() context.Context {
	return ctrl.LoggerInto(r.root, logr.New(logSink{r.world}))
}

func (r *replica) leads() bool { return !r.world.setup.elects || r.world.leader == r }

func (r *replica) isUp() bool {
	return !r.dead && r.world.now() >= r.frozenUntil && !r.isCutOff() && !r.world.isSilent()
}

func (r *replica) isCutOff() bool { return r.world.now() < r.cutOffUntil }

// pause is a wait between two tries to commit. The operator's jitter is not ours to repeat, so it is rounded away.
func (r *replica) pause(ctx context.Context, life int, wait time.Duration) bool {
	rounded := 20 * time.Millisecond
	for rounded*2 <= wait && rounded < 5*time.Second {
		rounded = min(2*rounded, 5*time.Second)
	}
	if wait >= 5*time.Second {
		rounded = 5 * time.Second
	}
	if deadline, ok := ctx.Deadline(); ok {
		rounded = min(rounded, time.Until(deadline))
	}
	r.world.sleep(r.world.of(ctx, r, life), "pause", rounded)
	return ctx.Err() == nil
}

// next is when the replica has something to do.
func (r *replica) next() (time.Duration, bool) {
	if r.dead {
		return r.restartAt, true
	}
	earliest, found := time.Duration(0), false
	consider := func(at time.Duration) {
		if at = max(at, r.frozenUntil); !found || at < earliest {
			earliest, found = at, true
		}
	}
	for _, t := range r.world.tickets {
		if t.process.replica == r {
			consider(t.wake)
		}
	}
	if r.seen < len(r.world.cluster.history) {
		consider(r.shownAt(r.world.cluster.history[r.seen]))
	}
	if r.leads() && r.stopping.since == 0 {
		for _, c := range r.controls {
			if at, ok := c.earliest(); ok {
				consider(at)
			}
		}
	}
	if r.stopping.isOn() {
		consider(r.stopping.since + graceful)
	} else if r.stopping.since < 0 {
		consider(r.world.now())
	}
	if r.deposedAt > 0 {
		consider(r.deposedAt)
	}
	return earliest, found
}

// watchLag is how far a cache is behind.
const watchLag = 5 * time.Millisecond

// catchUp brings the replica to the present: its restart, its cache, its queue.
func (r *replica) catchUp() {
	now := r.world.now()
	switch {
	case r.dead:
		if now >= r.restartAt {
			r.boot()
		}
		return
	case now < r.frozenUntil:
		return
	case r.endIfDone():
		return
	case r.deposedAt > 0 && now >= r.deposedAt:
		r.world.tell("%s lost its lease", r.writer())
		r.crash(1)
		return
	}
	r.watch()
	r.work()
}

// runnable is the goroutine that is resumed next.
func (r *replica) runnable() *ticket {
	if r.dead || r.world.now() < r.frozenUntil {
		return nil
	}
	var first *ticket
	for _, t := range r.world.tickets {
		if t.process.replica == r && t.placed && t.wake <= r.world.now() && (first == nil || t.wake < first.wake) {
			first = t
		}
	}
	return first
}

// crash ends a life. How says what is left: 1 a new process in the same pod, 2 the same after the node lost its power, 3 another
// pod on the same volume, 4 another pod on an empty one.
func (r *replica) crash(how int) {
	w := r.world
	w.counts.crashes++
	w.tell("!! %s crashes (%s)", r.writer(), [...]string{"", "process", "power", "pod", "pod and volume"}[how])
	r.dead = true
	r.end()
	w.kill(r)
	if how >= 3 {
		r.pod++
	}
	switch how {
	case 2:
		r.disk.losePower()
	case 4:
		w.oracle.wiped(r)
		r.disk.wipe()
	}
	w.oracle.crashed(r)
	r.reflag()
	r.restartAt = w.now() + time.Duration(w.dice.draw("restart")*float64(20*time.Second))
}

func (r *replica) freeze(span time.Duration) {
	r.world.counts.freezes++
	r.world.tell("!! %s freezes for %s", r.writer(), span)
	r.frozenUntil = r.world.now() + span
	r.world.pace.froze(r)
	r.hamper()
}

// end cancels the context of the life, if there was one.
func (r *replica) end() {
	if r.stop != nil {
		r.stop()
	}
}
