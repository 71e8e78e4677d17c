package plan

import (
	"testing"
	"time"
)

func TestLead(t *testing.T) {
	tests := map[string]struct {
		why        string
		spec       LeadSpec
		life, want time.Duration
	}{
		"default":             {"a third of the life", LeadSpec{}, 24 * time.Hour, 24 * time.Hour * 33 / 100},
		"default, half hour":  {"a third of the life", LeadSpec{}, 30 * time.Minute, 594 * time.Second},
		"default, short":      {"90 s at least, because a mounted volume follows late", LeadSpec{}, 4 * time.Minute, 90 * time.Second},
		"default, 5 minutes":  {"a third of a token of Nordea's", LeadSpec{}, 5 * time.Minute, 99 * time.Second},
		"default, very short": {"half of the life at most, or it would be refreshed all the time", LeadSpec{}, time.Minute, 30 * time.Second},
		"default, a second":   {"half of the life at most", LeadSpec{}, time.Second, 500 * time.Millisecond},
		"default, a year":     {"a third of a year does not overflow", LeadSpec{}, 365 * 24 * time.Hour, 365 * 24 * time.Hour * 33 / 100},
		"default, none":       {"no life has no lead", LeadSpec{}, 0, 0},
		"before":              {"the user knows best", LeadSpec{Before: 10 * time.Minute}, time.Hour, 10 * time.Minute},
		"before, tiny":        {"the 90 s are a default, not a bound", LeadSpec{Before: time.Second}, time.Hour, time.Second},
		"before, too long":    {"half of the life at most", LeadSpec{Before: 2 * time.Hour}, time.Hour, 30 * time.Minute},
		"percent":             {"of the life", LeadSpec{Percent: 10}, time.Hour, 6 * time.Minute},
		"percent, tiny":       {"the 90 s are a default, not a bound", LeadSpec{Percent: 1}, time.Minute, 600 * time.Millisecond},
		"percent, too much":   {"half of the life at most", LeadSpec{Percent: 90}, time.Hour, 30 * time.Minute},
		"both":                {"admission allows one of them; the duration is the more exact", LeadSpec{Before: time.Minute, Percent: 50}, time.Hour, time.Minute},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.spec.Lead(test.life); got != test.want {
				t.Errorf("a life of %s has a lead of %s, want %s: %s", test.life, got, test.want, test.why)
			}
		})
	}
}

func TestRefreshAt(t *testing.T) {
	const almostOne = 1 - 1e-12
	tests := map[string]struct {
		why      string
		life     time.Duration
		lead     LeadSpec
		draw     float64
		stagnant int
		repeats  bool
		want     time.Duration // after Obtained, to the millisecond
	}{
		"drawn latest":   {"the lead is kept", 30 * time.Minute, LeadSpec{}, almostOne, 0, false, 1206 * time.Second},
		"drawn earliest": {"a tenth earlier, so that those born together part", 30 * time.Minute, LeadSpec{}, 0, 0, false, 1085400 * time.Millisecond},
		"drawn between":  {"in proportion", 30 * time.Minute, LeadSpec{}, 0.5, 0, false, 1145700 * time.Millisecond},
		"before":         {"the user's lead is spread too", time.Hour, LeadSpec{Before: 10 * time.Minute}, 0, 0, false, 45 * time.Minute},
		"a minute":       {"half of the life, spread", time.Minute, LeadSpec{}, 0, 0, false, 27 * time.Second},
		"repeats":        {"asking before expiry would bring the same token", time.Hour, LeadSpec{}, 0, 0, true, time.Hour + time.Second},
		"repeated once":  {"the same token: ask after its expiry", time.Hour, LeadSpec{}, 0, 1, true, time.Hour + time.Second},
		"idle once":      {"it brought nothing: ask after its expiry", time.Hour, LeadSpec{}, 0, 1, false, time.Hour + time.Second},
		"idle twice":     {"then a second later", time.Second, LeadSpec{}, 0, 2, true, 3 * time.Second},
		"idle thrice":    {"then two", time.Second, LeadSpec{}, 0, 3, true, 4 * time.Second},
		"idle often":     {"then four, and so on", time.Second, LeadSpec{}, 0, 4, true, 6 * time.Second},
		"idle for ever":  {"30 s at most", time.Second, LeadSpec{}, 0, 1000, true, 32 * time.Second},
		"no life":        {"expires_in 0: a second later", 0, LeadSpec{}, 0, 1, true, time.Second},
		"no life, twice": {"then two", 0, LeadSpec{}, 0, 2, true, 2 * time.Second},
		"no life, often": {"then four", 0, LeadSpec{}, 0, 3, true, 4 * time.Second},
		"never any life": {"30 s at most", 0, LeadSpec{}, 0, 1000, true, 30 * time.Second},
		"negative life":  {"is none", -time.Hour, LeadSpec{}, 0, 1, false, time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			renewal := Renewal{
				Obtained: now, Expires: in(test.life), Lead: test.lead, Draw: test.draw, Stagnant: test.stagnant, Repeats: test.repeats,
			}
			if got := renewal.RefreshAt().Sub(now).Round(time.Millisecond); got != test.want {
				t.Errorf("due after %s, want %s: %s", got, test.want, test.why)
			}
		})
	}
}

