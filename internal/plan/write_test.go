package plan

import (
	"testing"
	"time"
)

// unstored is a result that this process holds, and that may be tried again so long after now.
func unstored(o *Observed, wait time.Duration) {
	o.Writes.Held, o.Writes.StateAt, o.Claim = true, in(wait), &Claim{Until: in(time.Minute)}
}

var delivering = map[string]decision{
	"a result that is held": {
		why:  "it is all there is of a chain",
		seen: func(o *Observed) { unstored(o, -time.Second) },
		want: Step{Do: Deliver, Why: Undelivered},
	},
	"before a deletion": {
		why:  "what can be stored is stored first: it may be the token to revoke",
		seen: func(o *Observed) { unstored(o, 0); o.Deleting = true },
		want: Step{Do: Deliver, Why: Undelivered},
	},
	"a deletion, backing off": {
		why:  "custody gives the result up after half a minute of denials, and the deletion goes on",
		seen: func(o *Observed) { unstored(o, time.Second); o.Deleting = true },
		want: Step{Do: Wait, Why: Undelivered, At: in(time.Second)},
	},
	"whatever else is wrong": {
		why: "neither a login that is gone nor a target that is taken makes a result worthless",
		seen: func(o *Observed) {
			unstored(o, 0)
			o.Suspended, o.Obstacle, o.Publication, o.StateLeaving = true, "CredentialsNotFound", Taken, true
		},
		want: Step{Do: Deliver, Why: Undelivered},
	},
}

var holding = map[string]decision{
	"backing off": {
		why:  "the Kubernetes API is asked four times a minute",
		seen: func(o *Observed) { unstored(o, 10*time.Second) },
		want: Step{Do: Wait, Why: Undelivered, At: in(10 * time.Second)},
	},
	"beyond the expiry": {
		why:  "the conditions change there",
		seen: func(o *Observed) { unstored(o, time.Hour) },
		want: Step{Do: Wait, Why: Undelivered, At: healthy().Token.Expires},
	},
	"with a claim that seems to be abandoned": {
		why:  "its holder is this process, which has the reply: it is not lost",
		seen: func(o *Observed) { unstored(o, time.Second); o.Claim = &Claim{Until: in(-time.Minute), Gone: true} },
		want: Step{Do: Wait, Why: Undelivered, At: in(time.Second)},
	},
	"due, with another login": {
		why:  "no other exchange is made before the last one is stored",
		seen: func(o *Observed) { due(o); unstored(o, time.Second); o.Login.Password, o.Rotate = true, true },
		want: Step{Do: Wait, Why: Undelivered, At: in(time.Second)},
	},
	"with a target that lacks the stored token": {
		why:  "workloads get what is stored",
		seen: func(o *Observed) { unstored(o, time.Second); o.Publication = Outdated },
		want: Step{Do: Publish, Why: Unpublished},
	},
	"with a target that cannot be written either": {
		why: "both wait, and the result comes first",
		seen: func(o *Observed) {
			unstored(o, time.Second)
			o.Publication, o.Writes.TargetAt = Outdated, in(time.Minute)
		},
		want: Step{Do: Wait, Why: Undelivered, At: in(time.Second)},
	},
	"with a target that is another's": {
		why:  "the wait for the result is the shorter one",
		seen: func(o *Observed) { unstored(o, time.Second); o.Publication = Taken },
		want: Step{Do: Wait, Why: Undelivered, At: in(time.Second)},
	},
	"with a state Secret that is going": {
		why:  "the state is brought to safety first: the result goes where it is",
		seen: func(o *Observed) { unstored(o, time.Second); o.StateLeaving = true },
		want: Step{Do: Relocate, Why: StateDeleted},
	},
}

var unpublishing = map[string]decision{
	"backing off": {
		why:  "a quota or a policy is in the way: the API is not asked at every pass",
		seen: func(o *Observed) { o.Publication, o.Writes.TargetAt = Outdated, in(10*time.Second) },
		want: Step{Do: Wait, Why: Unpublishable, At: in(10 * time.Second)},
	},
	"after the back-off": {
		why:  "it is tried again",
		seen: func(o *Observed) { o.Publication, o.Writes.TargetAt = Outdated, now },
		want: Step{Do: Publish, Why: Unpublished},
	},
	"beyond the expiry": {
		why:  "what is published then would be worthless",
		seen: func(o *Observed) { o.Publication, o.Writes.TargetAt = Outdated, in(time.Hour) },
		want: Step{Do: Wait, Why: Unpublishable, At: healthy().Token.Expires},
	},
	"published": {
		why:  "there is nothing to write",
		seen: func(o *Observed) { o.Writes.TargetAt = in(time.Hour) },
		want: Step{Do: Wait, Why: NotDue, At: healthy().Token.Refresh},
	},
	"expired": {
		why:  "a new token is obtained, however the last publication ended",
		seen: func(o *Observed) { expired(o); o.Publication, o.Writes.TargetAt = Outdated, in(time.Hour) },
		want: Step{Do: Exchange, Why: Due, Means: ByRefresh},
	},
}

