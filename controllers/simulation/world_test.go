package simulation

import (
	"fmt"
	"iter"
	"regexp"
	"runtime/debug"
	"time"
)

// world is one run: everything that the operator touches, and the scheduler that decides who goes on.
type world struct {
	dice     *dice
	setup    setup
	now      time.Duration // since the start: the true time
	cluster  *cluster
	server   *tokenServer
	oracle   *oracle
	replicas []*replica
	apart    time.Duration // how much two wall clocks differ at most, that of the calm included
	leader   *replica      // nil: nobody yet
	leaseEnd time.Duration
	running  *process
	steps    int
	mistake  *mistake
	counts   counts
	seed     string // that both credentials were given

	verbose    bool
	transcript []string
	names      map[string]string // of random identifiers, in the transcript
}

// process is a goroutine of a replica: a pass over one credential, or the recovery at its start. Only one process of the world
// runs at a time: it is a coroutine of the scheduler.
type process struct {
	replica *replica
	name    string
	begun   time.Duration
	wake    time.Duration // when it goes on
	resume  func() (struct{}, bool)
	stop    func()
	yield   func(struct{}) bool
}

// killed unwinds a process whose replica crashed.
type killed struct{}

// spawn begins a process.
func (w *world) spawn(r *replica, name string, work func()) {
	p := &process{replica: r, name: name, begun: w.now, wake: w.now}
	p.resume, p.stop = iter.Pull(func(yield func(struct{}) bool) {
		p.yield = yield
		defer w.mourn(p)
		work()
	})
	r.processes = append(r.processes, p)
}

// mourn ends a process that was killed. Any other panic is the operator's.
func (w *world) mourn(p *process) {
	switch cause := recover().(type) {
	case nil, killed:
	default:
		w.oracle.violated("no panic", "%v\n%s", cause, debug.Stack())
	}
}

// step hands over: the effect that follows happens when the scheduler comes back, unless it never does.
func (w *world) step(label string) {
	pause := time.Millisecond
	if pick := w.dice.choose("delay", len(delays)); pick != 0 {
		pause = delays[pick-1]
	}
	w.sleep(label, pause)
}

var delays = []time.Duration{0, 3 * time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond, 300 * time.Millisecond, 2 * time.Second, 4 * time.Second}

// sleep parks the running process.
func (w *world) sleep(label string, pause time.Duration) {
	p := w.running
	if p.replica.dead {
		panic(killed{}) // a deferred call of a process that unwinds
	}
	p.wake = w.now + pause
	if !p.yield(struct{}{}) {
		panic(killed{})
	}
}

// tell adds a line to the transcript.
func (w *world) tell(format string, args ...any) {
	if !w.verbose {
		return
	}
	who := "          "
	if w.running != nil {
		who = fmt.Sprintf("%-3s%-7s", w.running.replica.writer(), w.running.name)
	}
	w.transcript = append(w.transcript, fmt.Sprintf("%12.3fs %s %s", w.now.Seconds(), who, fmt.Sprintf(format, args...)))
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
		if len(w.cluster.history) > looked && goal() {
			return true
		}
		looked = len(w.cluster.history)
		at, ok := w.next()
		if !ok || at > until {
			w.now = max(w.now, until)
			return goal()
		}
		w.now = max(w.now, at)
		w.turn()
	}
	return false
}

// next is when anything happens next.
func (w *world) next() (time.Duration, bool) {
	earliest, found := time.Duration(0), false
	for _, r := range w.replicas {
		if at, ok := r.next(); ok && (!found || at < earliest) {
			earliest, found = at, true
		}
	}
	return earliest, found
}

// turn lets everything happen whose time has come, one process of one replica last.
func (w *world) turn() {
	w.server.deliver()
	w.recreate()
	if !w.dice.calm {
		w.interfere()
	}
	w.elect()
	var chosen *process
	for _, r := range w.replicas {
		r.catchUp()
		if p := r.runnable(); p != nil && (chosen == nil || p.wake < chosen.wake) {
			chosen = p
		}
	}
	if chosen == nil || w.isInterrupted(chosen.replica) {
		return
	}
	w.running = chosen
	if _, goesOn := chosen.resume(); !goesOn {
		chosen.replica.forget(chosen)
	}
	w.running = nil
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
	return false
}

var freezes = []time.Duration{4 * time.Second, 6 * time.Second, 12 * time.Second, 31 * time.Second, 45 * time.Second, 3 * time.Minute, time.Hour}

// elect gives the lease to a replica that is up, when its holder has not been for some time.
func (w *world) elect() {
	if !w.setup.elects {
		return
	}
	if w.leader != nil && w.leader.isUp() {
		w.leaseEnd = w.now + 15*time.Second
		return
	}
	if w.leader != nil && w.now < w.leaseEnd {
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
		old.deposedAt = max(w.now, old.frozenUntil) + time.Duration(w.dice.draw("deposed")*float64(5*time.Second))
	}
	w.leader, w.leaseEnd = r, w.now+15*time.Second
	w.tell("%s leads", r.writer())
	r.enqueueAll()
}
