package simulation

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// world is one run: everything that the operator touches, and the scheduler that decides which goroutine continues. It
// lives in a bubble of testing/synctest, whose fake time is the time of the world: deadlines, timers and goroutines of
// the operator work as they are.
type world struct {
	dice     *dice
	setup    setup
	began    time.Time // in the bubble's time
	cluster  *cluster
	server   *tokenServer
	hosts    []*host
	oracle   *oracle
	replicas []*replica
	apart    time.Duration // how much two wall clocks differ at most, that of the calm included
	leader   *replica      // nil: nobody yet
	leaseEnd time.Duration
	running  *process // whose ticket was resumed last; nil: none
	steps    int
	wrap     func(*replica) // changes a replica when it starts; nil: nothing does
	counts   counts
	regimes  []*lasting
	pace     *pace
	statuses *statuses
	onPass   func(took time.Duration) // nil: nothing listens
	onGrant  func()                   // likewise
	seed     string                   // that both credentials were given

	mu       sync.Mutex // guards what goroutines write that run at the same moment: tickets and the transcript
	tickets  []*ticket
	arrivals chan struct{} // receives when a ticket is added while the scheduler sleeps
	// deciding is true while the scheduler runs: nothing that happens then is an effect of the operator.
	deciding atomic.Bool

	verbose    bool
	transcript []string
	names      map[string]string // of random identifiers, in the transcript
}

// process is what a replica does for one purpose: a pass over one object, or the recovery at its start. It may have
// several goroutines.
type process struct {
	replica *replica
	life    int
	name    string
	begun   time.Duration
	seen    int // how much of the cluster's history the replica had seen
}

// ticket is a goroutine that waits until the scheduler resumes it. Only one goroutine of the world is resumed at a time.
type ticket struct {
	process *process
	label   string
	pause   time.Duration // from its arrival; negative: the dice decide
	latest  time.Duration // when it is resumed at the latest; zero: no limit
	wake    time.Duration
	placed  bool // wake is set
	killed  bool
	resume  chan struct{}
}

// inBubble runs a world in a bubble of its own.
func inBubble(t *testing.T, run func()) {
	synctest.Test(t, func(*testing.T) { run() })
}

// now is the true time since the start.
func (w *world) now() time.Duration { return time.Since(w.began) }

// spawn begins a process.
func (w *world) spawn(r *replica, name string, work func(context.Context)) {
	p := &process{replica: r, life: r.life, name: name, begun: w.now(), seen: r.seen}
	t := &ticket{process: p, label: name, wake: w.now(), placed: true, resume: make(chan struct{})}
	w.tickets = append(w.tickets, t)
	ctx := context.WithValue(r.context(), processKey{}, p)
	go func() {
		t.wait()
		defer w.handOver()
		defer w.mourn()
		work(ctx)
	}()
}

// processKey finds the process in the context of its requests.
type processKey struct{}

// handOver orders what a goroutine did before what the scheduler does next, which the race detector does not know.
func (w *world) handOver() {
	w.mu.Lock()
	defer w.mu.Unlock()
}

// mourn reports a panic of the operator.
func (w *world) mourn() {
	if cause := recover(); cause != nil {
		w.oracle.violated("no panic", "%v\n%s", cause, debug.Stack())
	}
}

// wait blocks until the scheduler resumes the goroutine, and ends the goroutine if its life is over.
func (t *ticket) wait() {
	<-t.resume
	if t.killed {
		runtime.Goexit()
	}
}

// step waits for the scheduler: the effect that follows happens when the goroutine is resumed, unless it never is. After
// a context's deadline it is resumed at once.
func (w *world) step(ctx context.Context, p *process, label string) {
	w.park(&ticket{process: p, label: label, pause: -1, latest: w.endOf(ctx)})
}

// sleep parks the goroutine for some time.
func (w *world) sleep(p *process, label string, pause time.Duration) {
	w.park(&ticket{process: p, label: label, pause: max(pause, 0)})
}

func (w *world) park(t *ticket) {
	t.resume = make(chan struct{})
	w.mu.Lock()
	isAlive := t.process.isAlive()
	if isAlive {
		w.tickets = append(w.tickets, t)
	}
	w.mu.Unlock()
	if !isAlive {
		runtime.Goexit() // also in a deferred call of a goroutine that ends
	}
	w.wakeScheduler()
	t.wait()
}

