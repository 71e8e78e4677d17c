package controllers

import (
	"cmp"
	"iter"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Hosts bounds what is on its way to token hosts, holds the requests to each to a rate that all credentials share, and says whose turn
// is next. The rate is that of --host-rate or, without it, the one that the API documents; that one is shared by the credentials of that
// API, and slows nobody else who asks the same host: anybody may write any host into a FluentCredential. For the same reason the
// namespaces take turns at a rate, each has a share of the slots, and each has a circuit breaker of its own at each host.
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

// activity is what a namespace has in flight, how many of its credentials wait, and when it began a request last.
type activity struct {
	flying, waiting int
	served          time.Time // zero: not since it became active
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

// Fails reports whether the host fails for a namespace, so that one of its credentials at a time asks it.
func (h *Hosts) Fails(name, namespace string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	guest := h.guest(name, namespace)
	return guest != nil && h.slots > 0 && guest.fails()
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

// count changes what a namespace has in flight or waiting.
func (h *Hosts) count(namespace string, by activity) {
	changed := h.active[namespace]
	changed.flying += by.flying
	changed.waiting += by.waiting
	changed.served = later(changed.served, by.served)
	if h.active[namespace] = changed; changed.flying == 0 && changed.waiting == 0 {
		delete(h.active, namespace)
	}
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

// portion is how many slots a namespace may use, of which others use some: half of what these leave, and one at least. A namespace
// that is alone leaves an eighth. Workers are divided in the same way (see internal/fairqueue).
func portion(slots, others int, isAlone bool) int {
	if isAlone {
		return slots - slots/8
	}
	return max((slots-others)/2, 1)
}

// isAlone reports whether no other namespace has a request in flight, or waits for a host that does not fail for it.
func (h *Hosts) isAlone(namespace string) bool {
	if h.flying > h.active[namespace].flying {
		return false
	}
	for queue := range h.scanned() {
		if queue.namespace != namespace && !queue.fails() {
			return false
		}
	}
	return true
}

// roomOf is how many requests a namespace may begin, to all hosts.
func (h *Hosts) roomOf(namespace string) int {
	if h.slots == 0 {
		return math.MaxInt
	}
	mine := h.active[namespace].flying
	return max(portion(h.slots, h.flying-mine, h.isAlone(namespace))-mine, 0)
}

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

// candidate is a waiter whose turn has come if there are slots enough.
type candidate struct {
	place
	queue *turns
	rank  int // how many requests of its namespace are before it, in flight or waiting
}

// roundRobin compares the first waiters of two namespaces at one rate.
func roundRobin(a, b candidate) int {
	return cmp.Or(cmp.Compare(a.queue.served, b.queue.served), order(a.place, b.place))
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

// candidates are those who could use so many free slots, in the order in which they get them.
func (h *Hosts) candidates(left int, now time.Time) []candidate {
	found := map[string][]candidate{}
	for _, first := range h.firsts(left, now) {
		found[first.queue.namespace] = append(found[first.queue.namespace], first)
	}
	var all []candidate
	for namespace, own := range found {
		slices.SortFunc(own, byDeadline)
		own = own[:min(len(own), h.roomOf(namespace))]
		for i := range own {
			own[i].rank = h.active[namespace].flying + i
		}
		all = append(all, own...)
	}
	slices.SortFunc(all, func(a, b candidate) int {
		served := h.active[a.queue.namespace].served.Compare(h.active[b.queue.namespace].served)
		return cmp.Or(cmp.Compare(a.rank, b.rank), served, byDeadline(a, b))
	})
	return all
}

func byDeadline(a, b candidate) int {
	return cmp.Or(cmp.Compare(min(a.lane, living), min(b.lane, living)), order(a.place, b.place))
}

// firsts are the first waiters of each queue, so many at most. Of a rate that is one, whose namespace is next.
func (h *Hosts) firsts(most int, now time.Time) []candidate {
	var found []candidate
	next := map[*rate]candidate{}
	for queue := range h.scanned() {
		for _, first := range queue.next(queue.atOnce(min(h.room(queue), most)), now) {
			each := candidate{place: first, queue: queue}
			if queue.interval == 0 || !h.comes(queue, first, now) {
				found = append(found, each)
				continue
			}
			if best, known := next[queue.rate]; !known || roundRobin(each, best) < 0 {
				next[queue.rate] = each
			}
		}
	}
	return slices.AppendSeq(found, maps.Values(next))
}

// The bounds of a scan of the queues, which happens at each request, under the lock. Beyond them a random part is scanned.
const (
	maxScanned   = 256 // namespaces
	maxScannedOf = 64  // queues of one namespace
)

// scanned returns the queues in which credentials wait.
func (h *Hosts) scanned() iter.Seq[*turns] {
	return func(yield func(*turns) bool) {
		namespaces := 0
		for _, queues := range h.busy {
			if namespaces++; namespaces > maxScanned {
				return
			}
			seen := 0
			for queue := range queues {
				if seen++; seen > maxScannedOf {
					break
				}
				if !yield(queue) {
					return
				}
			}
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
