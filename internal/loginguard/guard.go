// Package loginguard keeps refused logins below the number that locks a user: across processes, FluentCredentials and crashes. The
// rules are pure (this file); the Secret that holds them is in store.go.
package loginguard

import (
	"slices"
	"time"
)

// Fluent locks a user name after 5 refused logins in 15 minutes, counted from the last one. Two in 20 minutes leave a person, and
// every other client, enough room.
const (
	// Window is how long a refused login counts.
	Window = 20 * time.Minute
	// Budget is how many logins of one user may be refused in a Window.
	Budget = 2
	// Others is how many of them may be of FluentCredentials without a granted login where another one has one: the rest is
	// kept for that one, which a stranger could lock out otherwise.
	Others = Budget - 1
	// Flight is how long after it was written down a login can reach the API: the fence and the time-out of the reply, and some more.
	Flight = time.Minute
)

// probes are the waits before a login that was refused is tried again as it is: it may have been locked, or be mended by now.
var probes = []time.Duration{20 * time.Minute, time.Hour, 4 * time.Hour, 24 * time.Hour}

// State is what is known of one user name at one token endpoint.
type State struct {
	Salt       string      `json:"salt"` // of the hashes in here; random
	Attempts   []Attempt   `json:"attempts,omitempty"`
	Rejections []Rejection `json:"rejections,omitempty"`
	Uses       []Use       `json:"uses,omitempty"`
	// Begun is when the first login asked; zero: an earlier version did not write that down.
	Begun time.Time `json:"begun,omitzero"`
	// Damaged is true where one before it could not be read: what that one knew is lost, a seed that was spent for one.
	Damaged bool `json:"damaged,omitempty"`
	// Fresh is true where nothing is stored.
	Fresh bool `json:"-"`
}

// Attempt is a login that was reserved. Until it is settled it counts as refused: its process may have been killed by a crash loop.
type Attempt struct {
	ID          string    `json:"id"`
	Credentials string    `json:"credentials"`
	Owner       string    `json:"owner,omitempty"`   // the UID of the FluentCredential that tries
	At          time.Time `json:"at"`                // when it was reserved; when the refusal came, once it has
	Settled     bool      `json:"settled,omitempty"` // the refusal came
}

// until is how long the attempt counts: of one that nobody heard the end of, the API may have made up its mind a Flight later.
func (a Attempt) until() time.Time {
	if a.Settled {
		return a.At.Add(Window)
	}
	return a.At.Add(Flight + Window)
}

// Rejection is a pair of user name and password that was refused.
type Rejection struct {
	Credentials string    `json:"credentials"`
	Count       int       `json:"count"`
	Last        time.Time `json:"last"`
}

// Why says why a login may not be tried now.
type Why string

// The reasons.
const (
	Rejected  Why = "Rejected"  // these very credentials were refused
	Exhausted Why = "Exhausted" // too many logins of this user were refused
	InUse     Why = "InUse"     // another FluentCredential has this login
	Spent     Why = "Spent"     // this seed was spent, by one that is gone or by the same one before its state was lost
	Paced     Why = "Paced"     // this FluentCredential came with too many logins
	Damaged   Why = "Damaged"   // what is known of the login could not be read
)

// Refusal says that a login may not be tried now.
type Refusal struct {
	Why   Why
	Until time.Time // zero: not before something changes
	By    Owner     // of InUse: who has it; of Spent: who spent it, where that is known
}

// Reserve asks for one login: the attempt has its ID, the hash of its credentials and its owner.
func (s State) Reserve(now time.Time, attempt Attempt) (State, *Refusal) {
	s = s.asOf(now)
	s.Attempts = s.recent(now)
	if probe := s.nextProbe(attempt.Credentials); now.Before(probe) {
		return s, &Refusal{Why: Rejected, Until: probe}
	}
	if until := s.exhaustedUntil(attempt.Owner); !until.IsZero() {
		return s, &Refusal{Why: Exhausted, Until: until}
	}
	attempt.At, attempt.Settled = now, false
	s.Attempts = append(s.Attempts, attempt)
	return s, nil
}

// exhaustedUntil returns the time until which the owner may not try; zero: it may. The attempts are those that count.
func (s State) exhaustedUntil(owner string) time.Time {
	var until time.Time
	if len(s.Attempts) >= Budget {
		until = firstEnd(s.Attempts)
	}
	if !s.keepsOneFor(owner) {
		return until
	}
	others := slices.DeleteFunc(slices.Clone(s.Attempts), func(a Attempt) bool { return s.isGranted(a.Owner) })
	if end := firstEnd(others); len(others) >= Others && end.After(until) {
		return end
	}
	return until
}

// firstEnd returns when the first of the attempts counts no more.
func firstEnd(attempts []Attempt) time.Time {
	if len(attempts) == 0 {
		return time.Time{}
	}
	return slices.MinFunc(attempts, func(a, b Attempt) int { return a.until().Compare(b.until()) }).until()
}