// wakeScheduler ends the scheduler's sleep: there is something new to do.
func (w *world) wakeScheduler() {
	select {
	case w.arrivals <- struct{}{}:
	default:
	}
}

func (p *process) isAlive() bool { return !p.replica.dead && p.replica.life == p.life }

// of is the process that a context belongs to.
func (w *world) of(ctx context.Context, r *replica, life int) *process {
	if p, ok := ctx.Value(processKey{}).(*process); ok {
		return p
	}
	return w.current(r, life)
}

// current is the process of a goroutine that has no context: that of the goroutine that was resumed last, or, after a
// timer, one without a name.
func (w *world) current(r *replica, life int) *process {
	if p := w.running; p != nil && p.replica == r && p.life == life {
		return p
	}
	return &process{replica: r, life: life, begun: w.now()}
}

var delays = []time.Duration{0, 3 * time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond, 300 * time.Millisecond, 2 * time.Second, 4 * time.Second}

// settle waits until every goroutine is blocked, and says when those that arrived meanwhile are resumed. It reports
// whether there were any.
func (w *world) settle() bool {
	w.deciding.Store(false)
	synctest.Wait()
	w.deciding.Store(true)
	w.handOver()
	select {
	case <-w.arrivals:
	default:
	}
	var arrived []*ticket
	for _, t := range w.tickets {
		if !t.placed {
			arrived = append(arrived, t)
		}
	}
	// Goroutines that ran at the same moment arrive in any order.
	slices.SortStableFunc(arrived, func(a, b *ticket) int {
		return cmp.Or(cmp.Compare(a.process.replica.name, b.process.replica.name),
			cmp.Compare(a.process.name, b.process.name), cmp.Compare(a.label, b.label))
	})
	for _, t := range arrived {
		w.place(t)
	}
	if len(arrived) > 1 {
		w.tickets = slices.DeleteFunc(w.tickets, func(t *ticket) bool { return slices.Contains(arrived, t) })
		w.tickets = append(w.tickets, arrived...)
	}
	return len(arrived) > 0
}

// tick keeps what waits for the scheduler apart from the operator's timers, which are set to whole milliseconds: of two
// that end at the same moment, either could be first.
const tick = 7001 * time.Nanosecond

func (w *world) place(t *ticket) {
	pause := t.pause
	if pause < 0 {
		pause = time.Millisecond
		if pick := w.dice.choose("delay", len(delays)); pick != 0 {
			pause = delays[pick-1]
		}
	}
	t.wake, t.placed = w.now()+pause+tick, true
	if t.latest > 0 {
		t.wake = max(min(t.wake, t.latest), w.now())
	}
}

// resume lets one goroutine go on until it, and all that it wakes, are blocked again.
func (w *world) resume(t *ticket) {
	w.tickets = slices.DeleteFunc(w.tickets, func(other *ticket) bool { return other == t })
	w.running = t.process
	w.deciding.Store(false)
	t.resume <- struct{}{}
	w.settle()
	w.running = nil
}

// kill ends the goroutines of a replica that wait. Those that wait for a timer end when they want to go on.
func (w *world) kill(r *replica) {
	for {
		at := slices.IndexFunc(w.tickets, func(t *ticket) bool { return t.process.replica == r })
		if at < 0 {
			return
		}
		w.tickets[at].killed = true
		w.resume(w.tickets[at])
	}
}

// finish ends all goroutines: a bubble ends with the last of them.
func (w *world) finish() {
	for _, r := range w.replicas {
		r.dead = true
		r.end()
		w.kill(r)
	}
	for range 4 { // timers that are left
		time.Sleep(5 * time.Minute)
		w.settle()
		for _, r := range w.replicas {
			w.kill(r)
		}
	}
}

