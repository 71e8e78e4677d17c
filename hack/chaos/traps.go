package main

import (
	"context"
	"sync"
)

// A point is a place on the way of a request through a proxy.
type point string

// The points.
const (
	accepted point = "accepted" // the connection is there; nothing was read (token proxy only)
	arrived  point = "arrived"  // the whole request is here, and nothing of it was forwarded
	answered point = "answered" // it was forwarded, the whole reply is here, and nothing of it was sent back
)

// passage is a request on its way.
type passage struct {
	method, path string
	body         []byte
	grant        string // of a token request
	spends       string // the refresh token that it presents; empty: none
	user         string
	reply        []byte      // at answered, of a token request: all of it, header included
	partly       func(n int) // sends the first n bytes of the reply now; the rest follows, or not, as the fate says
}

// fate is what becomes of a passage. The zero fate lets it go on.
type fate struct {
	cut     bool   // the connection is closed; at arrived nothing is forwarded
	keep    int    // at answered, with cut: so many bytes of the reply are sent first
	reset   bool   // with cut: by a RST where the operating system can
	twice   bool   // at arrived: the network delivers the request twice
	second  bool   // with twice: the reply to the second delivery is the one that comes back
	instead []byte // at answered: sent in the reply's place
}

// trap waits for passages at one point.
type trap struct {
	at    point
	wants func(*passage) bool
	do    func(*passage) fate
	left  int // how many passages it is still good for; negative: any number
	// sprung counts the passages; watches is true of one that only looks on, and need not be.
	sprung  int
	watches bool
}

// traps are what lies in wait in one proxy.
type traps struct {
	mu  sync.Mutex
	set []*trap
}

// add sets a trap that is good for so many passages; negative: any number.
func (t *traps) add(at point, times int, wants func(*passage) bool, do func(*passage) fate) *trap {
	t.mu.Lock()
	defer t.mu.Unlock()
	added := &trap{at: at, wants: wants, do: do, left: times, watches: times < 0}
	t.set = append(t.set, added)
	return added
}

// remove takes a trap away; passages that it holds stay held.
func (t *traps) remove(gone *trap) {
	t.mu.Lock()
	defer t.mu.Unlock()
	gone.left = 0
}

// meet is called by a proxy for every passage at every point.
func (t *traps) meet(at point, p *passage) fate {
	if found := t.sprung(at, p); found != nil {
		return found.do(p)
	}
	return fate{}
}

func (t *traps) sprung(at point, p *passage) *trap {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, each := range t.set {
		if each.at == at && each.left != 0 && each.wants(p) {
			each.left--
			each.sprung++
			return each
		}
	}
	return nil
}

// unsprung are the points of the traps that nothing fell into: a fault that did not happen.
func (t *traps) unsprung() (points []point) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, each := range t.set {
		if each.sprung == 0 && !each.watches {
			points = append(points, each.at)
		}
	}
	return points
}

// held is a trap that holds what it catches until it is told what becomes of it.
type held struct {
	traps  *traps
	trap   *trap
	caught chan *passage
	fates  chan fate
	open   chan struct{} // closed: whatever is caught goes on
	once   sync.Once
}

// hold holds so many passages, one after another or together.
func (t *traps) hold(at point, times int, wants func(*passage) bool) *held {
	h := &held{traps: t, caught: make(chan *passage, 1024), fates: make(chan fate), open: make(chan struct{})}
	h.trap = t.add(at, times, wants, func(p *passage) fate {
		h.caught <- p
		select {
		case chosen := <-h.fates:
			return chosen
		case <-h.open:
			return fate{}
		}
	})
	return h
}

// wait waits until something was caught.
func (h *held) wait(ctx context.Context) (*passage, error) {
	select {
	case p := <-h.caught:
		return p, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// let decides about one passage that is held.
func (h *held) let(chosen fate) { h.fates <- chosen }

// release lets go of all that is held, and takes the trap away.
func (h *held) release() {
	h.traps.remove(h.trap)
	h.once.Do(func() { close(h.open) })
}

func anything(*passage) bool { return true }
