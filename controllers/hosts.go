package controllers

import (
	"math"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Hosts limits the requests in flight to token hosts and the rate of requests to each host, and decides which credential
// is next. The rate is that of --host-rate or, without it, the one that the API documents. A documented rate is shared by
// the credentials of that API only, because every author can name any host. For the same reason the namespaces take turns
// at a rate, each namespace has a share of the slots, and each has a circuit breaker of its own at each host.
type Hosts struct {
	interval time.Duration // between two requests to one host (--host-rate); zero: what the API documents
	slots    int           // exchanges on their way, to all hosts (--max-concurrent-exchanges); zero: any number
	// call wakes a waiter whose turn comes before the time at which it wants to ask again: those before it have left. It must not
	// block. Without it such turns pass unused.
	call func(types.NamespacedName)

	mu     sync.Mutex
	known  map[string]*host
	swept  time.Time // when those that nobody asks any more were dropped
	flying int
	places map[types.NamespacedName]*turns // where somebody waits
	busy   map[string]map[*turns]bool      // by namespace: the queues in which a credential waits
	aloft  map[*guest]bool                 // with requests in flight
	active map[string]activity             // by namespace
}

// NewHosts allows so many requests a minute to one host; zero means as many as the API takes.
func NewHosts(perMinute int) *Hosts {
	return &Hosts{
		interval: intervalOf(perMinute), known: map[string]*host{}, call: func(types.NamespacedName) {},
		places: map[types.NamespacedName]*turns{}, busy: map[string]map[*turns]bool{}, aloft: map[*guest]bool{},
		active: map[string]activity{},
	}
}

// intervalOf is the time between two requests of so many a minute; zero: there is no limit.
func intervalOf(perMinute int) time.Duration {
	if perMinute <= 0 {
		return 0
	}
	return (time.Minute + time.Duration(perMinute) - 1) / time.Duration(perMinute)
}

// Bound allows so many exchanges at once, and each namespace one to a host that fails for it.
func (h *Hosts) Bound(slots int) *Hosts {
	h.slots = slots
	return h
}

// FreeAt is when it is likely to be the waiter's turn to send a request to the host; zero means now.
func (h *Hosts) FreeAt(name string, who waiter, now time.Time) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sweep(now)
	queue := h.of(name, who)
	if queue == nil {
		return time.Time{}
	}
	return h.turnOf(queue, who, now)
}

// guest returns what is known of a namespace at a host; nil: nothing.
func (h *Hosts) guest(name, namespace string) *guest {
	host, known := h.known[name]
	if !known {
		return nil
	}
	return host.guests[namespace]
}

// Take uses up the waiter's turn, if it has come. What is taken has to land.
func (h *Hosts) Take(name string, who waiter, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	queue := h.of(name, who)
	if queue == nil {
		return true
	}
	if !h.turnOf(queue, who, now).IsZero() {
		return false
	}
	h.leave(who.key)
	queue.take(who, now)
	queue.flying++
	queue.host.flying++
	h.flying++
	h.count(queue.namespace, activity{flying: 1, served: now})
	h.aloft[queue.guest] = true
	h.sweep(now)
	h.callNext(now)
	return true
}

// Land ends what was begun by Take, and takes in what it tells of the host.
func (h *Hosts) Land(name string, key types.NamespacedName, told news, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	guest := h.guest(name, key.Namespace)
	if guest == nil || guest.flying == 0 {
		return
	}
	h.flying--
	h.count(key.Namespace, activity{flying: -1})
	if guest.landed(key, told, now); guest.flying == 0 {
		delete(h.aloft, guest)
	}
	h.callNext(now)
}

// room is how many requests to a host a namespace may begin. No host takes all slots, so that one that stops to answer does not
// stop the others. No namespace takes all, nor all of those for one host: a path of that host may be slow. A host that fails has
// one canary of the namespace.
func (h *Hosts) room(queue *turns) int {
	if h.slots == 0 {
		return math.MaxInt
	}
	ofHost, others := share(h.slots, 3), queue.host.flying-queue.flying
	room := min(
		h.slots-h.flying, h.roomOf(queue.namespace),
		ofHost-queue.host.flying, portion(ofHost, others, others == 0)-queue.flying,
	)
	if !queue.answers {
		room = min(room, h.doubtfulRoom(queue))
	}
	if queue.fails() {
		room = min(room, 1-queue.flying)
	}
	return max(room, 0)
}

// share is so many quarters of the slots, and one at least.
func share(slots, quarters int) int { return max((slots*quarters+3)/4, 1) }

// doubtfulRoom is how many requests a namespace may begin to a host that is not known to answer. Such requests share half of the
// slots. A namespace with nothing in flight may begin one beyond that, unless the host has failed: after a start no host is known.
func (h *Hosts) doubtfulRoom(queue *turns) int {
	half, mine, others := share(h.slots, 2), 0, 0
	for guest := range h.aloft {
		switch {
		case guest.answers:
		case guest.namespace == queue.namespace:
			mine += guest.flying
		default:
			others += guest.flying
		}
	}
	left := half - mine - others
	if h.active[queue.namespace].flying == 0 && !queue.fails() {
		left = max(left, 1)
	}
	return min(left, portion(half, others, h.isAlone(queue.namespace))-mine)
}

