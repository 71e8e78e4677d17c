package controllers

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/loginguard"
	"github.com/fluent-credential/operator/internal/token"
)

// memory is what this process remembers of each credential, to spare reads and writes. All of it can be lost: it is rebuilt from
// the cluster, or, of results that are not stored yet, from the journal.
type memory struct {
	mu      sync.Mutex
	entries map[types.NamespacedName]*remembered
	results map[types.UID]*held // results that are not stored yet: they are not cached, this is their only place
	linedUp sync.Once           // queues the credentials that were due when this process started
}

type remembered struct {
	uid        types.UID      // an object of the same name with another UID is another one
	registered string         // the version in which our finalizer was written; the cache may not show it yet
	login      rememberedRead // the credentials Secret
	published  publication    // the workload Secret
	copies     copies         // Secrets with our marks that were examined
	mark       highWater      // the highest serial that was seen
	edited     bool           // the state Secret was found edited, and that was told
	claim      sighting       // a claim of another process
	ahead      ahead          // a failure that comes later than now
	unsent     string         // a claim of this process for which nothing was sent
	leaving    leaving        // what was done about a deletion
	status     string         // digest of the status that was written last
	told       string         // the version with that status; the cache may not show it yet
	rewritten  rewriting
	history    []v1alpha1.ExchangeStatus // with what the status does not show yet; nil: it shows all
	expected   forecast
	state      failing // the writes of the state Secret and the login guard
	target     failing // likewise, of the target Secret
	reads      failing // the reads of a pass
	races      lostRaces
	repairs    lostRaces // of the target Secret
	errors     int       // passes in a row that ended in one

	loggedOther loginguard.Owner // the FluentCredential of another namespace that was named in the log
}

// leaving is a deletion as this process saw it.
type leaving struct {
	first   time.Time // when it was first seen
	revoked bool      // the refresh token was dealt with, one way or the other
	claim   string    // of the revocation, over which this process is not at work any more when it makes another pass
}

// rememberedRead is a login and the version of the Secret that it was read from.
type rememberedRead struct {
	uid             types.UID
	resourceVersion string
	keys            map[string]v1alpha1.SecretKey
	login           token.Login // stays when the Secret goes, for the revocation that may follow
	oversized       string      // which entry is too large to be one; empty if none is
	refused         string      // why no login may be read from the Secret; empty if it may
	hints           string      // likely mistakes in the entries, without values; empty if there are none
}

// publication is what was last seen or written at which version of the workload Secret.
type publication struct {
	name            string
	resourceVersion string
	digest          string
	shape           uint64
	shared          bool // others put something of theirs into it
	serial          int64
}

// sighting is when this process first saw a claim, on its own monotonic clock.
type sighting struct {
	claim string
	first time.Time
}

// ahead is a failure that was stored by a clock which is ahead of this process's, or was: when it was, and when it was first seen.
type ahead struct{ last, first time.Time }

func newMemory() *memory { return &memory{entries: map[types.NamespacedName]*remembered{}} }

// of is the entry of one credential. One credential is worked on by one goroutine at a time, so the entry needs no lock.
func (m *memory) of(key types.NamespacedName, uid types.UID) *remembered {
	m.mu.Lock()
	defer m.mu.Unlock()
	entry, ok := m.entries[key]
	if !ok || entry.uid != uid {
		entry = &remembered{uid: uid}
		m.entries[key] = entry
	}
	return entry
}

// forget returns the UID of the object that is forgotten; empty where none was known.
func (m *memory) forget(key types.NamespacedName) types.UID {
	m.mu.Lock()
	defer m.mu.Unlock()
	entry, ok := m.entries[key]
	delete(m.entries, key)
	if !ok {
		return ""
	}
	return entry.uid
}

// firstSeen is when the claim was first seen.
func (e *remembered) firstSeen(claim string, now time.Time) time.Time {
	if e.claim.claim != claim {
		e.claim = sighting{claim: claim, first: now}
	}
	return e.claim.first
}

// firstAhead is when a failure of a time to come was first seen.
func (e *remembered) firstAhead(last, now time.Time) time.Time {
	if !e.ahead.last.Equal(last) || now.Before(e.ahead.first) {
		e.ahead = ahead{last: last, first: now}
	}
	return e.ahead.first
}

// isUnsent tells whether nothing was sent for the claim, although it was written down.
func (e *remembered) isUnsent(claim string) bool { return claim != "" && claim == e.unsent }

// patience is until when a deletion waits for the turn of the token host.
func (e *remembered) patience(revocable bool, now time.Time) time.Time {
	if !revocable {
		return time.Time{}
	}
	if e.leaving.first.IsZero() {
		e.leaving.first = now
	}
	return e.leaving.first.Add(leavePatience)
}
