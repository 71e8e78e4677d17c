package controllers

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// consumers is what this process remembers of each FluentToken, to spare reads and writes. All of it can be lost: it is rebuilt from
// the cluster.
type consumers struct {
	mu      sync.Mutex
	entries map[types.NamespacedName]*consumer
}

// consumer is one FluentToken. Two work on it: its own passes, and those of its credential; who has the turn may touch the fields.
type consumer struct {
	turn chan struct{} // holds one element while nobody works on it
	uid  types.UID     // an object of the same name with another UID is another one

	registered string      // the version in which our finalizer was written; the cache may not show it yet
	published  publication // the workload Secret
	source     types.UID   // whose token is in it
	account    string      // that it was rendered with
	generation int64       // of the spec that it was rendered for
	expires    time.Time
	status     string // digest of the status that was written last
	conditions []metav1.Condition

	holds  atomic.Pointer[holding] // the same for those who only count
	failed atomic.Bool             // the last publication failed: the next one can wait for the others
}

// holding is whose token a consumer has.
type holding struct {
	source types.UID
	serial int64
}

func newConsumers() *consumers { return &consumers{entries: map[types.NamespacedName]*consumer{}} }

// of is the entry of one FluentToken.
func (c *consumers) of(key types.NamespacedName, uid types.UID) *consumer {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry, ok := c.entries[key]
	if !ok || entry.uid != uid {
		entry = &consumer{uid: uid, turn: make(chan struct{}, 1)}
		entry.turn <- struct{}{}
		c.entries[key] = entry
	}
	return entry
}

func (c *consumers) forget(key types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.entries, key)
}

// take waits for the turn; false: the context ended first.
func (c *consumer) take(ctx context.Context) bool {
	select {
	case <-c.turn:
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *consumer) leave() { c.turn <- struct{}{} }

// has tells whether the consumer has this token of this credential, or a newer one.
func (c *consumer) has(source types.UID, serial int64) bool {
	held := c.holds.Load()
	return held != nil && held.source == source && held.serial >= serial
}

func (c *consumer) forgetPublication() {
	c.published, c.source = publication{}, ""
	c.holds.Store(nil)
}
