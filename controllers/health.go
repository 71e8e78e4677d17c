package controllers

import (
	"cmp"
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// health is the circuit breaker of one namespace at one token host. While the host fails, one credential asks it, the canary,
// and the others wait for its outcome: ten thousand tries would help neither the host nor themselves, and each credential would
// have its own back-off to sit out when the host is back. What one namespace brings, such as a wrong URL or CA bundle, says
// nothing about the requests of others.
type health struct {
	flying  int // requests that are on their way
	answers bool
	failed  int // how often it failed in a row
	canary  types.NamespacedName
	retryAt time.Time     // of another canary
	words   string        // of the last failure
	pace    time.Duration // between the last failure and retryAt
}

// host is one token host.
type host struct {
	flying int               // requests of all namespaces in flight
	guests map[string]*guest // by namespace
	rates  []*rate           // one, but where one API documents a rate and another one does not
	// lastCanary is the time of the canary after all that are to be sent, if there are many.
	lastCanary time.Time
}

// guest is one namespace at one token host.
type guest struct {
	health
	namespace string
	host      *host
	queues    []*turns  // one for each rate
	lately    time.Time // of the last request
}

// rate is the pace of the requests to one host, which all namespaces share. They take turns.
type rate struct {
	interval time.Duration
	free     time.Time       // when the next request may be sent
	turn     int             // counts the requests
	busy     map[*turns]bool // queues in which a credential waits
}

// of returns the queue of a namespace at a rate.
func (t *host) of(namespace string, interval time.Duration) *turns {
	found, known := t.guests[namespace]
	if !known {
		found = &guest{namespace: namespace, host: t}
		t.guests[namespace] = found
	}
	for _, queue := range found.queues {
		if queue.interval == interval {
			return queue
		}
	}
	made := &turns{rate: t.rate(interval), last: lanes - 1, guest: found}
	found.queues = append(found.queues, made)
	return made
}

func (t *host) rate(interval time.Duration) *rate {
	for _, each := range t.rates {
		if each.interval == interval {
			return each
		}
	}
	made := &rate{interval: interval, busy: map[*turns]bool{}}
	t.rates = append(t.rates, made)
	return made
}

// isIdle reports whether no credential of the namespace waits for the host, and none has asked it for that long.
func (g *guest) isIdle(now time.Time, since time.Duration) bool {
	for _, queue := range g.queues {
		if len(queue.waiting) > 0 {
			return false
		}
	}
	return g.flying == 0 && now.Sub(g.lately) >= since
}

const (
	// forgetting is after how long an idle host is forgotten. Its rate has no effect by then.
	forgetting = time.Hour
	// mostHosts is how many hosts of namespaces are remembered for that long. Of more than that, idle ones are forgotten
	// after forgettingSoon.
	mostHosts      = 4096
	forgettingSoon = 2 * time.Minute
	// sweepPause is how often idle hosts are looked for.
	sweepPause = time.Minute
)

// sweep drops the hosts that no credential asks any more: their names come from FluentCredentials, so that an author with
// a domain can make any number of them.
func (h *Hosts) sweep(now time.Time) {
	if since := now.Sub(h.swept); since >= 0 && since < sweepPause {
		return
	}
	h.swept = now
	guests := 0
	for _, host := range h.known {
		guests += len(host.guests)
	}
	after := forgetting
	if guests > mostHosts {
		after = forgettingSoon
	}
	for name, host := range h.known {
		maps.DeleteFunc(host.guests, func(_ string, guest *guest) bool { return guest.isIdle(now, after) })
		if len(host.guests) == 0 {
			delete(h.known, name)
		}
	}
}

// news is what an exchange tells of the host.
type news int

// The news.
const (
	none     news = iota // nothing was sent
	answered             // it works, whatever it says to this credential
	silent               // it does not
)

// newsOf an answer. A host that answers with something else than an answer does not work: a proxy's page, or «later».
func newsOf(answer provider.Answer) news {
	if answer.Problem.Code == provider.Redirect {
		return silent
	}
	switch answer.Verdict {
	case token.Granted, token.RefusedDead, token.LoginRefused, token.Declined:
		return answered
	case token.RefusedIntact:
		if answer.Problem.Code == exchange.NotAllowed {
			return none
		}
		return answered
	case token.Unsent, token.Unknown, token.TryLater:
		if isOfJournal(answer.Problem) || answer.Problem.Code == exchange.NotAllowed {
			return none
		}
		return silent
	}
	return none
}

// The pace of the canaries of one namespace. It is no slower than that of a credential whose token is about to expire. If a host
// fails for more than ten namespaces and answers none, they take turns: all together send one canary in canaryPace.
const (
	canaryPace     = 500 * time.Millisecond
	canaryPaceMost = 5 * time.Second
)

// landed takes in what an exchange tells. Those that were on their way together count as one.
func (g *guest) landed(key types.NamespacedName, told news, now time.Time) {
	g.flying, g.host.flying = max(g.flying-1, 0), max(g.host.flying-1, 0)
	switch {
	case told == answered:
		g.answers, g.failed, g.retryAt = true, 0, time.Time{}
		g.host.hurry()
	case told == silent && !now.Before(g.retryAt):
		g.answers, g.canary = false, key
		g.retryAt = g.host.nextCanary(now, min(canaryPace<<min(g.failed, 10), canaryPaceMost))
		g.pace = g.retryAt.Sub(now)
		g.failed++
	case told == silent:
		g.answers = false
	}
}

// nextCanary returns when a namespace sends its next canary that would send it after that time if it was alone.
func (t *host) nextCanary(now time.Time, after time.Duration) time.Time {
	failing, at := 0, now.Add(after)
	for _, guest := range t.guests {
		if guest.fails() {
			failing++
		}
	}
	most := time.Duration(failing) * canaryPace
	if most <= canaryPaceMost {
		return at
	}
	if last := t.lastCanary; last.Before(now.Add(most)) {
		at = later(at, last.Add(canaryPace))
	}
	t.lastCanary = at
	return at
}

// hurry ends the longer wait of other namespaces: the host has answered.
func (t *host) hurry() {
	for _, guest := range t.guests {
		if guest.fails() && guest.pace > canaryPaceMost {
			guest.retryAt = guest.retryAt.Add(canaryPaceMost - guest.pace)
			guest.pace = canaryPaceMost
		}
	}
}

func (h *health) fails() bool { return h.failed > 0 }

// Describe keeps the words of the host's last failure for the credentials of the namespace that wait for the host.
func (h *Hosts) Describe(name, namespace, words string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if guest := h.guest(name, namespace); guest != nil {
		guest.words = words
	}
}

// LastFailure returns the words of the host's last failure; empty: it does not fail for this namespace.
func (h *Hosts) LastFailure(name, namespace string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	guest := h.guest(name, namespace)
	if guest == nil || h.slots == 0 || !guest.fails() {
		return ""
	}
	return cmp.Or(guest.words, "no answer")
}

// pause is until when a waiter leaves a host alone that fails. The canary has a retry time of its own, and what a person asked for
// does not wait.
func (h *health) pause(who waiter, now time.Time) time.Time {
	if !h.fails() || who.key == h.canary || who.lane == asked {
		return time.Time{}
	}
	if latest := now.Add(h.pace); h.retryAt.After(latest) {
		h.retryAt = latest // the clock was set back
	}
	return h.retryAt
}
