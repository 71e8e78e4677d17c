package plan

import "time"

// Writes is what is known of the writes to the Kubernetes API. A write that failed is repeated with back-off, and what
// needs it waits.
type Writes struct {
	// Held is true while this process holds the result of an exchange that could not be stored yet.
	Held bool
	// StateAt is when the state Secret and the login guard may be written again; zero: now.
	StateAt time.Time
	// TargetAt is when the target Secret may be written again; zero: now.
	TargetAt time.Time
}

// deliver stores a result that this process holds, before anything else that writes. A deletion waits for it: custody
// gives it up where it can be stored no more.
func deliver(seen Observed, now time.Time) *Step {
	switch {
	case !seen.Writes.Held:
		return nil
	case !now.Before(seen.Writes.StateAt):
		return do(Deliver, Undelivered)
	case seen.Deleting:
		return wait(Undelivered, earliest(seen.Writes.StateAt, seen.expiryAfter(now)))
	}
	return nil
}

// undelivered begins nothing while a result is held: its claim is not taken for abandoned, its reply in the journal is
// not stored twice, and no other exchange is made. Workloads get what is stored all the same.
func undelivered(seen Observed, now time.Time) *Step {
	switch {
	case !seen.Writes.Held:
		return nil
	case seen.isPublishable(now):
		return do(Publish, Unpublished)
	}
	return wait(Undelivered, earliest(seen.Writes.StateAt, seen.expiryAfter(now)))
}

// unpublishable lets the target Secret rest after a write that failed.
func unpublishable(seen Observed, now time.Time) *Step {
	if !seen.isUnpublished(now) || !now.Before(seen.Writes.TargetAt) {
		return nil
	}
	return wait(Unpublishable, earliest(seen.Writes.TargetAt, seen.expiryAfter(now)))
}

// unwritable comes before the host's turn: a connection to the token host is in vain while no claim can be written.
func unwritable(seen Observed, now time.Time) *Step {
	if !now.Before(seen.Writes.StateAt) {
		return nil
	}
	return wait(Unwritable, earliest(seen.Writes.StateAt, seen.expiryAfter(now)))
}

// isUnpublished reports whether workloads lack a token that is valid now.
func (o Observed) isUnpublished(now time.Time) bool { return o.Publication == Outdated && o.live(now) }

// isPublishable reports whether such a token can be published now.
func (o Observed) isPublishable(now time.Time) bool {
	return o.isUnpublished(now) && !now.Before(o.Writes.TargetAt)
}

// The back-off of writes: quick at first, because workloads wait and many an API recovers in a moment; after the first
// minute, at most four tries a minute.
const (
	writeFirst    = 50 * time.Millisecond
	writeQuick    = time.Minute // for how long the back-off grows from writeFirst
	writePace     = 15 * time.Second
	writePaceMost = time.Minute
)

// WriteRetryAt is when to write again after the count-th failure in a row, of which the first was at the time since. A
// draw between 0 and 1 spreads credentials that failed together, and only makes the wait longer.
func WriteRetryAt(now, since time.Time, count int, draw float64) time.Time {
	delay := doubled(writeFirst, count-1, writePace)
	if now.Sub(since) >= writeQuick {
		delay = min(writePaceMost, max(writePace, now.Sub(since)/8))
	}
	return now.Add(delay + time.Duration(draw*float64(delay)/4))
}

// WritesLastingly reports whether writes have failed for so long that it is more than a moment's matter.
func WritesLastingly(now, since time.Time) bool { return now.Sub(since) >= writeQuick }
