package distribution

import (
	"testing"
	"time"
)

var (
	now  = time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	ends = now.Add(time.Minute)
	good = Observed{Registered: true, Allowed: true, Holding: true, Expires: ends, Current: true}
)

// but is the good case with something else in it.
func but(change func(*Observed)) Observed {
	seen := good
	change(&seen)
	return seen
}

func TestNext(t *testing.T) {
	tests := map[string]struct {
		why  string
		seen Observed
		want Step
	}{
		"all is well":      {"the conditions change at the expiry", good, Step{Do: Wait, Why: Published, At: ends}},
		"deleted":          {"its Secret goes first", but(func(o *Observed) { o.Deleting = true }), Step{Do: Release, Why: Deleted}},
		"deleted by force": {"somebody else took our finalizer", but(func(o *Observed) { o.Deleting, o.Registered = true, false }), Step{Do: Wait, Why: Deleted}},
		"never allowed":    {"nothing is done, and nothing is told", Observed{}, Step{Do: Wait, Why: NotAllowed}},
		"never allowed, whatever there is": {
			"consent comes before all else", Observed{Expires: ends, Outdated: true, Obstructed: true}, Step{Do: Wait, Why: NotAllowed},
		},
		"not allowed any more":      {"at once", but(func(o *Observed) { o.Allowed = false }), Step{Do: Withdraw, Why: NotAllowed}},
		"another credential":        {"its token is the wrong one", but(func(o *Observed) { o.Former = true }), Step{Do: Withdraw, Why: Replaced}},
		"another one, with a token": {"what was left behind makes room", but(func(o *Observed) { o.Former, o.Holding = true, false }), Step{Do: Discard, Why: Replaced}},
		"another one, with none":    {"what was left behind stays until then", but(func(o *Observed) { o.Former, o.Holding, o.Expires = true, false, time.Time{} }), Step{Do: Wait, Why: NoToken}},
		"a template that fails":     {"a person has to mend it", but(func(o *Observed) { o.Obstructed = true }), Step{Do: Wait, Why: Obstructed}},
		"an unlisted member":        {"the owner's list is consent, too", but(func(o *Observed) { o.Unlisted, o.Obstructed = true, true }), Step{Do: Withdraw, Why: Unlisted}},
		"unlisted, and gone":        {"the consumer or the owner acts", but(func(o *Observed) { o.Unlisted, o.Obstructed, o.Holding = true, true, false }), Step{Do: Wait, Why: Obstructed}},
		"expired, in another form":  {"what is shown of an expired token can be less by now", but(func(o *Observed) { o.Expires, o.Outdated, o.Current, o.Same = now, true, false, true }), Step{Do: Publish, Why: Unpublished}},
		"expired, in this form":     {"it stays where it is", but(func(o *Observed) { o.Expires, o.Same = now, true }), Step{Do: Wait, Why: Expired}},
		"no token yet":              {"it wakes us when there is one", but(func(o *Observed) { o.Expires = time.Time{} }), Step{Do: Wait, Why: NoToken}},
		"expired":                   {"it is not published as good", but(func(o *Observed) { o.Expires, o.Outdated, o.Current = now, true, false }), Step{Do: Wait, Why: Expired}},
		"new":                       {"our finalizer comes first", but(func(o *Observed) { o.Registered, o.Outdated, o.Current = false, true, false }), Step{Do: Register, Why: Unregistered}},
		"taken":                     {"it is somebody else's Secret", but(func(o *Observed) { o.Taken, o.Current = true, false }), Step{Do: Wait, Why: TargetTaken}},
		"outdated":                  {"a repair, or a new token", but(func(o *Observed) { o.Outdated, o.Current = true, false }), Step{Do: Publish, Why: Unpublished}},
		"newer":                     {"another replica is ahead", but(func(o *Observed) { o.Current = false }), Step{Do: Wait, Why: Published, At: ends}},
		"renamed":                   {"the new one is there", but(func(o *Observed) { o.Leftover = true }), Step{Do: Tidy, Why: Renamed}},
		"renamed, and not there":    {"the new one comes first", but(func(o *Observed) { o.Leftover, o.Outdated, o.Current = true, true, false }), Step{Do: Publish, Why: Unpublished}},
		"renamed to what is taken":  {"the old one stays good", but(func(o *Observed) { o.Leftover, o.Taken, o.Current = true, true, false }), Step{Do: Wait, Why: TargetTaken}},

		"another one, which others use too": {"what others put there stays", but(func(o *Observed) {
			o.Former, o.Holding, o.Shared, o.Current, o.Outdated = true, false, true, false, true
		}), Step{Do: Publish, Why: Unpublished}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Next(test.seen, now); got != test.want {
				t.Errorf("%+v, want %+v: %s", got, test.want, test.why)
			}
		})
	}
}

// TestNothingIsPublishedWithoutConsent looks at every observation there can be.
func TestNothingIsPublishedWithoutConsent(t *testing.T) {
	count := 0
	for bits := range 1 << 10 {
		has := func(bit int) bool { return bits>>bit&1 == 1 }
		for publication := range 4 {
			for _, expires := range []time.Time{{}, now, ends} {
				seen := Observed{
					Deleting: has(0), Registered: has(1), Allowed: has(2), Holding: has(3), Obstructed: has(4), Former: has(5), Leftover: has(6),
					Shared: has(7), Unlisted: has(8), Same: has(9),
					Taken: publication == 1, Outdated: publication == 2, Current: publication == 3, Expires: expires,
				}
				step := Next(seen, now)
				withheld := !seen.Allowed || seen.Deleting || !seen.Registered || seen.Former && !seen.Shared ||
					expires.IsZero() || expires.Equal(now) && !seen.Same || seen.Unlisted && seen.Holding
				if count++; step.Do == Publish && withheld {
					t.Errorf("published: %+v", seen)
				}
				if !seen.Allowed && !seen.Deleting && seen.Holding != (step.Do == Withdraw) {
					t.Errorf("without consent, %s: %+v", step.Do, seen)
				}
			}
		}
	}
	if count != 12288 {
		t.Errorf("%d observations, want 12288", count)
	}
}
