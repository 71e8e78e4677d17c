package simulation

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// The bounds on requests for one credential by one process, each in any minute. The first two are those of
// docs/adr/0013-classes-of-failures.md; they hold from the first minute of a run of failures on.
const (
	mostDials       = 4
	mostDialsAtLast = 12 // in a minute that has a part of the last one before the expiry
	// mostDialsAtFirst is for the first minute of a run: five lost races that are not reported, and ten tries of the
	// back-off of writes, which doubles from 50 ms to 15 s.
	mostDialsAtFirst = 16
	// mostRequests is for requests to the Kubernetes API after the first minute of a run: four tries with the five
	// requests of a rotation (docs/operating.md) and four of the login guard each, and as many that look for what others
	// do. In the last minute before the expiry there are twelve tries.
	mostRequests       = 60
	mostRequestsAtLast = 120
	// mostRequestsAtFirst is for any other minute: a rotation of a short-lived token, or a run that begins.
	mostRequestsAtFirst = 240
	// longestGap is longer than the longest step of the back-off.
	longestGap = 16 * time.Minute
)

// pace holds every process to the bounds on its requests. What goes wrong for a moment, and what people do, counts for
// the minute in which it happens.
type pace struct {
	world   *world
	ledgers map[ledgerKey]*ledger
	pardons []time.Duration // moments at which something went wrong that does not last
	choices int             // of the dice that are in pardons
}

type ledgerKey struct {
	writer
	credential string
}

// ledger is what one process did for one credential.
type ledger struct {
	dials, requests []time.Duration // the last ones
	run             time.Duration   // when the run of failures began
	isRun           bool
	worst           figures
}

// figures are the most requests in a minute.
type figures struct{ steady, atLast, requests int }

func newPace(w *world) *pace { return &pace{world: w, ledgers: map[ledgerKey]*ledger{}} }

func (p *pace) of(by *process) *ledger {
	key := ledgerKey{writer{by.replica.name, by.life}, by.name}
	if p.ledgers[key] == nil {
		p.ledgers[key] = &ledger{}
	}
	return p.ledgers[key]
}

// pardoned is how often something went wrong for a moment in the last minute, and a little longer: what it causes
// follows.
func (p *pace) pardoned() int {
	made := p.world.dice.made
	for ; p.choices < len(made); p.choices++ {
		if kind := made[p.choices].kind; kind != "delay" && kind != "regime" && kind != "swarm" {
			p.pardons = append(p.pardons, p.world.now())
		}
	}
	p.pardons = within(p.pardons, p.world.now(), 2*time.Minute)
	return len(p.pardons)
}

// within drops what is longer ago.
func within(at []time.Duration, now, span time.Duration) []time.Duration {
	first := slices.IndexFunc(at, func(one time.Duration) bool { return now-one < span })
	if first < 0 {
		return at[:0]
	}
	return at[first:]
}

// key is the credential that a process works for.
func (p *pace) key(by *process) (types.NamespacedName, bool) {
	for _, key := range p.world.setup.credentials {
		if key.Name == by.name {
			return key, true
		}
	}
	return types.NamespacedName{}, false
}

// dialed counts a connection to the token host.
func (p *pace) dialed(by *process) {
	key, isPass := p.key(by)
	if !isPass {
		return
	}
	w, entry := p.world, p.of(by)
	now := w.now()
	if last := len(entry.dials); last > 0 && now-entry.dials[last-1] > longestGap {
		entry.isRun = false // it is another one: what came before was not known to be a failure
	}
	if !entry.isRun {
		entry.isRun, entry.run = true, now
	}
	entry.dials = append(within(entry.dials, now, longestGap), now)
	recently := within(entry.dials, now, time.Minute)
	steady := len(recently)
	for _, at := range recently {
		if at < entry.run+time.Minute {
			steady--
		}
	}
	isLast := p.isAtLast(key, now)
	most := mostDials
	if isLast {
		most = mostDialsAtLast
		entry.worst.atLast = max(entry.worst.atLast, steady)
	} else {
		entry.worst.steady = max(entry.worst.steady, steady)
	}
	allowed := 2 * p.pardoned()
	if w.setup.policy == v1alpha1.LostReplyRetry {
		allowed++
	}
	if steady > most+allowed || len(recently) > mostDialsAtFirst+allowed {
		w.oracle.violated("pace at the token host", "%s connects %d times in a minute for %s, %d of them after the first minute",
			writer{by.replica.name, by.life}, len(recently), by.name, steady)
	}
}

