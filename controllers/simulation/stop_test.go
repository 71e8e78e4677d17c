package simulation

import (
	"context"
	"time"
)

// graceful is how long a pod has after SIGTERM until it is killed, as the manifests say.
const graceful = 90 * time.Second

// stopping is a life that got SIGTERM.
type stopping struct {
	since    time.Duration // zero: it was not
	how      int           // what is left of the pod
	hampered bool          // the Kubernetes API refused something since, or the process was frozen
}

func (s *stopping) isOn() bool { return s.since > 0 }

// terminate sends SIGTERM: the contexts of all passes end, nothing new begins, and what is in flight is finished. The
// lease is released last.
func (r *replica) terminate(how int) {
	w := r.world
	if r.stopping.isOn() || r.dead {
		return
	}
	w.counts.stops++
	w.tell("!! %s is told to end", r.writer())
	r.stopping = stopping{since: w.now(), how: how}
	r.end()
	life := r.life
	w.spawn(r, "stop", func(context.Context) {
		r.Drain()
		w.sleep(w.current(r, life), "drained", 0)
		r.stopped()
	})
}

// stopped ends a life that has finished everything.
func (r *replica) stopped() {
	w := r.world
	w.tell("%s has finished", r.writer())
	w.oracle.drained(r)
	r.stopping.since = -1 // the scheduler ends the process
}

// endIfDone ends a process that has finished, or whose time is up.
func (r *replica) endIfDone() bool {
	w := r.world
	switch s := r.stopping; {
	case s.since < 0:
		if w.leader == r {
			w.leader = nil
		}
	case s.isOn() && w.now() >= s.since+graceful:
		w.tell("%s is killed: its time is up", r.writer())
		w.oracle.outOfTime(r)
	default:
		return false
	}
	r.crash(r.stopping.how)
	return true
}

// hamper records that a stop may not come to its end.
func (r *replica) hamper() { r.stopping.hampered = true }

// drained: nothing is lost by a graceful stop while the Kubernetes API works.
func (o *oracle) drained(r *replica) {
	if !o.checks(ruleStop, excuseIf(r.stopping.hampered, "the Kubernetes API refused something, or the process was frozen")) {
		return
	}
	for _, c := range o.order {
		state := o.world.truth(c.key)
		if c.by == r.writer() && c.used && c.Grant != revocation && !c.isTampered && state != nil && state.Claim != nil && state.Claim.ID == c.ID {
			o.violated(ruleNames[ruleStop], "%s ended, and its exchange for %s is not stored", r.writer(), c.key.Name)
		}
	}
}

func (o *oracle) outOfTime(r *replica) {
	if o.checks(ruleStop, excuseIf(r.stopping.hampered, "the Kubernetes API refused something, or the process was frozen")) {
		o.violated(ruleNames[ruleStop], "%s did not end within %s", r.writer(), graceful)
	}
}