// TestRenewalInAWindow: an API that gives the same token until shortly before its expiry is asked when the next one is to be had.
func TestRenewalInAWindow(t *testing.T) {
	const almostOne = 1 - 1e-12
	for name, test := range map[string]struct {
		why          string
		life, window time.Duration
		lead         LeadSpec
		draw         float64
		stagnant     int
		repeats      bool
		want         time.Duration // before the expiry
	}{
		"drawn earliest":    {"a clock may differ", 2 * time.Hour, 15 * time.Minute, LeadSpec{}, 0, 0, false, 810 * time.Second},
		"drawn latest":      {"those born together part", 2 * time.Hour, 15 * time.Minute, LeadSpec{}, almostOne, 0, false, 12 * time.Minute},
		"a longer lead":     {"it would bring the same token", 4 * time.Hour, 15 * time.Minute, LeadSpec{Before: time.Hour}, 0, 0, false, 810 * time.Second},
		"a shorter lead":    {"it is the user's", 2 * time.Hour, 15 * time.Minute, LeadSpec{Before: 2 * time.Minute}, almostOne, 0, false, 2 * time.Minute},
		"after an idle one": {"it came too early, and the window is still to come", time.Hour, 15 * time.Minute, LeadSpec{}, 0, 3, false, 810 * time.Second},
		"idle in it":        {"the API does otherwise than documented", 14 * time.Minute, 15 * time.Minute, LeadSpec{}, 0, 1, true, -time.Second},
		"short tokens":      {"there is no time before the window", 10 * time.Minute, 15 * time.Minute, LeadSpec{}, almostOne, 0, false, 198 * time.Second},
	} {
		renewal := Renewal{
			Obtained: now, Expires: in(test.life), Lead: test.lead, Draw: test.draw, Stagnant: test.stagnant, Repeats: test.repeats, Window: test.window,
		}
		if got := renewal.Expires.Sub(renewal.RefreshAt()).Round(time.Millisecond); got != test.want {
			t.Errorf("%s: due %s before the expiry, want %s: %s", name, got, test.want, test.why)
		}
	}
}

// TestIdleRepliesAreNoLoop asks an API again and again that gives a token without life, or the same token past its time.
func TestIdleRepliesAreNoLoop(t *testing.T) {
	for name, life := range map[string]time.Duration{"without life": 0, "a second of life": time.Second} {
		at, asked := now, 0
		for stagnant := 1; at.Before(in(time.Hour)); stagnant++ {
			due := Renewal{Obtained: at, Expires: at.Add(life), Stagnant: stagnant, Repeats: true}.RefreshAt()
			if due.Sub(at) < time.Second {
				t.Fatalf("%s: reply %d is asked for %s after the one before", name, stagnant, due.Sub(at))
			}
			at, asked = due, asked+1
		}
		if asked > 130 {
			t.Errorf("%s: asked %d times in an hour", name, asked)
		}
	}
}

