package controllers

import (
	"cmp"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// turns is the queue for one token host. Each lane is ordered by itself, the earliest deadline first, and the lanes take turns as
// long as somebody waits in them: who has no token does not starve behind a fleet of refreshes, no token expires behind a thousand
// new credentials, and a person waits for two turns at most that nobody asked for.
type turns struct {
	interval time.Duration
	free     time.Time // when the next request may be sent
	last     lane      // of the request that was sent last
	waiting  map[types.NamespacedName]place
}

// lane is a kind of waiter.
type lane int

// The lanes, in the order of their turns.
const (
	asked   lane = iota // a person waits: a rotate annotation, another login, a deletion
	living              // the published token is valid, and is to stay so
	lacking             // there is no valid token
	lanes
)

// waiter is a credential that wants to send a request.
type waiter struct {
	key     types.NamespacedName
	lane    lane
	expires time.Time // of its token, past or not; zero: it never had one
	// perMinute is how many requests its API takes in a minute, as documented; zero: any number.
	perMinute int
}

// place is a waiter's place in the queue.
type place struct {
	lane     lane
	since    time.Time
	deadline time.Time
	until    time.Time // when it asks again
}

// lateness is how long a waiter may be overdue before its turn passes to others.
const lateness = 5 * time.Second

// turnOf is when it is the waiter's turn; zero: now. Of others it counts those that are before it and come in time.
func (t *turns) turnOf(who waiter, now time.Time) time.Time {
	free, ahead := t.freeAt(now), t.ahead(who, now)
	if ahead == 0 && !now.Before(free) {
		return time.Time{}
	}
	if free.Before(now) {
		free = now // whose turn it is was told to come a little later, or is late
	}
	return free.Add(time.Duration(ahead) * t.interval)
}

// freeAt is when the next request may be sent: an interval ahead at most, even if the clock was set back.
func (t *turns) freeAt(now time.Time) time.Time {
	if latest := now.Add(t.interval); t.free.After(latest) {
		t.free = latest
	}
	return t.free
}

// ahead is how many have their turn before the waiter. It has its own after as many rounds as others of its lane come before it, and
// in each round every lane has one turn while somebody waits in it.
func (t *turns) ahead(who waiter, now time.Time) int {
	mine, rounds, others := t.placeOf(who, now), 0, [lanes]int{}
	for key, other := range t.waiting {
		switch {
		case key == who.key, other.isLate(now):
		case other.lane != mine.lane:
			others[other.lane]++
		case order(key, other, who.key, mine) < 0:
			rounds++
		}
	}
	ahead := rounds
	for other, waiting := range others {
		turns := rounds
		if t.distance(lane(other)) < t.distance(mine.lane) {
			turns++
		}
		ahead += min(waiting, turns)
	}
	return ahead
}

// distance is how many lanes come before this one, from the one that had the last turn.
func (t *turns) distance(of lane) lane { return (of - t.last - 1 + lanes) % lanes }

// placeOf is the place that the waiter has, or would have. Without a token it is as if its token had expired when it began to wait:
// not earlier, or those that are refused again and again would always be first.
func (t *turns) placeOf(who waiter, now time.Time) place {
	mine, ok := t.waiting[who.key]
	if !ok || mine.since.After(now) {
		mine.since = now
	}
	mine.lane, mine.deadline = who.lane, who.expires
	if mine.deadline.Before(mine.since) {
		mine.deadline = mine.since
	}
	return mine
}

// order compares two places of one lane; of equal ones the name decides, so that they keep their order.
func order(a types.NamespacedName, placeA place, b types.NamespacedName, placeB place) int {
	return cmp.Or(placeA.deadline.Compare(placeB.deadline), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

func (t *turns) wait(who waiter, until, now time.Time) {
	mine := t.placeOf(who, now)
	mine.until = until
	t.waiting[who.key] = mine
}

// isLate: it did not come when it wanted to, and holds nobody up any more.
func (p place) isLate(now time.Time) bool { return now.After(p.until.Add(lateness)) }

func (t *turns) leave(key types.NamespacedName, now time.Time, call func(types.NamespacedName)) {
	if _, waits := t.waiting[key]; waits {
		delete(t.waiting, key)
		t.callFirst(now, call)
	}
}

// callFirst wakes who is next if it would sleep through its turn.
func (t *turns) callFirst(now time.Time, call func(types.NamespacedName)) {
	first, ok := t.first(now)
	if !ok {
		return
	}
	at, next := t.freeAt(now), t.waiting[first]
	if at.Before(now) {
		at = now
	}
	if next.until.After(at) {
		next.until = at
		t.waiting[first] = next
		call(first)
	}
}

// first is who is next, of those that are not late.
func (t *turns) first(now time.Time) (types.NamespacedName, bool) {
	var first types.NamespacedName
	found := false
	for key, other := range t.waiting {
		if !other.isLate(now) && (!found || t.isBefore(key, first)) {
			first, found = key, true
		}
	}
	return first, found
}

// isBefore compares two that wait, were they the only ones.
func (t *turns) isBefore(a, b types.NamespacedName) bool {
	placeA, placeB := t.waiting[a], t.waiting[b]
	if placeA.lane != placeB.lane {
		return t.distance(placeA.lane) < t.distance(placeB.lane)
	}
	return order(a, placeA, b, placeB) < 0
}

func (t *turns) take(who waiter, now time.Time) {
	delete(t.waiting, who.key)
	t.free, t.last = now.Add(t.interval), who.lane
}
