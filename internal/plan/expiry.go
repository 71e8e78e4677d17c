package plan

import "time"

// Told is what a reply says about the life of its access token.
type Told struct {
	Sent    time.Time     // the moment before the request was sent
	Life    time.Duration // expires_in, or what is assumed without it
	Assumed bool
	// Age of the token when the server answered, by the server's own clock (created_at); zero where it does not tell.
	Age time.Duration
}

// Expiry is when an access token ends.
type Expiry struct {
	At time.Time // what is counted on
	// Latest is the latest end that the replies with the token allow. It is later than At where created_at says that the token was
	// not new, since expires_in may be what was left of it then (as RFC 6749 section 5.1 has it), or its whole life.
	Latest time.Time
}

// First is the expiry of a token that no reply brought before. Until it is known better, expires_in is taken for the whole life,
// unless the token would have expired then: nobody gives such a one.
func (t Told) First() Expiry {
	first := Expiry{At: t.Sent.Add(t.Life - t.Age), Latest: t.Sent.Add(t.Life)}
	if !first.At.After(t.Sent) {
		first.At = first.Latest
	}
	return first
}

// Again is the expiry of a token that another reply, to a request sent at before, brought already: it does not live longer for being
// given again. Only when it is given although it should have ended, the end was wrong: a clock was set, or the life was assumed.
func (t Told) Again(known Expiry, before time.Time) Expiry {
	first := t.First()
	switch passed := t.Sent.Sub(before); {
	case t.outlived(known.At):
		return first
	case passed > 0 && first.Latest.Sub(known.Latest) < passed/2: // expires_in falls with time, so it is what is left
		end := earliest(first.Latest, known.Latest)
		return Expiry{At: end, Latest: end}
	}
	return Expiry{At: earliest(first.At, known.At), Latest: earliest(first.Latest, known.Latest)}
}

// outlived tells whether a token that was to end at the given time is alive all the same. The end counts from before a request whose
// reply may have been slow, and in whole seconds, so a little later proves nothing.
func (t Told) outlived(end time.Time) bool {
	if t.Assumed {
		return t.Sent.After(end)
	}
	return t.Sent.Sub(end) > clockSkew
}
