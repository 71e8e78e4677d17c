package controllers

import (
	"context"
	"errors"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/journal"
	"github.com/fluent-credential/operator/internal/kubeerror"
	"github.com/fluent-credential/operator/internal/token"
)

// A result that cannot be stored waits here, outside the pass that obtained it, until it is stored or no longer wanted.
// If there is a journal, it has a copy of the reply; the other copy is in the memory of this process.

// held is the result of an exchange.
type held struct {
	mu      sync.Mutex
	seen    *observation // of the pass that made the exchange
	try     *attempt
	pending *custody.Pending
	slot    *journal.Slot // nil: there is no journal
	// journaled is true if the reply was read from the journal.
	journaled bool
	// lost are the claims that still waited for a reply when this result was made.
	lost  []string
	tried time.Time // the end of the last round; zero: there was none
	// settled is true if the login guard knows the result.
	settled bool
	// gone is true if the FluentCredential does not exist any more: its reply is of no use.
	gone bool
}

// isDurable reports whether this process may end without a loss: the journal has the reply, or there is no reply
// because the request was not sent.
func (h *held) isDurable() bool {
	return h.journaled || h.slot != nil && h.slot.Err() == nil || h.try.answer.Verdict == token.Unsent
}

// waited adds the time since the last round to the result's wait.
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

// drop removes a result that is stored or no longer wanted.
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

// heldOfFormer returns the results of objects that had the name before the object with this UID.
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

// countHeld returns the number of results held for a namespace, and in all.
func (m *memory) countHeld(namespace string) (own, all int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range m.results {
		if h.seen.cred.Namespace == namespace {
			own++
		}
	}
	return own, len(m.results)
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

// storeHeld makes another round of storing the result held for this credential.
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

// forsake drops the results of objects that no longer exist. Custody finds out that they are gone; until it can, the
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

// The pace of the tries during shutdown.
const (
	drainPace     = 20 * time.Millisecond
	drainPaceMost = 5 * time.Second
)

// drainPatience bounds the waits of a shutdown for results that the Kubernetes API does not take although it answers. It
// is shorter than the manager's own time for a shutdown.
const drainPatience = 45 * time.Second

// Drain waits until every exchange in flight is over and every held result is stored. A result that the journal has and
// that the Kubernetes API denies stays in the journal: waiting for it would delay the shutdown without need. After
// drainPatience a result stays there that others have prevented by writes of their own, and the only copy of one is lost
// if the API still denies it: a tenant can do either for ever. While the API does not answer, Drain waits until its
// context ends. Losing the lease makes no exchange unsafe: the claim is the fence.
func (r *Reconciler) Drain() { r.drain(context.Background()) }

// drainAtStop drains while the lease is still held. What is stored and published before another replica leads needs no
// merging.
func (r *Reconciler) drainAtStop(ctx context.Context) {
	<-ctx.Done()
	r.drain(context.WithoutCancel(ctx))
}

func (r *Reconciler) drain(ctx context.Context) {
	for pace := drainPace; r.isBusy() || r.drainHeld(ctx); pace = min(2*pace, drainPaceMost) {
		if r.isBusy() {
			pace = drainPace
		} else {
			now := r.Clock.Now()
			r.draining.CompareAndSwap(nil, &now)
			r.drained.Add(int64(pace))
		}
		if !r.Custody.Wait(ctx, pace) {
			return
		}
	}
}

// isBusy reports whether a pass or an exchange is running. Storing a held result uses what its pass observed and
// remembers, which only one goroutine at a time may touch.
func (r *Reconciler) isBusy() bool { return r.passes.Load() > 0 || r.inFlight.Load() > 0 }

// drainHeld makes a round for each result, and reports whether to wait for one of them.
func (r *Reconciler) drainHeld(ctx context.Context) (left bool) {
	isTired := time.Duration(r.drained.Load()) >= drainPatience
	if began := r.draining.Load(); began != nil && r.Clock.Now().Sub(*began) >= drainPatience {
		isTired = true // the rounds themselves take long
	}
	for _, h := range r.memory.allHeld() {
		if !h.mu.TryLock() {
			left = true
			continue
		}
		err := r.finish(ctx, h.seen, h, 1)
		h.mu.Unlock()
		switch {
		case err == nil, isUnwanted(err):
		case h.isDurable() && isDenied(err):
		case isTired && isAnswered(err) && h.isDurable():
		case isTired && isAnswered(err):
			ctrl.LoggerFrom(ctx).Error(err, "A reply is lost: nothing else has it, and it could not be stored before the shutdown",
				"namespace", h.seen.cred.Namespace, "name", h.seen.cred.Name, "grant", h.try.claim.Grant)
		default:
			left = true
		}
	}
	return left
}

// isAnswered reports whether the Kubernetes API answered a write that it did not carry out.
func isAnswered(err error) bool { return isDenied(err) || errors.Is(err, custody.ErrConflict) }

// isDenied reports whether the Kubernetes API refused a write for a reason that does not pass by itself.
func isDenied(err error) bool { return kubeerror.IsDenied(err) || isTaken(err) }