func TestTooShort(t *testing.T) {
	tests := map[string]struct {
		why  string
		life time.Duration
		want bool
	}{
		"a second":              {"Fluent hands out what is left of a token", time.Second, true},
		"just under two leads":  {"there is no early moment worth a call", 2*minimumLead - 1, true},
		"two leads":             {"the lead is kept", 2 * minimumLead, false},
		"a day, nearly":         {"an early refresh shows what the API does", 86386 * time.Second, false},
		"half an hour, nearly":  {"an early refresh shows what the API does", 1799 * time.Second, false},
		"without life":          {"there is none", 0, true},
		"a clock that was lost": {"there is none", -time.Second, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := TooShort(test.life); got != test.want {
				t.Errorf("TooShort(%s) is %t: %s", test.life, got, test.why)
			}
		})
	}
}

func TestRetryAt(t *testing.T) {
	const almostOne = 1 - 1e-12
	long := in(24 * time.Hour)
	tests := map[string]struct {
		why     string
		count   int
		draw    float64
		expires time.Time
		want    time.Duration // to the millisecond
	}{
		"first":                {"2 s at most", 1, almostOne, long, 2 * time.Second},
		"second":               {"4 s at most", 2, almostOne, long, 4 * time.Second},
		"fifth":                {"32 s at most", 5, almostOne, long, 32 * time.Second},
		"ninth":                {"512 s at most", 9, almostOne, long, 512 * time.Second},
		"tenth":                {"15 min at most, and that is less than 1024 s", 10, almostOne, long, 15 * time.Minute},
		"millionth":            {"15 min at most; the doubling does not overflow", 1e6, almostOne, long, 15 * time.Minute},
		"drawn between":        {"full jitter: anything from nothing to the most", 9, 0.25, long, 128 * time.Second},
		"drawn at zero":        {"a draw near zero must not become a loop", 9, 0, long, 500 * time.Millisecond},
		"drawn under floor":    {"a draw near zero must not become a loop", 1, 0.1, long, 500 * time.Millisecond},
		"nobody counted":       {"as the first", 0, almostOne, long, 2 * time.Second},
		"no token":             {"nothing comes to its end", 10, almostOne, time.Time{}, 15 * time.Minute},
		"expired an hour ago":  {"the hurry is over: workloads fail already, and so does the API", 10, almostOne, in(-time.Hour), 15 * time.Minute},
		"expired a minute ago": {"the pace slackens as the outage grows", 10, almostOne, in(-time.Minute), time.Minute},
		"expired":              {"the pace slackens as the outage grows, not all at once", 10, almostOne, in(-time.Second), 5 * time.Second},
		"expires now":          {"the pace slackens as the outage grows, not all at once", 10, almostOne, now, 5 * time.Second},
		"an hour left":         {"a quarter of the time that is left", 10, almostOne, in(40 * time.Minute), 10 * time.Minute},
		"a minute left":        {"a quarter of the time that is left", 10, almostOne, in(time.Minute), 15 * time.Second},
		"ten seconds left":     {"a steady pace of 5 s", 10, almostOne, in(10 * time.Second), 5 * time.Second},
		"a second left":        {"a steady pace of 5 s, past the expiry", 10, almostOne, in(time.Second), 5 * time.Second},
		"a second left, early": {"the draw can be shorter", 1, almostOne, in(time.Second), 2 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := RetryAt(now, Run{Count: test.count}, test.draw, test.expires).Sub(now).Round(time.Millisecond)
			if got != test.want {
				t.Errorf("failure %d is retried after %s, want %s: %s", test.count, got, test.want, test.why)
			}
		})
	}
}

