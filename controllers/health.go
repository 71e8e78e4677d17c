package controllers

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// health is what is known of a token host. While it fails, one credential asks it, the canary, and the others wait for what comes of
// it: ten thousand that try for themselves would help neither the host nor themselves, and each would have its own back-off to sit
// out when the host is back.
type health struct {
	flying  int // requests that are on their way
	answers bool
	failed  int // how often it failed in a row
	canary  types.NamespacedName
	retryAt time.Time // of another canary
}

// host is one token host.
type host struct {
	health
	queues []*turns  // one, but where one API documents a rate and another one does not
	lately time.Time // when it was asked last
}

// queue is that of those who keep to one rate.
func (t *host) queue(interval time.Duration) *turns {
	for _, queue := range t.queues {
		if queue.interval == interval {
			return queue
		}
	}
	made := &turns{interval: interval, last: lanes - 1, host: t}
	t.queues = append(t.queues, made)
	return made
}

// isIdle reports whether no credential waits for the host, and none has asked it for that long.
func (t *host) isIdle(now time.Time, since time.Duration) bool {
	for _, queue := range t.queues {
		if len(queue.waiting) > 0 {
			return false
		}
	}
	return t.flying == 0 && now.Sub(t.lately) >= since
}

const (
	// forgetting is after how long an idle host is forgotten: a rate has begun anew long before.
	forgetting = time.Hour
	// mostHosts is how many hosts are remembered for that long. Of more than that, idle ones are forgotten after
	// forgettingSoon.
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
	after := forgetting
	if len(h.known) > mostHosts {
		after = forgettingSoon
	}
	for name, host := range h.known {
		if host.isIdle(now, after) {
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

// The pace of the canaries. It is no slower than that of a credential whose token is about to expire.
const (
	canaryPace     = 500 * time.Millisecond
	canaryPaceMost = 5 * time.Second
)

// landed takes in what an exchange tells. Those that were on their way together count as one.
func (h *health) landed(key types.NamespacedName, told news, now time.Time) {
	h.flying = max(h.flying-1, 0)
	switch {
	case told == answered:
		h.answers, h.failed, h.retryAt = true, 0, time.Time{}
	case told == silent && !now.Before(h.retryAt):
		h.answers, h.canary = false, key
		h.retryAt = now.Add(min(canaryPace<<min(h.failed, 10), canaryPaceMost))
		h.failed++
	case told == silent:
		h.answers = false
	}
}

func (h *health) fails() bool { return h.failed > 0 }

// pause is until when a waiter leaves a host alone that fails. The canary has a retry time of its own, and what a person asked for
// does not wait.
func (h *health) pause(who waiter, now time.Time) time.Time {
	if !h.fails() || who.key == h.canary || who.lane == asked {
		return time.Time{}
	}
	if latest := now.Add(canaryPaceMost); h.retryAt.After(latest) {
		h.retryAt = latest // the clock was set back
	}
	return h.retryAt
}
