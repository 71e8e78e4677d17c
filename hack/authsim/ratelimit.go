package authsim

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

// rateWindow is what a limit counts over.
const rateWindow = time.Minute

// admit reports whether a token request is within the limit, and how long to
// wait where it is not. A request that is turned away does not count. Call with
// the lock held.
func (s *Server) admit(now time.Time) (wait time.Duration, admitted bool) {
	if s.config.RateLimit <= 0 {
		return 0, true
	}
	s.admitted = slices.DeleteFunc(s.admitted, func(at time.Time) bool { return now.Sub(at) >= rateWindow })
	if len(s.admitted) >= s.config.RateLimit {
		return rateWindow - now.Sub(s.admitted[0]), false
	}
	s.admitted = append(s.admitted, now)
	return 0, true
}

// tooMany is the answer to a request over the limit: nothing was looked at.
func tooMany(wait time.Duration) ruling {
	type entry struct {
		Title  string `json:"title"`
		Status string `json:"status"`
	}
	listed := []entry{{"Too many requests", "429"}}
	reply := jsonAnswer(http.StatusTooManyRequests, map[string][]entry{"errors": listed})
	seconds := int64((wait + time.Second - 1) / time.Second)
	reply.header.Set("Retry-After", strconv.FormatInt(seconds, 10))
	return unprocessed(reply)
}
