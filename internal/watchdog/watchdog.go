// Package watchdog finds out that a process is stuck for a reason of its own: an operation on its disk that does not end, or a reconcile
// pass that nothing outside of the process holds up. The liveness probe asks it, and so does the leader's lease, so that another replica
// takes over. That the Kubernetes API or a token host is away is no such reason: a new process would not do better.
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
	// DiskLimit is how long one operation on the disk may take. Those who wait for it gave up long before.
	DiskLimit = 30 * time.Second
	// PassLimit is how long a reconcile pass may take that no claim was made in. Its context ends after a minute, and with it everything
	// that it asks the Kubernetes API.
	PassLimit = 5 * time.Minute
)

// Watchdog watches what is at work in this process.
type Watchdog struct {
	// Holds reports whether this process holds a reply that is not durable: it must not be ended then. It is set before the first
	// operation begins; nil: it never holds one.
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

// New returns a Watchdog; now is time.Now, which has a monotonic clock, or the clock of a test.
func New(now func() time.Time) *Watchdog {
	return &Watchdog{now: now, work: map[uint64]work{}}
}

// Disk says that an operation on the disk begins. What it returns is called when the operation ends.
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

// Pass says that a reconcile pass begins. It is watched until it ends, or until Detach is called with the context.
func (w *Watchdog) Pass(ctx context.Context, name string) (watched context.Context, ended func()) {
	ended = w.begin("the reconcile pass of "+name+" does not end", PassLimit)
	return context.WithValue(ctx, passKey{}, ended), ended
}

// Detach ends the watch over a pass. From its claim on, a pass takes as long as it takes to store what it holds.
func Detach(ctx context.Context) {
	if ended, ok := ctx.Value(passKey{}).(func()); ok {
		ended()
	}
}

// Err returns what is stuck; nil where nothing is, or where a reply is held that would be lost with the process.
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

// Check is Err as a check of the liveness probe.
func (w *Watchdog) Check(*http.Request) error { return w.Err() }
