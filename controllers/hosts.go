package controllers

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Hosts holds the requests to each token host to a rate that all credentials share (--host-rate).
type Hosts struct {
	perMinute int // zero: no limit

	mu       sync.Mutex
	limiters map[string]*rate.Limiter
}

// NewHosts allows so many requests a minute to one host; zero means any number.
func NewHosts(perMinute int) *Hosts {
	return &Hosts{perMinute: perMinute, limiters: map[string]*rate.Limiter{}}
}

// FreeAt is when the next request may be sent to the host; zero means now.
func (h *Hosts) FreeAt(host string, now time.Time) time.Time {
	if h.perMinute == 0 {
		return time.Time{}
	}
	limiter := h.limiter(host)
	missing := 1 - limiter.TokensAt(now)
	if missing <= 0 {
		return time.Time{}
	}
	at := now.Add(time.Duration(missing * float64(time.Minute) / float64(h.perMinute)))
	if limiter.TokensAt(at) < 1 {
		at = at.Add(1) // a nanosecond that floating point lost
	}
	return at
}

// Take uses up one request, if there is one.
func (h *Hosts) Take(host string, now time.Time) bool {
	return h.perMinute == 0 || h.limiter(host).AllowN(now, 1)
}

// limiter lets requests through one at a time, evenly: a burst would break the limit of an API that counts by the minute.
func (h *Hosts) limiter(host string) *rate.Limiter {
	h.mu.Lock()
	defer h.mu.Unlock()
	limiter, ok := h.limiters[host]
	if !ok {
		limiter = rate.NewLimiter(rate.Limit(float64(h.perMinute)/60), 1)
		h.limiters[host] = limiter
	}
	return limiter
}
