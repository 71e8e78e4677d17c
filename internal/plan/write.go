package plan

import "time"

// Writes holds the facts about writes to the Kubernetes API. A failed write is repeated with back-off, and steps that
// need it wait.
type Writes struct {
	// Held is true while this process holds the result of an exchange that could not be stored yet.
	Held bool
	// StateAt is when the state Secret and the login guard may be written again; zero: now.
	StateAt time.Time
	// TargetAt is when the target Secret may be written again; zero: now.
	TargetAt time.Time
}

// deliver stores a result held by this process before any other write. A deletion waits for it; custody drops a result
// that can no longer be stored.
func deliver(seen Observed, now time.Time) *Step {
	switch {
	case !seen.Writes.Held:
		return nil
	case !now.Before(seen.Writes.StateAt):
		return do(Deliver, Undelivered)
	case seen.Deleting:
		return wait(Undelivered, soonest(now, seen.Writes.StateAt, seen.expiryAfter(now)))
	}
	return nil
}

// undelivered begins nothing while a result is held: its claim is not considered abandoned, its journaled reply is not
// stored twice, and no other exchange is made. Stored tokens are still published to workloads.
func undelivered(seen Observed, now time.Time) *Step {
	switch {
	case !seen.Writes.Held:
		return nil
	case seen.isPublishable(now):
		return do(Publish, Unpublished)
	}
	return wait(Undelivered, soonest(now, seen.Writes.StateAt, seen.expiryAfter(now)))
}

// unpublishable delays the next write of the target Secret after a failed one.
func unpublishable(seen Observed, now time.Time) *Step {
	if !seen.isUnpublished(now) || !now.Before(seen.Writes.TargetAt) {
		return nil
	}
	return wait(Unpublishable, soonest(now, seen.Writes.TargetAt, seen.expiryAfter(now)))
}

// unwritable comes before the host limiter: a connection to the token host is useless while no claim can be written.
func unwritable(seen Observed, now time.Time) *Step {
	if !now.Before(seen.Writes.StateAt) {
		return nil
	}
	return wait(Unwritable, soonest(now, seen.Writes.StateAt, seen.expiryAfter(now)))
}

// isUnpublished reports whether workloads lack a valid token.
func (o Observed) isUnpublished(now time.Time) bool { return o.Publication == Outdated && o.live(now) }

// isPublishable reports whether a valid token can be published now.
func (o Observed) isPublishable(now time.Time) bool {
	return o.isUnpublished(now) && !now.Before(o.Writes.TargetAt)
}

// The back-off of writes: quick at first, because workloads wait and an API often recovers in a moment. After the first
// minute there are at most four tries a minute.
const (
	writeFirst    = 50 * time.Millisecond
	writeQuick    = time.Minute // for how long the back-off grows from writeFirst
	writePace     = 15 * time.Second
	writePaceMost = time.Minute
)

// WriteRetryAt returns when to write again after the count-th failure in a row; the first was at the time since. A draw
// between 0 and 1 spreads credentials that failed together, and only makes the wait longer.
func WriteRetryAt(now, since time.Time, count int, draw float64) time.Time {
	delay := doubled(writeFirst, count-1, writePace)
	if now.Sub(since) >= writeQuick {
		delay = min(writePaceMost, max(writePace, now.Sub(since)/8))
	}
	return now.Add(delay + time.Duration(draw*float64(delay)/4))
}

// WritesLastingly reports whether writes have failed for longer than a moment.
func WritesLastingly(now, since time.Time) bool { return now.Sub(since) >= writeQuick }
