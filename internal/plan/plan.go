package plan

import "time"

// A rule looks at one thing and either decides or passes.
type rule func(seen Observed, now time.Time) *Step

// rules is the policy: the first that decides wins.
var rules = []rule{
	deliver,       // a result held by this process is stored first
	release,       // whoever is going gets nothing new
	notRegistered, // nothing is spent for an object that could vanish unseen
	relocate,      // the chain is brought to safety before anything else
	undelivered,   // until it is stored, nothing else begins
	restore,       // a reply that was paid for is stored, whatever else is wrong
	marked,        // where a stored token belongs is recorded before the spec can change
	conflict,      // nobody can use a token that cannot be published
	unpublishable, // a target Secret that was refused a moment ago rests
	publish,       // a repair from the state costs nothing, so it comes before all that may wait
	suspended,     // from here on something may be spent
	unfinished,    // one exchange at a time, whoever began it
	obstructed,    // without a login and an endpoint there is nothing to try
	refused,       // a rejected login is not retried, not even on request, until its retry time
	settled,       // a good token with nothing due is left alone
	stranded,      // who has nothing to try has no reason to wait for a turn
	failing,       // back off
	unwritable,    // without a claim nothing is sent
	crowded,       // the host's turn
	spend,         // obtain a token
}

// Next decides what to do with what was seen at the time now.
func Next(seen Observed, now time.Time) Step {
	step := first(seen, now)
	if step.Do == Wait && seen.untidy() {
		return Step{Do: Withdraw, Why: Renamed} // it is done when nothing else is, so that it can hold nothing up
	}
	return step
}

func first(seen Observed, now time.Time) Step {
	for _, rule := range rules {
		if step := rule(seen, now); step != nil {
			return *step
		}
	}
	return Step{Do: Wait, Why: NoMeans}
}

func release(seen Observed, now time.Time) *Step {
	switch {
	case !seen.Deleting:
		return nil
	case !seen.Registered:
		return wait(Deleted, time.Time{})
	case seen.Claim.held(now): // its holder would store a result in a Secret that nobody lets go any more
		return unfinished(seen, now)
	case seen.Revocable:
		return revoke(seen, now)
	}
	return do(Release, Deleted)
}

// revoke waits for the host's turn, but not for long: somebody waits for the deletion.
func revoke(seen Observed, now time.Time) *Step {
	if now.Before(seen.HostFree) && !seen.HostFree.After(seen.Patience) {
		return wait(Deleted, seen.HostFree)
	}
	return do(Revoke, Deleted)
}

func notRegistered(seen Observed, _ time.Time) *Step {
	if seen.Registered {
		return nil
	}
	return do(Register, Unregistered)
}

func relocate(seen Observed, _ time.Time) *Step {
	if !seen.StateLeaving {
		return nil
	}
	return do(Relocate, StateDeleted)
}

func restore(seen Observed, _ time.Time) *Step {
	if !seen.Journaled || seen.Claim == nil {
		return nil
	}
	return do(Restore, Journaled)
}

// marked records the origin of a token that a former operator stored. A claim comes to its end first.
func marked(seen Observed, now time.Time) *Step {
	if !seen.Unmarked || seen.Claim != nil || now.Before(seen.Writes.StateAt) {
		return nil
	}
	return do(Mark, Unmarked)
}

func conflict(seen Observed, now time.Time) *Step {
	if seen.Publication != Taken {
		return nil
	}
	return wait(TargetTaken, seen.expiryAfter(now))
}

func publish(seen Observed, now time.Time) *Step {
	if seen.Publication != Outdated || !seen.live(now) {
		return nil
	}
	return do(Publish, Unpublished)
}

func suspended(seen Observed, now time.Time) *Step {
	if !seen.Suspended {
		return nil
	}
	return wait(Suspended, seen.expiryAfter(now))
}

func unfinished(seen Observed, now time.Time) *Step {
	switch {
	case seen.Claim == nil:
		return nil
	case seen.Claim.held(now):
		return wait(InFlight, earliest(seen.Claim.Until, now.Add(claimPoll)))
	}
	return do(Settle, Orphaned)
}

func obstructed(seen Observed, now time.Time) *Step {
	if seen.Obstacle == "" {
		return nil
	}
	return wait(Obstructed, seen.expiryAfter(now))
}

// refused waits after a failure that does not pass by itself, and after one whose login must not be tried before its
// time.
func refused(seen Observed, now time.Time) *Step {
	failure := seen.Failure
	if failure == nil || seen.Rotate && !failure.Barred || seen.hasLastTry(now) {
		return nil
	}
	why := BackingOff
	if failure.Stalled || failure.RetryAt.IsZero() {
		why = Refused
	}
	switch {
	case failure.RetryAt.IsZero():
		return wait(why, seen.expiryAfter(now))
	case (failure.Barred || failure.Stalled) && now.Before(failure.RetryAt):
		return wait(why, earliest(failure.RetryAt, seen.expiryAfter(now)))
	}
	return nil
}

func settled(seen Observed, now time.Time) *Step {
	if seen.Token == nil || seen.wanted(now) || !now.Before(seen.Token.Refresh) {
		return nil
	}
	return wait(NotDue, seen.due(now))
}

func stranded(seen Observed, now time.Time) *Step {
	if step := spend(seen, now); step.Do == Wait {
		return step
	}
	return nil
}

func failing(seen Observed, now time.Time) *Step {
	if seen.Failure == nil || seen.Rotate || seen.hasLastTry(now) || !now.Before(seen.Failure.RetryAt) {
		return nil
	}
	return wait(BackingOff, earliest(seen.Failure.RetryAt, seen.expiryAfter(now)))
}

func crowded(seen Observed, now time.Time) *Step {
	if !now.Before(seen.HostFree) {
		return nil
	}
	return wait(HostBusy, soonest(now, seen.HostFree, seen.expiryAfter(now)))
}

func spend(seen Observed, now time.Time) *Step {
	switch {
	case seen.Login.Seed:
		return exchange(BySeed)
	case seen.doubtful():
		return recoverReply(seen, now)
	case seen.Chain.Stored && !seen.foreign():
		return exchange(ByRefresh)
	}
	return reacquire(seen, now)
}

func exchange(means Means) *Step { return &Step{Do: Exchange, Why: Due, Means: means} }

// reacquire starts a new family: the login itself, and never a refresh token.
func reacquire(seen Observed, now time.Time) *Step {
	switch {
	case seen.Login.Password:
		return exchange(ByPassword)
	case seen.Login.Client:
		return exchange(ByClient)
	}
	return wait(NoMeans, seen.expiryAfter(now))
}