// tell adds a line to the transcript.
func (w *world) tell(format string, args ...any) {
	if !w.verbose {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	who := "          "
	if w.running != nil {
		who = fmt.Sprintf("%-3s%-7s", w.running.replica.writer(), w.running.name)
	}
	w.transcript = append(w.transcript, fmt.Sprintf("%12.3fs %s %s", w.now().Seconds(), who, fmt.Sprintf(format, args...)))
}

var identifier = regexp.MustCompile(`\b[0-9a-f]{32}\b`)

// stable replaces random identifiers by their order of appearance, so that two transcripts of one seed are the same.
func (w *world) stable(text string) string {
	return identifier.ReplaceAllStringFunc(text, func(id string) string {
		if w.names[id] == "" {
			w.names[id] = fmt.Sprintf("id%d", len(w.names)+1)
		}
		return w.names[id]
	})
}

// run goes on until the goal is reached, the oracle objects, or the time is up.
func (w *world) run(until time.Duration, maxSteps int, goal func() bool) bool {
	looked := 0 // how much of the history the goal has seen
	for end := w.steps + maxSteps; w.steps < end && w.oracle.violation == nil; w.steps++ {
		w.settle()
		if len(w.cluster.history) > looked && goal() {
			return true
		}
		looked = len(w.cluster.history)
		w.statuses.look()
		at, ok := w.next()
		isOver := !ok || at > until
		if isOver {
			at = until
		}
		w.pass(at)
		switch isWoken := w.settle(); {
		case isWoken:
		case isOver && w.now() >= until:
			return goal()
		default:
			w.turn()
		}
	}
	return false
}

// pass lets time pass, until a goroutine arrives that was woken by a timer.
func (w *world) pass(until time.Duration) {
	pause := until - w.now()
	if pause <= 0 {
		return
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	w.deciding.Store(false)
	w.handOver()
	select {
	case <-timer.C:
	case <-w.arrivals:
	}
}

// next is when anything happens next.
func (w *world) next() (time.Duration, bool) {
	earliest, found := w.nextOfRegimes()
	for _, r := range w.replicas {
		if at, ok := r.next(); ok && (!found || at < earliest) {
			earliest, found = at, true
		}
	}
	if at, ok := w.election(); ok && (!found || at < earliest) {
		earliest, found = at, true
	}
	return earliest, found
}

// election is when a replica can take the lease that is not renewed any more.
func (w *world) election() (time.Duration, bool) {
	if !w.setup.elects || w.isSilent() || w.leader != nil && w.leader.isUp() {
		return 0, false
	}
	earliest, found := time.Duration(0), false
	for _, r := range w.replicas {
		at := max(w.now(), r.frozenUntil, r.cutOffUntil)
		if w.leader != nil {
			at = max(at, w.leaseEnd)
		}
		if !r.dead && r != w.leader && (!found || at < earliest) {
			earliest, found = at, true
		}
	}
	return earliest, found
}

// turn lets everything happen whose time has come, one process of one replica last.
func (w *world) turn() {
	w.server.deliver()
	w.recreate()
	w.recreateConsumers()
	w.changeRegimes()
	if !w.dice.calm {
		w.interfere()
	}
	w.elect()
	var chosen *ticket
	for _, r := range w.replicas {
		r.catchUp()
	}
	for _, r := range w.replicas {
		if p := r.runnable(); p != nil && (chosen == nil || p.wake < chosen.wake) {
			chosen = p
		}
	}
	if chosen == nil || w.isInterrupted(chosen.process.replica) {
		return
	}
	w.resume(chosen)
}

// isInterrupted crashes or freezes a replica in front of its next effect.
func (w *world) isInterrupted(r *replica) bool {
	if pick := w.dice.choose("crash", 4); pick != 0 {
		r.crash(pick)
		return true
	}
	if pick := w.dice.choose("freeze", len(freezes)); pick != 0 {
		r.freeze(freezes[pick-1])
		return true
	}
	if pick := w.dice.choose("term", 3); pick != 0 {
		r.terminate([]int{1, 3, 4}[pick-1])
		return true
	}
	return false
}

var freezes = []time.Duration{4 * time.Second, 6 * time.Second, 12 * time.Second, 31 * time.Second, 45 * time.Second, 3 * time.Minute, time.Hour}

// elect gives the lease to a replica that is up, when its holder has not been for some time.
func (w *world) elect() {
	if !w.setup.elects {
		return
	}
	if w.leader != nil && w.leader.isUp() {
		w.leaseEnd = w.now() + 15*time.Second
		return
	}
	if w.leader != nil && w.now() < w.leaseEnd {
		return
	}
	for _, r := range w.replicas {
		if r.isUp() && r != w.leader {
			w.succeed(r)
			return
		}
	}
}

// succeed makes a replica the leader; the old one, when it wakes, finds its lease lost and ends.
func (w *world) succeed(r *replica) {
	if old := w.leader; old != nil && !old.dead {
		old.deposedAt = max(w.now(), old.frozenUntil) + time.Duration(w.dice.draw("deposed")*float64(5*time.Second))
	}
	w.leader, w.leaseEnd = r, w.now()+15*time.Second
	w.tell("%s leads", r.writer())
}
