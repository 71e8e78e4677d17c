package simulation

import (
	"cmp"
	"context"
	"net"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
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
	cache map[objectKey]client.Object
	seen  int // how much of the cluster's history the cache has
	queue map[types.NamespacedName]*item

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

// item is one credential in the work queue.
type item struct {
	due      time.Duration
	isDue    bool
	busy     bool
	failures int
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
	r.cache, r.seen, r.queue = map[objectKey]client.Object{}, 0, map[types.NamespacedName]*item{}
	r.root, r.stop = context.WithCancel(context.Background())
	life := r.life
	r.Reconciler = controllers.NewReconciler(manager{replica: r, life: life}, controllers.Options{
		Policy: exchange.Policy{InsecureHTTP: true}, Metrics: allMetrics, Clock: clockOf{r},
		Namespace: operatorNamespace, PodUID: r.podUID(), MaxConcurrentExchanges: 2 + r.exchanges,
	})
	r.Dialer.Connect = func(ctx context.Context, _, address string) (net.Conn, error) { return r.connect(ctx, life, address) }
	r.Dialer.Now = func() time.Time {
		r.world.step(r.world.current(r, life), "look at the clock", nil) // the last moment at which a freeze is noticed: the write comes right after it
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
	if r.world.mistake != nil {
		r.world.mistake.make(r)
	}
	r.world.tell("%s starts", r.writer())
	r.catchUp()
	r.world.spawn(r, recovery, r.RecoverJournal)
	if r.leads() {
		r.enqueueAll()
	}
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

func (r *replica) isUp() bool { return !r.dead && r.world.now() >= r.frozenUntil && !r.isCutOff() }

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
		consider(max(r.world.cluster.history[r.seen].at+watchLag, r.watchUntil))
	}
	if r.leads() && r.stopping.since == 0 {
		for _, it := range r.queue {
			if it.isDue && !it.busy {
				consider(it.due)
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
	for _, key := range r.world.setup.credentials {
		if it := r.queue[key]; it != nil && it.isDue && !it.busy && now >= it.due && r.leads() && r.stopping.since == 0 {
			r.begin(key, it)
		}
	}
}

// watch takes in what the API server reported.
func (r *replica) watch() {
	history := r.world.cluster.history
	isNew := r.seen == 0
	for r.seen < len(history) {
		event := history[r.seen]
		if !isNew && (r.world.now() < event.at+watchLag || r.world.now() < r.watchUntil) {
			return
		}
		r.seen++
		before := r.cache[event.key]
		if event.object == nil {
			delete(r.cache, event.key)
		} else {
			r.cache[event.key] = event.object
		}
		if !isNew && isNews(event, before) {
			r.enqueueAll()
		}
	}
}

// isNews: the operator's own writes wake nobody, but a deletion does, and a reply that was stored late.
func isNews(event version, before client.Object) bool {
	if event.by == people || event.object == nil || before == nil {
		return true
	}
	return before.GetDeletionTimestamp().IsZero() != event.object.GetDeletionTimestamp().IsZero() ||
		before.GetAnnotations()[v1alpha1.LateReplyAnnotation] != event.object.GetAnnotations()[v1alpha1.LateReplyAnnotation]
}

func (r *replica) cachedCredentials() []v1alpha1.FluentCredential {
	var found []v1alpha1.FluentCredential
	for _, key := range r.world.setup.credentials {
		if cred, ok := r.cache[objectKey{credentialKind, key}].(*v1alpha1.FluentCredential); ok {
			found = append(found, *cred.DeepCopy())
		}
	}
	return found
}

func (r *replica) cachedSecrets() []*corev1.Secret {
	var found []*corev1.Secret
	for _, object := range r.cache {
		if secret, ok := object.(*corev1.Secret); ok {
			found = append(found, secret)
		}
	}
	slices.SortFunc(found, func(a, b *corev1.Secret) int { return cmp.Compare(a.Name, b.Name) })
	return found
}

func (r *replica) enqueueAll() {
	for _, key := range r.world.setup.credentials {
		r.enqueue(key, r.world.now())
	}
}

func (r *replica) enqueue(key types.NamespacedName, at time.Duration) {
	it := r.queue[key]
	if it == nil {
		it = &item{}
		r.queue[key] = it
	}
	if !it.isDue || at < it.due {
		it.due, it.isDue = at, true
	}
}

// begin makes one pass over a credential, as the controller would.
func (r *replica) begin(key types.NamespacedName, it *item) {
	it.isDue, it.busy = false, true
	r.world.spawn(r, key.Name, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, controllers.PassTimeout)
		defer cancel()
		result, err := r.pass(ctx, key)
		r.world.sleep(r.world.of(ctx, r, r.life), "end of the pass", 0)
		it.busy = false
		if err != nil {
			r.world.oracle.said("error", err.Error())
			r.world.tell("  the pass ends with: %s", r.world.stable(err.Error()))
			it.failures++
			r.enqueue(key, r.world.now()+min(50*time.Millisecond<<min(it.failures, 12), 30*time.Second))
			return
		}
		it.failures = 0
		if result.RequeueAfter > 0 {
			r.enqueue(key, r.world.now()+result.RequeueAfter)
		}
	})
}

func (r *replica) pass(ctx context.Context, key types.NamespacedName) (ctrl.Result, error) {
	cached, ok := r.cache[objectKey{credentialKind, key}]
	if !ok {
		return ctrl.Result{}, nil
	}
	cred := &v1alpha1.FluentCredential{}
	if err := copyInto(cached, cred); err != nil {
		return ctrl.Result{}, err
	}
	return r.Reconcile(ctx, cred)
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
	r.hamper()
}

// end cancels the context of the life, if there was one.
func (r *replica) end() {
	if r.stop != nil {
		r.stop()
	}
}