// TestIdleRefreshToken: a refresh token that is not used dies, however long the access token lives.
func TestIdleRefreshToken(t *testing.T) {
	const day, twoWeeks = 24 * time.Hour, 14 * 24 * time.Hour
	for name, test := range map[string]struct {
		why             string
		life, idle      time.Duration
		repeats         bool
		stagnant        int
		latest, soonest time.Duration // after Obtained
	}{
		"long-lived token":    {"a quarter of the two weeks is left for an outage", 60 * day, twoWeeks, false, 0, 252 * time.Hour, 252 * time.Hour},
		"short-lived token":   {"it is refreshed long before", 2 * time.Hour, twoWeeks, false, 0, 90 * time.Minute, time.Hour},
		"the same token":      {"what is asked for after its expiry is asked for before the refresh token dies", 60 * day, twoWeeks, false, 3, 252 * time.Hour, 252 * time.Hour},
		"no refresh token":    {"there is nothing that could die", 60 * day, 0, true, 0, 61 * day, 60 * day},
		"no end":              {"most APIs document none", 60 * day, 0, false, 0, 41 * day, 36 * day},
		"token without life":  {"it is asked for again at once, as ever", 0, twoWeeks, false, 1, time.Second, time.Second},
		"idle life of 5 min.": {"the shortest that is allowed leaves some time, too", day, 5 * time.Minute, false, 0, 225 * time.Second, 225 * time.Second},
	} {
		at := Renewal{Obtained: now, Expires: now.Add(test.life), IdleLife: test.idle, Repeats: test.repeats, Stagnant: test.stagnant}.RefreshAt()
		if wait := at.Sub(now); wait > test.latest || wait < test.soonest {
			t.Errorf("%s: refreshed after %s, want %s to %s: %s", name, wait, test.soonest, test.latest, test.why)
		}
	}
}

// TestPaceOfARun: after the first minute of a run of failures, whatever is drawn, two tries are far enough apart.
func TestPaceOfARun(t *testing.T) {
	long := in(24 * time.Hour)
	tests := map[string]struct {
		why     string
		first   time.Time
		count   int
		expires time.Time
		want    time.Duration // with a draw of zero
	}{
		"unknown":                {"as in the first minute", time.Time{}, 9, long, backoffFloor},
		"just begun":             {"a blip passes in a second", now, 1, long, backoffFloor},
		"for most of a minute":   {"the first minute is free", in(time.Second - time.Minute), 9, long, backoffFloor},
		"for a minute":           {"4 a minute", in(-time.Minute), 9, long, 15 * time.Second},
		"for an hour":            {"4 a minute", in(-time.Hour), 99, time.Time{}, 15 * time.Second},
		"the last minute":        {"12 a minute", in(-time.Hour), 99, in(time.Minute), 5 * time.Second},
		"before the last minute": {"4 a minute", in(-time.Hour), 99, in(61 * time.Second), 15 * time.Second},
		"expired":                {"4 a minute: the hurry is over", in(-time.Hour), 99, in(-time.Second), 15 * time.Second},
		"begun later than now":   {"a clock was ahead, and nobody knows for how long it has failed", in(time.Hour), 9, long, 15 * time.Second},
	}
	for name, test := range tests {
		got := RetryAt(now, Run{First: test.first, Count: test.count}, 0, test.expires).Sub(now)
		if got != test.want {
			t.Errorf("%s: retried after %s, want %s: %s", name, got, test.want, test.why)
		}
	}
}

// TestProbes follows a refusal from probe to probe.
func TestProbes(t *testing.T) {
	refusal := Refusal{Run: Run{First: now, Count: 1}}
	at, scheduled := refusal.Probe(now, 0.5, time.Time{})
	if at.Sub(now) != time.Second || scheduled != 0 {
		t.Errorf("the first retry comes after %s, probes %d: what has just worked is tried again at once", at.Sub(now), scheduled)
	}
	moment := in(time.Minute)
	for i, want := range []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, time.Hour} {
		at, scheduled = Refusal{Run: refusal.Run, Probes: i}.Probe(moment, 0.5, time.Time{})
		if at.Sub(moment) != want || scheduled != i+1 {
			t.Errorf("probe %d comes after %s, want %s", scheduled, at.Sub(moment), want)
		}
		if stalled := IsStalled(scheduled); stalled != (i >= 3) { // of scheduled probes, all but the last have failed
			t.Errorf("with %d failed probes a person is asked: %t", i, stalled)
		}
		moment = at
	}
}

func TestLoginProbes(t *testing.T) {
	for count, want := range []time.Duration{LoginBar, LoginBar, time.Hour, 4 * time.Hour, 24 * time.Hour, 24 * time.Hour} {
		if got := ProbeLogin(now, count).Sub(now); got != want {
			t.Errorf("after %d refusals a login is tried after %s, want %s", count, got, want)
		}
	}
}
