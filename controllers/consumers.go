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

	distributions map[types.UID]*underway // by credential
}

// consumer is one FluentToken. Two work on it: its own passes, and those of its credential; who has the turn may touch the fields.
type consumer struct {
	turn chan struct{} // holds one element while nobody works on it
	uid  types.UID     // an object of the same name with another UID is another one

	registered string      // the version in which our finalizer was written; the cache may not show it yet
	published  publication // the workload Secret
	copies     copies      // Secrets with our marks that were examined
	source     types.UID   // whose token is in it
	account    string      // that it was rendered with
	members    string      // of the reply that the owner listed for it
	generation int64       // of the spec that it was rendered for
	expires    time.Time
	status     string // digest of the status that was written last
	rewritten  rewriting
	told       string // the version with that status; the cache may not show it yet
	conditions []metav1.Condition

	holds  atomic.Pointer[holding] // the same for those who only count
	failed atomic.Bool             // the last publication failed: the next one can wait for the others
}

// holding is whose token a consumer has.
type holding struct {
	source types.UID
	serial int64
}

// underway is a token on its way to its consumers.
type underway struct {
	record *custody.Record
	begun  atomic.Bool // the last of them has its place, so that nobody waits for one any more
}

func newConsumers() *consumers {
	return &consumers{entries: map[types.NamespacedName]*consumer{}, distributions: map[types.UID]*underway{}}
}

// begin keeps what is being distributed, until over is called.
func (c *consumers) begin(source types.UID, record *custody.Record) (begun *underway, over func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	begun = &underway{record: record}
	c.distributions[source] = begun
	return begun, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.distributions[source] == begun {
			delete(c.distributions, source)
		}
	}
}

// distributed is what is being distributed of a credential, where that is no older than what its status shows; else nil. Who is looked at
// meanwhile needs no read of the state.
func (c *consumers) distributed(cred *v1alpha1.FluentCredential) *custody.Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, shown := c.distributions[cred.UID], cred.Status.Token
	if found == nil || shown != nil && shown.Serial > found.record.Serial {
		return nil
	}
	return found.record
}

// isCrowded tells whether consumers of a credential wait for a place.
func (c *consumers) isCrowded(source types.UID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := c.distributions[source]
	return found != nil && !found.begun.Load()
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
