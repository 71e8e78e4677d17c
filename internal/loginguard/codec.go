package loginguard

import (
	"encoding/json"
	"errors"
	"slices"
	"time"
)

// ErrDamaged is returned where the Secret of a login could not be read. It counts as a full Budget from then on, so that what it
// knew is not forgotten in favour of one login more.
var ErrDamaged = errors.New("it could not be read, and was begun anew with a full budget")

// encode writes a state as decode reads it.
func encode(state State) ([]byte, error) { return json.Marshal(state) }

// decode reads a state that encode wrote. What it could not have written is not believed in part: somebody was at it.
func decode(encoded []byte) (State, bool) {
	var state State
	if json.Unmarshal(encoded, &state) != nil || !state.isWhole() {
		return State{}, false
	}
	return state, true
}

func (s State) isWhole() bool {
	odd := slices.ContainsFunc(s.Attempts, func(a Attempt) bool { return a.ID == "" || a.At.IsZero() }) ||
		slices.ContainsFunc(s.Rejections, func(r Rejection) bool { return r.Count < 1 || r.Last.IsZero() })
	return s.Salt != "" && !odd
}

// damaged takes the place of a state that could not be read.
func damaged(salt string, now time.Time) State {
	state := State{Salt: salt, Damaged: true}
	if now.IsZero() {
		return state // of a seed, which has no budget
	}
	for range Budget {
		state.Attempts = append(state.Attempts, Attempt{ID: "damaged", At: now})
	}
	return state
}

// merged is the state with what another one knows of the same login, all of whose uses have the query. Refused passwords
// are hashed with the salt of their state: under another one they count as attempts only.
func (s State) merged(old State, query string) State {
	into := s
	s.Attempts, s.Uses = slices.Clone(s.Attempts), slices.Clone(s.Uses)
	for _, attempt := range old.Attempts {
		if !slices.ContainsFunc(into.Attempts, func(a Attempt) bool { return a.ID == attempt.ID }) {
			s.Attempts = append(s.Attempts, attempt)
		}
	}
	for _, use := range old.Uses {
		use.Query = query
		if !slices.ContainsFunc(into.Uses, use.isSame) {
			s.Uses = append(s.Uses, use)
		}
	}
	if s.Salt == old.Salt && len(s.Rejections) == 0 {
		s.Rejections = old.Rejections
	}
	s.Damaged = s.Damaged || old.Damaged
	return s
}
