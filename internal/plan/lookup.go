package plan

import "time"

// live tells whether there is a token that is valid now.
func (o Observed) live(now time.Time) bool { return o.Token != nil && now.Before(o.Token.Expires) }

// held tells whether the process that made the claim may still be at work.
func (c *Claim) held(now time.Time) bool { return c != nil && !c.Gone && now.Before(c.Until) }

// doubtful tells whether the refresh token may be spent already.
func (o Observed) doubtful() bool { return o.Chain.Stored && o.Chain.Presented > 0 }

func (o Observed) stale() bool { return o.Token != nil && o.Token.Stale }

// foreign reports whether the refresh token belongs to another login, endpoint or trust than the spec's.
func (o Observed) foreign() bool { return o.stale() || o.Chain.Foreign }

// early tells whether the token was obtained later than now: the clock was set back, and the token expires before it says so.
func (o Observed) early(now time.Time) bool {
	return o.Token != nil && o.Token.Obtained.Sub(now) > clockSkew
}

// untidy tells whether a workload Secret under a former name can go: the new name is published.
func (o Observed) untidy() bool { return o.Leftover && !o.Deleting && o.Publication == Current }

// hasLastTry tells whether the doubtful refresh token may be presented once more because the login, which would be better, was
// refused and may not be tried again yet.
func (o Observed) hasLastTry(now time.Time) bool {
	return o.doubtful() && !o.Chain.Declined && !o.foreign() && o.Chain.Presented < maxPresentations && o.OnLostReply == Auto &&
		o.Failure != nil && o.Failure.Barred && now.Before(o.Failure.RetryAt)
}

// wanted tells whether a new token is wanted before the old one is due.
func (o Observed) wanted(now time.Time) bool {
	return o.stale() || o.early(now) || o.doubtful() || o.Rotate || o.Login.Seed || o.Failure != nil || o.Mended
}

// expiryAfter is the token's expiry while it is ahead: a wait ends there, because the conditions change there.
func (o Observed) expiryAfter(now time.Time) time.Time {
	switch {
	case o.live(now):
		return o.Token.Expires
	case o.Token == nil && now.Before(o.ServedUntil):
		return o.ServedUntil
	}
	return time.Time{}
}

// due is when to look at the token again: at its refresh, and at its expiry where that comes clearly earlier.
func (o Observed) due(now time.Time) time.Time {
	if o.Token.Refresh.Sub(o.Token.Expires) <= 2*secondsFraction {
		return o.Token.Refresh
	}
	return earliest(o.Token.Refresh, o.expiryAfter(now))
}

// late is the moment of a last try: while the published token, which may have survived, still has a little life.
func (o Observed) late() time.Time {
	if o.Token == nil {
		return time.Time{}
	}
	return o.Token.Expires.Add(-min(o.Token.Life()/lateShare, lateMost))
}

// earliest of two times, of which zero means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// soonest is the earlier of a time of this process and one that was stored, each seen from now. The first has a reading
// of the monotonic clock and the second has none, so they cannot be compared with each other after a clock was set.
func soonest(now, own, stored time.Time) time.Time {
	if own.IsZero() || !stored.IsZero() && stored.Sub(now) < own.Sub(now) {
		return stored
	}
	return own
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
