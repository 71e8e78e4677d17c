package controllers

import (
	"cmp"
	"iter"
	"maps"
	"math"
	"slices"
	"time"
)

// The exchange slots and the rate of a host are divided among namespaces.

// activity is what a namespace has in flight, how many of its credentials wait, and when it began a request last.
type activity struct {
	flying, waiting int
	served          time.Time // zero: not since it became active
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
