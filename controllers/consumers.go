package controllers

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
)

// consumers is what this process remembers of each FluentToken, to spare reads and writes. All of it can be lost: it is rebuilt from
// the cluster.
type consumers struct {
	mu      sync.Mutex
	entries map[types.NamespacedName]*consumer
	records map[types.UID]*custody.Record // by credential: what is being distributed
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

func newConsumers() *consumers {
	return &consumers{entries: map[types.NamespacedName]*consumer{}, records: map[types.UID]*custody.Record{}}
}

// underway keeps what is being distributed, until what it returns is called: who is looked at meanwhile needs no read of the state.
func (c *consumers) underway(source types.UID, record *custody.Record) (over func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.records[source] = record
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.records[source] == record {
			delete(c.records, source)
		}
	}
}

// distributed is what is being distributed of a credential, where that is no older than what its status shows; else nil.
func (c *consumers) distributed(cred *v1alpha1.FluentCredential) *custody.Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	record := c.records[cred.UID]
	if shown := cred.Status.Token; record == nil || shown != nil && shown.Serial > record.Serial {
		return nil
	}
	return record
}

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

// lacks notes that the Secret does not hold a token of this credential as it should.
func (c *consumer) lacks(source types.UID) { c.holds.Store(&holding{source: source}) }

func (c *consumer) forgetPublication() {
	c.published, c.source = publication{}, ""
	c.holds.Store(nil)
}
