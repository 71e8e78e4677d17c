package controllers

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/journal"
	"github.com/fluent-credential/operator/internal/kubeerror"
	"github.com/fluent-credential/operator/internal/token"
)

// A result that cannot be stored waits here, outside of the pass that obtained it, until it is stored or not wanted any
// more. The journal has a copy of the reply where there is a journal; the memory of this process is the other one.

// held is the result of an exchange.
type held struct {
	mu      sync.Mutex
	seen    *observation // of the pass that made the exchange
	try     *attempt
	pending *custody.Pending
	slot    *journal.Slot // nil: there is none
	// journaled is true where the reply came out of the journal.
	journaled bool
	// lost are the claims whose reply was waited for when this one was made.
	lost  []string
	tried time.Time // when the last round ended; zero: there was none
}

// isDurable reports whether this process may end without a loss: the journal has the reply, or there is none, because the request was
// not sent.
func (h *held) isDurable() bool {
	return h.journaled || h.slot != nil && h.slot.Err() == nil || h.try.answer.Verdict == token.Unsent
}

// waited tells the result how long it waited since the last round.
func (h *held) waited(now time.Time) {
	if !h.tried.IsZero() {
		h.pending.Waited(max(0, now.Sub(h.tried)))
	}
}

// hold keeps a result.
func (m *memory) hold(h *held) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.results == nil {
		m.results = map[types.UID]*held{}
	}
	m.results[h.seen.cred.UID] = h
}

// drop lets a result go that is stored, or that nobody wants any more.
func (m *memory) drop(h *held) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.results[h.seen.cred.UID] == h {
		delete(m.results, h.seen.cred.UID)
	}
}

func (m *memory) heldOf(uid types.UID) *held {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.results[uid]
}

func (m *memory) holds(uid types.UID) bool { return m.heldOf(uid) != nil }

// heldOfFormer are the results of objects that had the name before the one with this UID.
func (m *memory) heldOfFormer(key types.NamespacedName, uid types.UID) []*held {
	m.mu.Lock()
	defer m.mu.Unlock()
	var former []*held
	for of, h := range m.results {
		if of != uid && client.ObjectKeyFromObject(h.seen.cred) == key {
			former = append(former, h)
		}
	}
	return former
}

func (m *memory) allHeld() []*held {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]*held, 0, len(m.results))
	for _, h := range m.results {
		all = append(all, h)
	}
	return all
}

// storeHeld makes another round of storing the result that is held for this credential.
func (r *Reconciler) storeHeld(ctx context.Context, seen *observation) error {
	h := r.memory.heldOf(seen.cred.UID)
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.memory.heldOf(seen.cred.UID) != h {
		return nil // it was stored meanwhile
	}
	return r.finish(context.WithoutCancel(ctx), seen, h, 1)
}

// forsake lets go of results of objects that are no more. Custody finds that they are gone; until it can tell, the
// results stay.
func (r *Reconciler) forsake(ctx context.Context, key types.NamespacedName, uid types.UID) (left bool) {
	for _, h := range r.memory.heldOfFormer(key, uid) {
		if !h.mu.TryLock() {
			left = true
			continue
		}
		err := r.finish(context.WithoutCancel(ctx), h.seen, h, 1)
		h.mu.Unlock()
		left = left || err != nil && !isUnwanted(err)
	}
	return left
}

// The pace of the tries while the process ends.
const (
	drainPace     = 20 * time.Millisecond
	drainPaceMost = 5 * time.Second
)

// Drain waits until every exchange in flight is over and what this process holds is stored. What the journal has and
// the Kubernetes API denies is left to the journal: it would hold the shutdown up for nothing. For the only copy of a
// reply it tries as long as it is let. Losing the lease makes no exchange unsafe: the claim is the fence.
func (r *Reconciler) Drain() { r.drain(context.Background()) }

// drainAtStop drains while the lease is still held: what is stored and published before another replica leads needs no
// merging.
func (r *Reconciler) drainAtStop(ctx context.Context) {
	<-ctx.Done()
	r.drain(context.WithoutCancel(ctx))
}

func (r *Reconciler) drain(ctx context.Context) {
	for pace := drainPace; r.isBusy() || r.drainHeld(ctx); pace = min(2*pace, drainPaceMost) {
		if r.isBusy() {
			pace = drainPace
		}
		if !r.Custody.Wait(ctx, pace) {
			return
		}
	}
}

// isBusy reports whether a pass or an exchange goes on. A result that is held is stored with what its pass has seen and
// remembers, which one goroutine at a time may touch.
func (r *Reconciler) isBusy() bool { return r.passes.Load() > 0 || r.inFlight.Load() > 0 }

// drainHeld makes a round for each result, and reports whether there is one to wait for.
func (r *Reconciler) drainHeld(ctx context.Context) (left bool) {
	for _, h := range r.memory.allHeld() {
		if !h.mu.TryLock() {
			left = true
			continue
		}
		err := r.finish(ctx, h.seen, h, 1)
		h.mu.Unlock()
		if err == nil || isUnwanted(err) || h.isDurable() && (kubeerror.IsDenied(err) || isBlocked(err)) {
			continue
		}
		left = true
	}
	return left
}
