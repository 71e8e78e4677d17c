package controllers

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Hosts holds the requests to each token host to a rate that all credentials share, and says whose turn is next. The rate is that
// of --host-rate or, without it, the one that the API documents.
type Hosts struct {
	interval time.Duration // between two requests to one host (--host-rate); zero: what the API documents
	// call wakes a waiter whose turn comes before the time at which it wants to ask again: those before it have left. It must not
	// block. Without it such turns pass unused.
	call func(types.NamespacedName)

	mu     sync.Mutex
	queues map[string]*turns
}

// NewHosts allows so many requests a minute to one host; zero means as many as the API takes.
func NewHosts(perMinute int) *Hosts {
	return &Hosts{interval: intervalOf(perMinute), queues: map[string]*turns{}, call: func(types.NamespacedName) {}}
}

// intervalOf is the time between two requests of so many a minute; zero: there is no limit.
func intervalOf(perMinute int) time.Duration {
	if perMinute <= 0 {
		return 0
	}
	return (time.Minute + time.Duration(perMinute) - 1) / time.Duration(perMinute)
}

// FreeAt is when it is likely to be the waiter's turn to send a request to the host; zero means now.
func (h *Hosts) FreeAt(host string, who waiter, now time.Time) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	queue := h.of(host, who)
	if queue == nil {
		return time.Time{}
	}
	return queue.turnOf(who, now)
}

// Take uses up the waiter's turn, if it has come.
func (h *Hosts) Take(host string, who waiter, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	queue := h.of(host, who)
	if queue == nil {
		return true
	}
	if !queue.turnOf(who, now).IsZero() {
		return false
	}
	queue.take(who, now)
	queue.callFirst(now, h.call)
	return true
}

// Wait keeps the waiter's place until its turn. It is to ask again at the time given; if it is late it holds nobody up.
func (h *Hosts) Wait(host string, who waiter, until, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for other, queue := range h.queues {
		if other != host {
			queue.leave(who.key, now, h.call)
		}
	}
	if queue := h.of(host, who); queue != nil {
		queue.wait(who, until, now)
		queue.callFirst(now, h.call)
	}
}

// Leave gives up the place of a credential that has nothing to ask for.
func (h *Hosts) Leave(key types.NamespacedName, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, queue := range h.queues {
		queue.leave(key, now, h.call)
	}
}

// of lets requests through one at a time, evenly: a burst would break the limit of an API that counts by the minute. Without a limit
// there is no queue. The limit of one API holds for whoever asks its host, under the name of another API too.
func (h *Hosts) of(host string, who waiter) *turns {
	interval := h.interval
	if interval == 0 {
		interval = intervalOf(who.perMinute)
	}
	queue, ok := h.queues[host]
	switch {
	case ok:
		queue.interval = max(queue.interval, interval)
	case interval > 0:
		queue = &turns{interval: interval, last: lanes - 1, waiting: map[types.NamespacedName]place{}}
		h.queues[host] = queue
	}
	return queue
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