// keepsOneFor reports whether an attempt is kept for another than the owner.
func (s State) keepsOneFor(owner string) bool {
	return !s.isGranted(owner) && slices.ContainsFunc(s.Uses, func(u Use) bool { return !u.Trial })
}

// isGranted reports whether the owner logged in with this user name before, by any client.
func (s State) isGranted(owner string) bool {
	return slices.ContainsFunc(s.Uses, func(u Use) bool { return !u.Trial && u.Owner.UID == owner })
}

// isAhead tells whether the state knows of something that comes later than now: the clock was set back.
func (s State) isAhead(now time.Time) bool {
	return slices.ContainsFunc(s.Attempts, func(a Attempt) bool { return a.At.After(now) }) ||
		slices.ContainsFunc(s.Rejections, func(r Rejection) bool { return r.Last.After(now) })
}

// asOf counts what comes from the future as of now. It is to be stored: what is taken for now again and again never ends.
func (s State) asOf(now time.Time) State {
	if !s.isAhead(now) {
		return s
	}
	s.Attempts, s.Rejections = slices.Clone(s.Attempts), slices.Clone(s.Rejections)
	for i, attempt := range s.Attempts {
		s.Attempts[i].At = earlier(attempt.At, now)
	}
	for i, rejection := range s.Rejections {
		s.Rejections[i].Last = earlier(rejection.Last, now)
	}
	return s
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// recent are the attempts that still count.
func (s State) recent(now time.Time) []Attempt {
	var kept []Attempt
	for _, attempt := range s.Attempts {
		if now.Before(attempt.until()) {
			kept = append(kept, attempt)
		}
	}
	return kept
}

func (s State) nextProbe(credentials string) time.Time {
	for _, rejection := range s.Rejections {
		if rejection.Credentials == credentials {
			return rejection.Last.Add(probes[min(rejection.Count, len(probes))-1])
		}
	}
	return time.Time{}
}

// Refused settles an attempt that the API refused, and says when the same credentials may be tried again.
func (s State) Refused(now time.Time, id string) (State, time.Time) {
	at := slices.IndexFunc(s.Attempts, func(a Attempt) bool { return a.ID == id })
	if at < 0 {
		return s, now.Add(Window)
	}
	s.Attempts = slices.Clone(s.Attempts)
	s.Attempts[at].At, s.Attempts[at].Settled = now, true
	owner := s.Attempts[at].Owner
	slices.SortFunc(s.Attempts, func(a, b Attempt) int { return a.At.Compare(b.At) })
	credentials := s.credentialsOf(id)
	s = s.reject(now, credentials).withoutIdleTrials(now, owner)
	return s, s.nextProbe(credentials)
}

func (s State) credentialsOf(id string) string {
	for _, attempt := range s.Attempts {
		if attempt.ID == id {
			return attempt.Credentials
		}
	}
	return ""
}

// maxRejections bounds the memory of refused passwords.
const maxRejections = 16

func (s State) reject(now time.Time, credentials string) State {
	rejection := Rejection{Credentials: credentials}
	s.Rejections = slices.DeleteFunc(slices.Clone(s.Rejections), func(r Rejection) bool {
		if r.Credentials == credentials {
			rejection = r
		}
		return r.Credentials == credentials
	})
	rejection.Count++
	rejection.Last = now
	s.Rejections = append(s.Rejections, rejection)
	s.Rejections = s.Rejections[max(0, len(s.Rejections)-maxRejections):]
	return s
}

// Granted settles an attempt that worked: its owner has the login from now on, unless another one was given it meanwhile.
func (s State) Granted(id string, use Use) State {
	good := s.credentialsOf(id)
	s.Rejections = slices.DeleteFunc(slices.Clone(s.Rejections), func(r Rejection) bool { return r.Credentials == good })
	s.Attempts = s.without(id)
	s.Uses = slices.Clone(s.Uses)
	use.Trial = false
	at := slices.IndexFunc(s.Uses, use.isSame)
	switch {
	case at < 0:
		s.Uses = append(s.Uses, use)
	case s.Uses[at].Owner.UID == use.Owner.UID:
		s.Uses[at].Trial, s.Uses[at].At = false, use.At
	}
	return s.withoutFormer(use.Owner.UID)
}

// Released settles an attempt that never reached a judgement.
func (s State) Released(now time.Time, id string) State {
	at := slices.IndexFunc(s.Attempts, func(a Attempt) bool { return a.ID == id })
	if at < 0 {
		return s
	}
	owner := s.Attempts[at].Owner
	s.Attempts = s.without(id)
	return s.withoutIdleTrials(now, owner)
}

func (s State) without(id string) []Attempt {
	return slices.DeleteFunc(slices.Clone(s.Attempts), func(a Attempt) bool { return a.ID == id })
}

// Unknown settles an attempt whose reply was lost: it goes on counting as refused. Even credentials that worked last may be wrong by
// now, and what was refused unheard locks the user all the same.
func (s State) Unknown(string) State { return s }
