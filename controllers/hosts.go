package controllers

import (
	"cmp"
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
// API, and slows nobody else who asks the same host: anybody may write any host into a FluentCredential.
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
	busy   map[*turns]bool                 // where anybody waits
	aloft  map[*host]bool                  // to which something is on its way
}

// NewHosts allows so many requests a minute to one host; zero means as many as the API takes.
func NewHosts(perMinute int) *Hosts {
	return &Hosts{
		interval: intervalOf(perMinute), known: map[string]*host{}, call: func(types.NamespacedName) {},
		places: map[types.NamespacedName]*turns{}, busy: map[*turns]bool{}, aloft: map[*host]bool{},
	}
}

// intervalOf is the time between two requests of so many a minute; zero: there is no limit.
func intervalOf(perMinute int) time.Duration {
	if perMinute <= 0 {
		return 0
	}
	return (time.Minute + time.Duration(perMinute) - 1) / time.Duration(perMinute)
}

// Bound allows so many exchanges at once, and a host that fails one.
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
	return queue.turnOf(who, h.room(queue), now)
}

// Fails tells whether the host fails, so that one credential at a time asks it.
func (h *Hosts) Fails(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	host, known := h.known[name]
	return known && h.slots > 0 && host.fails()
}

// Take uses up the waiter's turn, if it has come. What is taken has to land.
func (h *Hosts) Take(name string, who waiter, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	queue := h.of(name, who)
	if queue == nil {
		return true
	}
	if !queue.turnOf(who, h.room(queue), now).IsZero() {
		return false
	}
	h.leave(who.key)
	queue.take(who, now)
	queue.flying++
	h.flying++
	h.aloft[queue.host] = true
	h.sweep(now)
	h.callNext(now)
	return true
}

// Land ends what was begun by Take, and takes in what it tells of the host.
func (h *Hosts) Land(name string, key types.NamespacedName, told news, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	host, known := h.known[name]
	if !known {
		return
	}
	h.flying = max(h.flying-1, 0)
	if host.landed(key, told, now); host.flying == 0 {
		delete(h.aloft, host)
	}
	h.callNext(now)
}

// room is how many requests to a host may be begun. No host takes all, so that one that stops to answer does not stop the others;
// those that are not known to answer share half, and one that fails has its canary.
func (h *Hosts) room(queue *turns) int {
	if h.slots == 0 {
		return math.MaxInt
	}
	room := min(h.slots-h.flying, share(h.slots, 3)-queue.flying)
	if !queue.answers {
		room = min(room, share(h.slots, 2)-h.doubtful())
	}
	if queue.fails() {
		room = min(room, 1-queue.flying)
	}
	return max(room, 0)
}

// share is so many quarters of the slots, and one at least.
func share(slots, quarters int) int { return max((slots*quarters+3)/4, 1) }

// doubtful is how much is on its way to hosts that are not known to answer.
func (h *Hosts) doubtful() int {
	found := 0
	for host := range h.aloft {
		if !host.answers {
			found += host.flying
		}
	}
	return found
}

// callNext wakes those whose turn has come, at whatever host. Where slots are short, the host comes first whose first waiter has the
// earliest deadline.
func (h *Hosts) callNext(now time.Time) {
	firsts := map[*turns]place{}
	if h.slots > 0 && h.flying >= h.slots {
		return
	}
	for queue := range h.busy {
		if next := queue.next(1, now); len(next) > 0 {
			firsts[queue] = next[0]
		}
	}
	sorted := slices.SortedFunc(maps.Keys(firsts), func(a, b *turns) int {
		return cmp.Or(cmp.Compare(min(firsts[a].lane, living), min(firsts[b].lane, living)), order(firsts[a], firsts[b]))
	})
	left := math.MaxInt
	if h.slots > 0 {
		left = h.slots - h.flying
	}
	for _, queue := range sorted {
		left -= queue.callNext(min(h.room(queue), left), now, h.call)
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
	h.places[who.key], h.busy[queue] = queue, true
	return queue.wait(who, until, now)
}

// leave tells whether there was a place to give up.
func (h *Hosts) leave(key types.NamespacedName) bool {
	queue, waits := h.places[key]
	if !waits {
		return false
	}
	delete(h.places, key)
	if queue.remove(key); len(queue.waiting) == 0 {
		delete(h.busy, queue)
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
		found = &host{}
		h.known[name] = found
	}
	return found.queue(interval)
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
