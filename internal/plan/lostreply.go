package plan

import "time"

// Limits of the recovery of a lost reply.
const (
	maxPresentations = 2               // of one refresh token, ever
	lateShare        = 10              // a late presentation comes with a tenth of the token's last minutes left,
	lateMost         = time.Minute     // or a minute,
	claimPoll        = 2 * time.Second // how often to look whether another process finished its exchange
)

// recoverReply decides about a refresh token that may be spent already.
func recoverReply(seen Observed, now time.Time) *Step {
	if seen.Chain.Declined {
		return declined(seen, now)
	}
	switch seen.OnLostReply {
	case Retry:
		return again(seen, now, now)
	case Reauthenticate:
		return reacquire(seen, now)
	case Stop:
		if seen.Rotate {
			return reacquire(seen, now)
		}
		return wait(Stopped, seen.expiryAfter(now))
	case Auto:
	}
	if seen.Login.Renews() && !seen.hasLastTry(now) {
		return reacquire(seen, now)
	}
	return again(seen, now, seen.late())
}

// declined decides about a refresh token that was refused for a reason which does not tell whether it is alive. Its reply was not
// lost: presented as it was it would be refused again, so only what a person changes makes a second presentation worth while.
func declined(seen Observed, now time.Time) *Step {
	person := seen.Mended || seen.Rotate
	switch {
	case seen.Login.Renews() && (person || seen.OnLostReply != Stop):
		return reacquire(seen, now)
	case person:
		return again(seen, now, now)
	}
	return wait(Refused, seen.expiryAfter(now))
}

// again presents the token a second time at the given moment, and never a third time.
func again(seen Observed, now, at time.Time) *Step {
	if seen.Chain.Presented >= maxPresentations || seen.foreign() {
		return reacquire(seen, now)
	}
	if now.Before(at) {
		return wait(ReplyLost, at)
	}
	return exchange(ByRefresh)
}