// turnOf is when it is the waiter's turn; zero: now.
func (h *Hosts) turnOf(queue *turns, who waiter, now time.Time) time.Time {
	ahead, first := queue.ahead(who, now), queue.placeOf(who, now)
	if own := queue.next(1, now); ahead > 0 && len(own) > 0 {
		first = own[0]
	}
	ahead += h.before(queue, first, ahead, now)
	return queue.turnOf(who, ahead, h.room(queue), now)
}

// before is how many credentials of other namespaces have their turns before a waiter of this queue that has so many of its own
// ahead. At a rate the namespaces take turns: the one that was served least recently is next.
func (h *Hosts) before(queue *turns, first place, ahead int, now time.Time) int {
	found := 0
	if queue.interval == 0 {
		return found
	}
	scanned := 0
	for other := range queue.busy {
		if scanned++; scanned > maxScanned {
			break
		}
		if other == queue {
			continue
		}
		next := other.next(1, now)
		if len(next) == 0 || !h.comes(other, next[0], now) {
			continue
		}
		rounds := ahead
		if roundRobin(candidate{place: next[0], queue: other}, candidate{place: first, queue: queue}) < 0 {
			rounds++
		}
		found += min(rounds, len(other.waiting))
	}
	return found
}

// comes reports whether the first waiter of a queue can use the next turn at its rate.
func (h *Hosts) comes(queue *turns, first place, now time.Time) bool {
	paused := queue.pause(waiter{key: first.key, lane: first.lane}, now)
	return !first.isMissed(now) && !paused.After(later(queue.freeAt(now), now)) && h.room(queue) > 0
}

// callNext wakes the credentials whose turn has come, at any host. Where slots are short, the namespace with the fewest
// requests in flight is first, then the one that was served least recently. Within a namespace, the earliest deadline is
// first. A waiter that does not come promptly takes no slot from other namespaces.
func (h *Hosts) callNext(now time.Time) {
	left := math.MaxInt
	if h.slots > 0 {
		left = h.slots - h.flying
	}
	if left <= 0 {
		return
	}
	for _, next := range h.candidates(left, now) {
		if next.queue.wake(next.place, now, h.call) {
			left--
		}
		if left == 0 {
			return
		}
	}
}

// Wait keeps the waiter's place until its turn, and returns since when it waits. It is to ask again at the time given; if it is late it
// holds nobody up.
func (h *Hosts) Wait(name string, who waiter, until, now time.Time) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	since := h.keep(name, who, until, now)
	h.callNext(now)
	return since
}

// keep keeps a place at one host: whoever had one at another has it no more.
func (h *Hosts) keep(name string, who waiter, until, now time.Time) time.Time {
	queue := h.of(name, who)
	if h.places[who.key] != queue {
		h.leave(who.key)
	}
	if queue == nil {
		return now
	}
	if h.places[who.key] == nil {
		h.count(queue.namespace, activity{waiting: 1})
	}
	if h.busy[queue.namespace] == nil {
		h.busy[queue.namespace] = map[*turns]bool{}
	}
	h.places[who.key], h.busy[queue.namespace][queue] = queue, true
	return queue.wait(who, until, now)
}

// leave tells whether there was a place to give up.
func (h *Hosts) leave(key types.NamespacedName) bool {
	queue, waits := h.places[key]
	if !waits {
		return false
	}
	delete(h.places, key)
	h.count(queue.namespace, activity{waiting: -1})
	if queue.remove(key); len(queue.waiting) == 0 {
		delete(h.busy[queue.namespace], queue)
		if len(h.busy[queue.namespace]) == 0 {
			delete(h.busy, queue.namespace)
		}
	}
	return true
}

// Expect keeps a place for somebody that has not come yet, and will. Begin calls the first.
func (h *Hosts) Expect(name string, who waiter, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keep(name, who, now.Add(expectation), now)
}

// expectation is how long an expected one may take to come. All come, in the order in which the work queue has them.
const expectation = time.Hour

// Begin calls those that are first.
func (h *Hosts) Begin(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.callNext(now)
}

// Leave gives up the place of a credential that has nothing to ask for.
func (h *Hosts) Leave(key types.NamespacedName, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.leave(key) {
		h.callNext(now)
	}
}

// of lets requests through one at a time, evenly, where there is a rate: a burst would break the limit of an API that counts by the
// minute. Without any limit there is no queue.
func (h *Hosts) of(name string, who waiter) *turns {
	interval := h.interval
	if interval == 0 {
		interval = intervalOf(who.perMinute)
	}
	if interval == 0 && h.slots == 0 {
		return nil
	}
	found, ok := h.known[name]
	if !ok {
		found = &host{guests: map[string]*guest{}}
		h.known[name] = found
	}
	return found.of(who.key.Namespace, interval)
}

// waiter is how this credential stands in the queue of its token host.
func (o *observation) waiter() waiter {
	who, stored := waiter{key: client.ObjectKeyFromObject(o.cred), lane: lacking}, o.facts.Token
	if o.api != nil {
		who.perMinute = o.api.RequestsPerMinute()
	}
	if stored != nil {
		who.expires = stored.Expires
	}
	switch {
	case o.isAskedFor():
		who.lane = asked
	case stored != nil && o.now.Before(stored.Expires):
		who.lane = living
	}
	return who
}

// isAskedFor: a person did something and waits for what comes of it. The first token of many new credentials is nobody's haste.
func (o *observation) isAskedFor() bool {
	facts := o.facts
	return facts.Deleting || facts.Rotate || facts.Mended || facts.Token != nil && (facts.Token.Stale || facts.Login.Seed)
}
