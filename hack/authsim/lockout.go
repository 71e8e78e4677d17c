package authsim

import (
	"slices"
	"time"
)

// The vendor's lockout: so many refused logins within the window lock the user
// name, for the length of the window after the last one.
const (
	lockoutFailures = 5
	lockoutWindow   = 15 * time.Minute
)

// failures is what the server holds against one user name, known or not.
type failures struct {
	times       []time.Time
	lockedUntil time.Time
}

// refused counts a refused login. A login that is refused because of the lock
// counts as well: that is what keeps a stubborn client out for ever.
func (f *failures) refused(now time.Time) {
	wasLocked := f.locked(now)
	f.times = slices.DeleteFunc(f.times, func(failed time.Time) bool {
		return now.Sub(failed) >= lockoutWindow
	})
	f.times = append(f.times, now)
	if wasLocked || len(f.times) >= lockoutFailures {
		f.lockedUntil = now.Add(lockoutWindow)
	}
}

func (f *failures) locked(now time.Time) bool { return now.Before(f.lockedUntil) }

// failuresOf returns the record of one user name, a new one where there was
// none. Call with the lock held.
func (s *Server) failuresOf(username string) *failures {
	if s.failures[username] == nil {
		s.failures[username] = &failures{}
	}
	return s.failures[username]
}

// locked reports whether a user name is locked, which it never is where the
// tenant has no lockout. Call with the lock held.
func (s *Server) locked(username string, now time.Time) bool {
	return s.config.Lockout && s.failuresOf(username).locked(now)
}
