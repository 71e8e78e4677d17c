package controllers

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Hosts holds the requests to each token host to a rate that all credentials share (--host-rate), and says whose turn is next.
type Hosts struct {
	interval time.Duration // between two requests to one host; zero: no limit
	// call wakes a waiter whose turn comes before the time at which it wants to ask again: those before it have left. It must not
	// block. Without it such turns pass unused.
	call func(types.NamespacedName)

	mu     sync.Mutex
	queues map[string]*turns
}

// NewHosts allows so many requests a minute to one host; zero means any number.
func NewHosts(perMinute int) *Hosts {
	hosts := &Hosts{queues: map[string]*turns{}, call: func(types.NamespacedName) {}}
	if perMinute > 0 {
		hosts.interval = (time.Minute + time.Duration(perMinute) - 1) / time.Duration(perMinute)
	}
	return hosts
}

// FreeAt is when it is likely to be the waiter's turn to send a request to the host; zero means now.
func (h *Hosts) FreeAt(host string, who waiter, now time.Time) time.Time {
	if h.interval == 0 {
		return time.Time{}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.of(host).turnOf(who, now)
}

// Take uses up the waiter's turn, if it has come.
func (h *Hosts) Take(host string, who waiter, now time.Time) bool {
	if h.interval == 0 {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	queue := h.of(host)
	if !queue.turnOf(who, now).IsZero() {
		return false
	}
	queue.take(who, now)
	queue.callFirst(now, h.call)
	return true
}

// Wait keeps the waiter's place until its turn. It is to ask again at the time given; if it is late it holds nobody up.
func (h *Hosts) Wait(host string, who waiter, until, now time.Time) {
	if h.interval == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for other, queue := range h.queues {
		if other != host {
			queue.leave(who.key, now, h.call)
		}
	}
	h.of(host).wait(who, until, now)
	h.of(host).callFirst(now, h.call)
}

// Leave gives up the place of a credential that has nothing to ask for.
func (h *Hosts) Leave(key types.NamespacedName, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, queue := range h.queues {
		queue.leave(key, now, h.call)
	}
}

// of lets requests through one at a time, evenly: a burst would break the limit of an API that counts by the minute.
func (h *Hosts) of(host string) *turns {
	queue, ok := h.queues[host]
	if !ok {
		queue = &turns{interval: h.interval, last: lanes - 1, waiting: map[types.NamespacedName]place{}}
		h.queues[host] = queue
	}
	return queue
}

// waiter is how this credential stands in the queue of its token host.
func (o *observation) waiter() waiter {
	who, stored := waiter{key: client.ObjectKeyFromObject(o.cred), lane: lacking}, o.facts.Token
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
