package plan

import (
	"math/rand/v2"
	"testing"
	"time"
)

// The invariants hold for whatever can be observed: here for many random observations, the same ones in every run.

const observations = 200_000

// around is a time before, at or after now, or none.
func around(random *rand.Rand) time.Time {
	switch random.IntN(6) {
	case 0:
		return time.Time{}
	case 1:
		return now
	}
	return in(time.Duration(random.Int64N(int64(2*time.Hour))) - time.Hour)
}

func one[T any](random *rand.Rand, of ...T) T { return of[random.IntN(len(of))] }

func rarely(random *rand.Rand) bool { return random.IntN(8) == 0 }

func often(random *rand.Rand) bool { return random.IntN(2) == 0 }

func anything(random *rand.Rand) Observed {
	seen := Observed{
		Deleting: rarely(random), Registered: !rarely(random), Suspended: rarely(random), Rotate: rarely(random),
		Publication: one(random, "", Current, Current, Outdated, Newer, Taken), Leftover: rarely(random), StateLeaving: rarely(random),
		Journaled:   rarely(random),
		Chain:       Chain{Stored: often(random), Presented: one(random, 0, 0, 0, 1, 1, 2, 3), Foreign: rarely(random)},
		Login:       Login{Seed: rarely(random), Password: often(random), Client: rarely(random)},
		OnLostReply: one(random, "", Auto, Retry, Reauthenticate, Stop),
		Writes:      Writes{Held: rarely(random), StateAt: one(random, time.Time{}, around(random)), TargetAt: one(random, time.Time{}, around(random))},
		HostFree:    one(random, time.Time{}, around(random)),
		Unmarked:    rarely(random),
		Revocable:   often(random), Patience: around(random),
	}
	if rarely(random) {
		seen.Obstacle = "CredentialsNotFound"
	}
	if rarely(random) {
		seen.Claim = &Claim{Until: around(random), Gone: often(random)}
	}
	if !rarely(random) {
		obtained := in(-time.Duration(random.Int64N(int64(2 * time.Hour))))
		life := time.Duration(random.Int64N(int64(3 * time.Hour)))
		seen.Token = &Token{Obtained: obtained, Expires: obtained.Add(life), Refresh: around(random), Stale: rarely(random)}
	}
	if rarely(random) {
		seen.Failure = &Failure{RetryAt: around(random), Barred: often(random), Stalled: often(random)}
	}
	return seen
}

// always checks a claim about every random observation and the step that is taken.
func always(t *testing.T, holds func(seen Observed, step Step) (because string)) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	for range observations {
		seen := anything(random)
		step := Next(seen, now)
		if because := holds(seen, step); because != "" {
			t.Fatalf("%s:\n%+v\ntoken %+v\nclaim %+v\nfailure %+v\nat %s\n%+v",
				because, seen, seen.Token, seen.Claim, seen.Failure, now, step)
		}
	}
}

func TestNothingIsSpentWhileSomethingIsInTheWay(t *testing.T) {
	always(t, func(seen Observed, step Step) string {
		if step.Do != Exchange {
			return ""
		}
		for what, is := range map[string]bool{
			"being deleted":                      seen.Deleting,
			"not registered":                     !seen.Registered,
			"the state Secret is going":          seen.StateLeaving,
			"the target is somebody else's":      seen.Publication == Taken,
			"a token that lives is unpublished":  seen.Publication == Outdated && seen.live(now),
			"suspended":                          seen.Suspended,
			"an exchange has no result yet":      seen.Claim != nil,
			"there is an obstacle":               seen.Obstacle != "",
			"the host is not free":               now.Before(seen.HostFree),
			"the login is barred":                seen.Failure != nil && seen.Failure.Barred && now.Before(seen.Failure.RetryAt) && !lastTry(seen, step),
			"backing off, and not asked":         seen.Failure != nil && !seen.Rotate && now.Before(seen.Failure.RetryAt) && !lastTry(seen, step),
			"only a change helps, and not asked": seen.Failure != nil && !seen.Rotate && seen.Failure.RetryAt.IsZero() && !lastTry(seen, step),
		} {
			if is {
				return "an exchange while " + what
			}
		}
		return ""
	})
}

// lastTry tells whether the step presents a doubtful token because the login was refused: it waits for nothing the login waits for.
func lastTry(seen Observed, step Step) bool {
	return seen.hasLastTry(now) && (step.Means == ByRefresh || step.Means == BySeed)
}