// froze ends the runs of a replica that is frozen: what it remembers of them is forgotten when it goes on.
func (p *pace) froze(r *replica) {
	for key, entry := range p.ledgers {
		if key.replica == r.name {
			entry.isRun = false
		}
	}
}

// isAtLast reports whether the minute that ends now has a part of the last one before the token expires, by any clock.
func (p *pace) isAtLast(key types.NamespacedName, now time.Duration) bool {
	state := p.world.truth(key)
	if state == nil || state.Token == nil {
		return false
	}
	for _, r := range p.world.replicas {
		expires := state.Token.Expires.Sub(start) - r.skew
		if now-time.Minute < expires+time.Second && now > expires-time.Minute-time.Second {
			return true
		}
	}
	return false
}

// requested counts a request to the Kubernetes API.
func (p *pace) requested(by *process) {
	w, entry := p.world, p.of(by)
	now := w.now()
	entry.requests = append(within(entry.requests, now, time.Minute), now)
	count, most := len(entry.requests), mostRequestsAtFirst
	if key, isPass := p.key(by); isPass && entry.isRun && now-entry.run > 2*time.Minute {
		most = mostRequests
		if p.isAtLast(key, now) {
			most = mostRequestsAtLast
		}
		entry.worst.requests = max(entry.worst.requests, count)
	}
	if allowed := 20 * p.pardoned(); count > most+allowed {
		w.oracle.violated("pace at the Kubernetes API", "%s makes %d requests in a minute for %s",
			writer{by.replica.name, by.life}, count, by.name)
	}
}

// wrote ends the run of a credential: a new token is stored, or people have changed something of it.
func (p *pace) wrote(by writer, before, after clientObject) {
	name := p.world.credentialOf(keyOf(after))
	if p.isFirstStored(before, after) {
		for key, entry := range p.ledgers {
			if key.credential == name {
				entry.isRun = false
			}
		}
		return
	}
	if name == "" || by == people && !isChange(before, after) || by != people && !isNewToken(before, after) {
		return
	}
	for key, entry := range p.ledgers {
		if key.credential == name {
			entry.isRun = false
		}
	}
}

// isFirstStored reports whether a failure begins a run that is stored, right after writes were refused: the tries before
// it could not be written down, and the operator counts from here.
func (p *pace) isFirstStored(before, after clientObject) bool {
	was, is := p.world.cluster.document(before), p.world.cluster.document(after)
	wasRefused := slices.ContainsFunc(p.world.regimes, func(l *lasting) bool {
		return l.requests != nil && l.begun && p.world.now() < l.to+2*time.Minute
	})
	return wasRefused && is != nil && is.Failure != nil && is.Failure.Tries <= 1 && (was == nil || was.Failure == nil)
}

// isChange reports whether a write of people means something.
func isChange(before, after clientObject) bool {
	was, isSecret := before.(*corev1.Secret)
	if !isSecret {
		return before == nil || before.GetGeneration() != after.GetGeneration() ||
			!before.GetDeletionTimestamp().Equal(after.GetDeletionTimestamp())
	}
	is, _ := after.(*corev1.Secret)
	return is == nil || !equality.Semantic.DeepEqual(was.Data, is.Data) ||
		!equality.Semantic.DeepEqual(was.DeletionTimestamp, is.DeletionTimestamp)
}

func isNewToken(before, after clientObject) bool {
	is := documentOf(after)
	if is == nil {
		return false
	}
	was := documentOf(before)
	return was == nil || was.Serial != is.Serial
}

// worst are the figures of a credential, of all processes.
func (p *pace) worst(name string) figures {
	var worst figures
	for key, entry := range p.ledgers {
		if key.credential == name {
			worst.steady = max(worst.steady, entry.worst.steady)
			worst.atLast = max(worst.atLast, entry.worst.atLast)
			worst.requests = max(worst.requests, entry.worst.requests)
		}
	}
	return worst
}
