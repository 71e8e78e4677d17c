package controllers

import (
	"cmp"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/third_party/forked/golang/btree"
)

// turns is the queue of one namespace for one token host, at one rate. Each lane is ordered by itself, the earliest deadline
// first, and the lanes take turns as long as somebody waits in them: who has no token does not starve behind a fleet of refreshes,
// no token expires behind a thousand new credentials, and a person waits for two turns at most that nobody asked for.
type turns struct {
	served  int  // the number of the last request at this rate
	last    lane // of the request that was sent last
	waiting map[types.NamespacedName]place
	lanes   [lanes]*btree.BTree[place] // the same, in order; nil: empty, because there may be as many hosts as credentials
	*rate
	*guest
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
	key      types.NamespacedName
	lane     lane
	since    time.Time
	deadline time.Time
	until    time.Time // when it asks again
}

const (
	// lateness is how long a waiter may be overdue before its turn passes to others of its namespace.
	lateness = 5 * time.Second
	// courtesy is the same for other namespaces. A namespace that uses up its workers is late again and again.
	courtesy = time.Second
)

// turnOf is when it is the waiter's turn; zero: now. Ahead is how many have their turns before, and room how many requests may be
// begun.
func (t *turns) turnOf(who waiter, ahead, room int, now time.Time) time.Time {
	free := t.freeFor(who, now)
	if ahead < t.atOnce(room) && !now.Before(free) {
		return time.Time{}
	}
	if free.Before(now) {
		free = now // whose turn it is was told to come a little later, or is late
	}
	if t.interval > 0 && room > 0 {
		return free.Add(time.Duration(ahead) * t.interval)
	}
	if ahead < room {
		return free
	}
	return free.Add(max(glance, time.Duration(ahead)*swiftness)) // when one ends is not known: who is next is called then
}

const (
	// glance is how long somebody waits at least who cannot know its turn. A call comes before it.
	glance = 10 * time.Second
	// swiftness is how fast those before somebody are likely to go, where no rate tells: who looks too often costs more than it is worth.
	swiftness = 20 * time.Millisecond
)

// atOnce is how many may send a request at one moment: with a rate one.
func (t *turns) atOnce(room int) int {
	if t.interval > 0 {
		return min(room, 1)
	}
	return room
}

// freeAt is when the next request may be sent: an interval ahead at most, even if the clock was set back.
func (r *rate) freeAt(now time.Time) time.Time {
	if latest := now.Add(r.interval); r.free.After(latest) {
		r.free = latest
	}
	return r.free
}

// freeFor waits for a host that fails, too.
func (t *turns) freeFor(who waiter, now time.Time) time.Time {
	return later(t.freeAt(now), t.pause(who, now))
}

// ahead is how many have their turn before the waiter. It has its own after as many rounds as others of its lane come before it, and
// in each round every lane has one turn while somebody waits in it.
func (t *turns) ahead(who waiter, now time.Time) int {
	mine := t.placeOf(who, now)
	rounds := t.count(mine.lane, mine, farthest, now)
	ahead := rounds
	for other := range lanes {
		if other == mine.lane {
			continue
		}
		turns := rounds
		if t.distance(other) < t.distance(mine.lane) {
			turns++
		}
		ahead += t.count(other, mine, turns, now)
	}
	return ahead
}

// farthest is how far somebody looks ahead: who is farther behind knows well enough.
const farthest = 4096

// nearby is how far somebody looks ahead where no rate tells when its turn comes: who is farther behind is called when it does.
const nearby = 512

// count is how many wait in a lane, in time, so many at most; in the waiter's own only those before it.
func (t *turns) count(of lane, mine place, most int, now time.Time) int {
	found, sight, last := 0, most, place{}
	if t.interval == 0 {
		sight = min(most, nearby)
	}
	look := func(other place) bool {
		if other.key != mine.key && !other.isLate(now) && found < sight {
			found, last = found+1, other
		}
		return found < sight
	}
	switch {
	case most == 0, t.lanes[of] == nil:
	case of == mine.lane:
		t.lanes[of].AscendLessThan(mine, look)
	default:
		t.lanes[of].Ascend(look)
	}
	if found < sight || sight == most {
		return found
	}
	return min(t.guess(of, last, mine, found), most)
}