func TestARefreshTokenIsPresentedTwiceAtMost(t *testing.T) {
	always(t, func(seen Observed, step Step) string {
		switch {
		case step.Means != ByRefresh:
			return ""
		case !seen.Chain.Stored:
			return "there is no refresh token"
		case seen.Chain.Presented >= 2:
			return "a third presentation"
		case seen.Chain.Presented >= 1 && (seen.OnLostReply == Reauthenticate || seen.OnLostReply == Stop):
			return "a second presentation under " + string(seen.OnLostReply)
		case seen.Chain.Presented >= 1 && seen.OnLostReply != Retry && seen.Login.Renews() && !seen.hasLastTry(now):
			return "a second presentation although the login renews"
		case seen.stale(), seen.Chain.Foreign:
			return "a refresh token of another login"
		}
		return ""
	})
}

func TestOnlyWhatTheLoginHasIsUsed(t *testing.T) {
	always(t, func(seen Observed, step Step) string {
		has := map[Means]bool{
			"": true, ByRefresh: seen.Chain.Stored, BySeed: seen.Login.Seed, ByPassword: seen.Login.Password, ByClient: seen.Login.Client,
		}
		switch {
		case !has[step.Means]:
			return "the login has no " + string(step.Means)
		case (step.Means == "") == (step.Do == Exchange):
			return "an exchange, and nothing else, has means"
		}
		return ""
	})
}

func TestAWaitLooksAhead(t *testing.T) {
	always(t, func(_ Observed, step Step) string {
		switch {
		case step.Do == "" || step.Why == "":
			return "an outcome without a name"
		case step.Do != Wait && !step.At.IsZero():
			return "only a wait has a time"
		case step.Do == Wait && !step.At.IsZero() && !step.At.After(now):
			return "a wait that is over is a loop"
		}
		return ""
	})
}

// TestAWaitEndsAtExpiry: the conditions change when a token expires, so that is looked at. A deletion has no conditions. For a
// second after expiry the API may hold the token: see secondsFraction.
func TestAWaitEndsAtExpiry(t *testing.T) {
	always(t, func(seen Observed, step Step) string {
		if step.Do != Wait || step.Why == Deleted || !seen.live(now) {
			return ""
		}
		if step.At.IsZero() || step.At.After(seen.Token.Expires.Add(2*secondsFraction)) && step.Why != InFlight {
			return "a wait past the expiry"
		}
		return ""
	})
}

// TestADeletionNeverHangs: without an exchange under way, it is over within the patience.
func TestADeletionNeverHangs(t *testing.T) {
	always(t, func(seen Observed, step Step) string {
		switch {
		case !seen.Deleting && (step.Do == Revoke || step.Do == Release):
			return "a living credential is let go"
		case !seen.Deleting || !seen.Registered || seen.Claim.held(now) || seen.Writes.Held || step.Do == Revoke || step.Do == Release:
			return ""
		case step.At.IsZero() || step.At.After(seen.Patience):
			return "a deletion waits for longer than its patience"
		}
		return ""
	})
}

// TestThereIsProgress: with a means and nothing in the way, there is a time at which a token is obtained.
func TestThereIsProgress(t *testing.T) {
	always(t, func(seen Observed, _ Step) string {
		seen.Deleting, seen.Registered, seen.Suspended, seen.Obstacle, seen.Claim = false, true, false, "", nil
		seen.StateLeaving, seen.Leftover, seen.Publication = false, false, Current
		seen.Writes.Held = false
		seen.Unmarked = false
		if seen.Failure != nil && seen.Failure.RetryAt.IsZero() {
			seen.Failure = nil
		}
		chained := seen.Chain.Stored && !seen.foreign() && (seen.Chain.Presented == 0 ||
			seen.Chain.Presented == 1 && seen.OnLostReply != Reauthenticate && seen.OnLostReply != Stop)
		stopped := seen.Chain.Stored && seen.Chain.Presented > 0 && seen.OnLostReply == Stop && !seen.Rotate
		if !seen.Login.Seed && (stopped || !chained && !seen.Login.Renews()) {
			return ""
		}
		if late := Next(seen, in(24*time.Hour)); late.Do != Exchange {
			return "nothing happens a day later: " + string(late.Why)
		}
		return ""
	})
}

// TestTimeAloneLeadsOn follows an observation from wait to wait: it comes to an action or to rest, and not to a wait without end.
func TestTimeAloneLeadsOn(t *testing.T) {
	always(t, func(seen Observed, step Step) string {
		for waits, at := 0, now; step.Do == Wait && !step.At.IsZero(); waits++ {
			if limit := 2 + int(time.Hour/claimPoll); waits > limit {
				return "a wait that never ends"
			}
			if !step.At.After(at) {
				return "a wait that is over is a loop"
			}
			at = step.At
			step = Next(seen, at)
		}
		return ""
	})
}