var unwriting = map[string]decision{
	"due": {
		why:  "a connection to the token host would be in vain: the claim could not be written a moment ago",
		seen: func(o *Observed) { due(o); o.Writes.StateAt = in(10 * time.Second) },
		want: Step{Do: Wait, Why: Unwritable, At: in(10 * time.Second)},
	},
	"due, after the back-off": {
		why:  "it is tried again",
		seen: func(o *Observed) { due(o); o.Writes.StateAt = now },
		want: Step{Do: Exchange, Why: Due, Means: ByRefresh},
	},
	"beyond the expiry": {
		why:  "workloads have no token from there on, and the status says so",
		seen: func(o *Observed) { due(o); o.Writes.StateAt = in(time.Hour) },
		want: Step{Do: Wait, Why: Unwritable, At: in(10 * time.Minute)},
	},
	"expired": {
		why:  "an expiry makes no write possible",
		seen: func(o *Observed) { expired(o); o.Writes.StateAt = in(time.Second) },
		want: Step{Do: Wait, Why: Unwritable, At: in(time.Second)},
	},
	"not due": {
		why:  "nothing is to be written",
		seen: func(o *Observed) { o.Writes.StateAt = in(time.Second) },
		want: Step{Do: Wait, Why: NotDue, At: healthy().Token.Refresh},
	},
	"asked for": {
		why:  "the rotate annotation makes no write possible either",
		seen: func(o *Observed) { o.Rotate, o.Writes.StateAt = true, in(time.Second) },
		want: Step{Do: Wait, Why: Unwritable, At: in(time.Second)},
	},
	"unpublished": {
		why:  "a denied state Secret is no reason to keep a stored token from workloads",
		seen: func(o *Observed) { due(o); o.Publication, o.Writes.StateAt = Outdated, in(time.Second) },
		want: Step{Do: Publish, Why: Unpublished},
	},
}

// TestPaceOfWrites counts the tries of an hour in which no write works.
func TestPaceOfWrites(t *testing.T) {
	for _, draw := range []float64{0, 0.5, 0.999} {
		var tries []time.Time
		for at := now; at.Before(in(time.Hour)); at = WriteRetryAt(at, now, len(tries), draw) {
			tries = append(tries, at)
		}
		if quick := tries[4].Sub(now); quick > time.Second {
			t.Errorf("draw %v: the fifth try comes after %s: workloads wait", draw, quick)
		}
		minutes := map[time.Duration]int{}
		for i, at := range tries {
			minutes[at.Sub(now).Truncate(time.Minute)]++
			if i > 0 && at.Sub(tries[i-1]) > 80*time.Second {
				t.Errorf("draw %v: %s between two tries: the end of the failure is seen late", draw, at.Sub(tries[i-1]))
			}
		}
		for minute, count := range minutes {
			if most := map[bool]int{true: 14, false: 4}[minute == 0]; count > most {
				t.Errorf("draw %v: %d tries in minute %s, want %d at most", draw, count, minute, most)
			}
		}
	}
	if WritesLastingly(in(59*time.Second), now) || !WritesLastingly(in(time.Minute), now) {
		t.Error("a minute is more than a moment")
	}
}

// TestNothingIsBegunWhileAResultIsHeld: the claim in the state is this process's own, and its reply is here.
func TestNothingIsBegunWhileAResultIsHeld(t *testing.T) {
	always(t, func(seen Observed, step Step) string {
		if !seen.Writes.Held {
			return ""
		}
		switch step.Do {
		case Exchange, Settle, Restore, Revoke, Release:
			return "the plan goes past a result that is not stored: " + string(step.Do)
		case Wait:
			if step.At.IsZero() && !seen.Writes.StateAt.IsZero() {
				return "nothing wakes the result that is held"
			}
		case Register, Relocate, Publish, Withdraw, Deliver:
		}
		return ""
	})
}

// TestNothingIsSpentBeforeAWriteMayWork: a claim that cannot be written costs a connection each time.
func TestNothingIsSpentBeforeAWriteMayWork(t *testing.T) {
	always(t, func(seen Observed, step Step) string {
		if step.Do == Exchange && now.Before(seen.Writes.StateAt) {
			return "an exchange is begun while the state Secret cannot be written"
		}
		if step.Do == Publish && now.Before(seen.Writes.TargetAt) {
			return "a publication is tried before its time"
		}
		return ""
	})
}