// guess is how many are likely to come before somebody who is farther behind than the last that was looked at: as if the deadlines that
// follow were evenly spread.
func (t *turns) guess(of lane, last, mine place, found int) int {
	final, _ := t.lanes[of].Max()
	all, before := final.deadline.Sub(last.deadline), mine.deadline.Sub(last.deadline)
	rest := float64(t.lanes[of].Len() - found)
	if of != mine.lane || before >= all {
		return found + int(rest)
	}
	return found + int(rest*before.Seconds()/all.Seconds())
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
	mine.key, mine.lane, mine.deadline = who.key, who.lane, who.expires
	if mine.deadline.Before(mine.since) {
		mine.deadline = mine.since
	}
	return mine
}

// order compares two places of one lane; of equal ones the name decides, so that they keep their order.
func order(a, b place) int {
	return cmp.Or(a.deadline.Compare(b.deadline), cmp.Compare(a.key.Namespace, b.key.Namespace), cmp.Compare(a.key.Name, b.key.Name))
}

// wait returns since when it waits.
func (t *turns) wait(who waiter, until, now time.Time) time.Time {
	mine := t.placeOf(who, now)
	mine.until = until
	t.put(mine)
	return mine.since
}

func (t *turns) put(mine place) {
	t.remove(mine.key)
	if t.waiting == nil {
		t.waiting = map[types.NamespacedName]place{}
	}
	t.busy[t] = true
	t.waiting[mine.key] = mine
	if t.lanes[mine.lane] == nil {
		t.lanes[mine.lane] = btree.New(32, func(a, b place) bool { return order(a, b) < 0 })
	}
	t.lanes[mine.lane].ReplaceOrInsert(mine)
}

func (t *turns) remove(key types.NamespacedName) {
	before, waits := t.waiting[key]
	if !waits {
		return
	}
	t.lanes[before.lane].Delete(before)
	if t.lanes[before.lane].Len() == 0 {
		t.lanes[before.lane] = nil
	}
	if delete(t.waiting, key); len(t.waiting) == 0 {
		t.waiting = nil
		delete(t.busy, t)
	}
}

// isLate: it did not come when it wanted to, and holds nobody up any more.
func (p place) isLate(now time.Time) bool { return now.After(p.until.Add(lateness)) }

// isMissed reports whether it did not come promptly, and holds up no other namespace any more.
func (p place) isMissed(now time.Time) bool { return now.After(p.until.Add(courtesy)) }

// wake calls a waiter that would sleep through its turn. It reports whether the waiter is to come now.
func (t *turns) wake(next place, now time.Time, call func(types.NamespacedName)) bool {
	at := later(later(t.freeAt(now), now), t.pause(waiter{key: next.key, lane: next.lane}, now))
	if next.until.After(at) {
		next.until = at
		t.put(next)
		call(next.key)
	}
	return !next.until.After(now) && !next.isMissed(now)
}

// next are the first so many, of those that are not late.
func (t *turns) next(most int, now time.Time) []place {
	if most <= 0 || len(t.waiting) == 0 {
		return nil
	}
	var firsts [lanes][]place
	for of := range lanes {
		if t.lanes[of] == nil {
			continue
		}
		t.lanes[of].Ascend(func(other place) bool {
			if !other.isLate(now) {
				firsts[of] = append(firsts[of], other)
			}
			return len(firsts[of]) < most
		})
	}
	var next []place
	for turn := t.last + 1; len(next) < most && len(firsts[asked])+len(firsts[living])+len(firsts[lacking]) > 0; turn++ {
		if of := turn % lanes; len(firsts[of]) > 0 {
			next, firsts[of] = append(next, firsts[of][0]), firsts[of][1:]
		}
	}
	return next
}

func (t *turns) take(who waiter, now time.Time) {
	t.remove(who.key)
	t.turn++
	t.free, t.last, t.served, t.lately = now.Add(t.interval), who.lane, t.turn, now
}
