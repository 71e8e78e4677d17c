// Package watchdog detects that a process is stuck for a reason of its own: an operation on its disk that does not end,
// or a reconcile pass that nothing outside the process delays. The liveness probe and the leader's lease ask it, so
// that another replica takes over. An unavailable Kubernetes API or token host is no such reason: a new process would
// fail in the same way.
package watchdog

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// The limits.
const (
	// DiskLimit is how long one operation on the disk may take. Its callers have stopped waiting long before.
	DiskLimit = 30 * time.Second
	// PassLimit is how long a reconcile pass without a claim may take. Its context ends after a minute, and all its
	// requests to the Kubernetes API end with it.
	PassLimit = 5 * time.Minute
)

// Watchdog watches the operations and passes of this process.
type Watchdog struct {
	// Holds reports whether this process holds a reply that is not durable: the process must not be ended then. It is
	// set before the first operation begins; nil: the process never holds one.
	Holds func() bool

	now  func() time.Time
	mu   sync.Mutex
	last uint64
	work map[uint64]work
}

type work struct {
	what  string
	since time.Time
	limit time.Duration
}

// New returns a Watchdog. now is time.Now, which has a monotonic clock, or a test's clock.
func New(now func() time.Time) *Watchdog {
	return &Watchdog{now: now, work: map[uint64]work{}}
}

// Disk records that an operation on the disk begins. The caller calls the returned function when the operation ends.
func (w *Watchdog) Disk(operation string) (ended func()) {
	return w.begin("the disk does not end the operation "+operation, DiskLimit)
}

func (w *Watchdog) begin(what string, limit time.Duration) (ended func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last++
	id := w.last
	w.work[id] = work{what: what, since: w.now(), limit: limit}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.work, id)
	}
}

type passKey struct{}

// Pass records that a reconcile pass begins. The pass is watched until it ends, or until Detach is called with the
// context.
func (w *Watchdog) Pass(ctx context.Context, name string) (watched context.Context, ended func()) {
	ended = w.begin("the reconcile pass of "+name+" does not end", PassLimit)
	return context.WithValue(ctx, passKey{}, ended), ended
}

// Detach ends the watch over a pass. From its claim on, a pass takes as long as it needs to store what it holds.
func Detach(ctx context.Context) {
	if ended, ok := ctx.Value(passKey{}).(func()); ok {
		ended()
	}
}

// Err reports what is stuck. It returns nil if nothing is stuck, or if a reply is held that would be lost with the
// process.
func (w *Watchdog) Err() error {
	stuck := w.stuck()
	if stuck == nil || w.Holds != nil && w.Holds() {
		return nil
	}
	return stuck
}

func (w *Watchdog) stuck() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	var longest *work
	for _, at := range w.work {
		if now.Sub(at.since) > at.limit && (longest == nil || at.since.Before(longest.since)) {
			longest = &at
		}
	}
	if longest == nil {
		return nil
	}
	return fmt.Errorf("%s, for %s", longest.what, now.Sub(longest.since).Round(time.Second))
}

// Check is Err in the form of a liveness check.
func (w *Watchdog) Check(*http.Request) error { return w.Err() }
