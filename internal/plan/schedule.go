package plan

import "time"

// The schedule's constants; protocol and documentation name them.
const (
	defaultLeadPercent = 33
	minimumLead        = 90 * time.Second // a mounted volume follows late
	earliestShare      = 0.9              // of the time to the lead: the draw spreads credentials that were born together

	backoffFirst = 2 * time.Second
	backoffMost  = 15 * time.Minute
	backoffFloor = 500 * time.Millisecond // a draw near zero must not become a loop

	// quickRetries is how long a run of failures may be retried at the pace of back-off and jitter. After it, a
	// credential causes at most 4 requests a minute, and 12 in the last minute before its token expires.
	quickRetries = time.Minute
	steadyPace   = 15 * time.Second
	urgentPace   = 5 * time.Second

	idleReserve = 4 // a quarter of an idle refresh token's life is kept for an outage: of two weeks, a long weekend

	stagnantMost = 30 * time.Second
	// secondsFraction: expires_in counts whole seconds, so the API may hold a token that long after its time is up.
	secondsFraction = time.Second

	// clockSkew is how far the clocks of two replicas may be apart.
	clockSkew = time.Minute

	// LoginBar is how long a refused login is left alone.
	LoginBar = 20 * time.Minute
)

// LeadSpec is what the user asks for; zero values mean the default.
type LeadSpec struct {
	Before  time.Duration
	Percent int
}

// Lead is how long before its expiry a token with that life is refreshed: never more than half of the life.
func (l LeadSpec) Lead(life time.Duration) time.Duration {
	lead := max(life*defaultLeadPercent/100, minimumLead)
	switch {
	case l.Before > 0:
		lead = l.Before
	case l.Percent > 0:
		lead = life * time.Duration(l.Percent) / 100
	}
	return min(lead, life/2)
}

// Renewal is what is known of a token when its refresh is scheduled.
type Renewal struct {
	Obtained, Expires time.Time
	Lead              LeadSpec
	Draw              float64 // 0 ≤ draw < 1
	// Stagnant counts the replies in a row that brought no more life than the one before.
	Stagnant int
	// Repeats is true where the API gives the same token again until it expires, so that asking early is idle.
	Repeats bool
	// IdleLife is how long the refresh token lives that came with it, or was used for it; zero: for ever, or there is none.
	IdleLife time.Duration
	// Window is the last part of the token's life, in which alone the API gives another one; zero: it does at any time.
	Window time.Duration
}

// Windowed tells whether a token of that life has a time in which it is given again, and one in which another one is to be had.
func Windowed(life, window time.Duration) bool { return window > 0 && life > window }

// RefreshAt is when the token is due, and before that when its refresh token would die of idleness.
func (r Renewal) RefreshAt() time.Time {
	at := r.refreshAt()
	if r.IdleLife <= 0 {
		return at
	}
	return earliest(at, r.Obtained.Add(r.IdleLife-r.IdleLife/idleReserve))
}

// refreshAt is when the access token is due. One that will be given again as it is, or was, is asked for after its expiry; with
// every reply that brought nothing the wait grows: 1, 2, 4 … 30 s.
func (r Renewal) refreshAt() time.Time {
	life := r.Expires.Sub(r.Obtained)
	switch {
	case life <= 0:
		return r.Obtained.Add(stagnantWait(r.Stagnant))
	case Windowed(life, r.Window):
		return latest(r.early(), r.windowed())
	case r.Repeats || r.Stagnant > 0:
		return r.Expires.Add(secondsFraction + stagnantWait(r.Stagnant-1))
	}
	return r.early()
}

// early is the lead before the expiry, or somewhat earlier, so that those born together part.
func (r Renewal) early() time.Time {
	life := r.Expires.Sub(r.Obtained)
	return r.Obtained.Add(time.Duration(float64(life-r.Lead.Lead(life)) * (earliestShare + (1-earliestShare)*r.Draw)))
}

// windowed is soon after the window opens: late enough for a clock that differs, and spread like any other moment.
func (r Renewal) windowed() time.Time {
	return r.Expires.Add(-r.Window + time.Duration(float64(r.Window)*(1-earliestShare)*(1+r.Draw)))
}

// TooShort tells whether a token of that life, which came without a refresh token, must be taken for the rest of one that was
// given before: with less than two leads of life there is no early moment worth a call.
func TooShort(life time.Duration) bool { return life < 2*minimumLead }

// stagnantWait is 1, 2, 4 … 30 s after so many idle replies in a row, and nothing after none.
func stagnantWait(idle int) time.Duration {
	if idle < 1 {
		return 0
	}
	return doubled(time.Second, idle-1, stagnantMost)
}

// Run is a run of failures: all since the last success, or since the login or the spec changed.
type Run struct {
	First time.Time // when the first of them failed
	Count int       // of failures, this one included
}

// RetryAt returns when to try again after a failure that passes by itself: exponential back-off from 2 s to 15 min with
// full jitter, faster as a valid token approaches its expiry. After the first minute of the run two tries are at least
// 15 s apart, and in the last minute before the expiry at least 5 s.
func RetryAt(now time.Time, run Run, draw float64, expires time.Time) time.Time {
	most := doubled(backoffFirst, run.Count-1, backoffMost)
	delay := max(time.Duration(float64(most)*draw), backoffFloor)
	left := expires.Sub(now)
	switch {
	case left > 0:
		delay = min(delay, max(left/4, urgentPace))
	case !expires.IsZero(): // the pace slackens as the outage grows, not all at once when the token expires
		delay = min(delay, max(-left, urgentPace))
	}
	return now.Add(max(delay, run.leastDelay(now, left)))
}

// NotBefore returns the earliest time of the next request to the token host in a run of failures, for a try that ended
// before its own back-off could be stored: for example, because no claim could be written.
func (r Run) NotBefore(now, expires time.Time) time.Time {
	if lasted := now.Sub(r.First); r.First.IsZero() || lasted < quickRetries {
		return now
	}
	return now.Add(r.leastDelay(now, expires.Sub(now)))
}

// leastDelay returns the minimum time between two tries. A run that began later than now was stored by a clock that was
// ahead.
func (r Run) leastDelay(now time.Time, left time.Duration) time.Duration {
	lasted := now.Sub(r.First)
	switch {
	case r.First.IsZero() || lasted >= 0 && lasted < quickRetries:
		return backoffFloor
	case left > 0 && left <= time.Minute:
		return urgentPace
	}
	return steadyPace
}

// The time between probes of an input that has to change; the last value repeats.
var probes = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, SlowestProbe}

// SlowestProbe is the interval of probes of an input that has not changed for long.
const SlowestProbe = time.Hour

// stallingProbe is the number of failed probes after which a person is asked.
const stallingProbe = 3

// Refusal is a run of failures that lasts until an object or a flag changes.
type Refusal struct {
	Run
	Probes int // scheduled since the run began
}

// Probe returns when to try again after such a failure, and the number of probes scheduled by then. In the first minute
// of the run the retries are those of any failure: a first refusal is not final for a login that has just worked, or
// whose input has just changed.
func (r Refusal) Probe(now time.Time, draw float64, expires time.Time) (at time.Time, scheduled int) {
	if lasted := now.Sub(r.First); r.Probes == 0 && lasted >= 0 && lasted < quickRetries {
		return RetryAt(now, r.Run, draw, expires), 0
	}
	scheduled = r.Probes + 1
	return now.Add(probes[min(scheduled, len(probes))-1]), scheduled
}

// IsStalled reports whether that many scheduled probes mean that a person is asked: all but the last of them have
// failed.
func IsStalled(scheduled int) bool { return scheduled > stallingProbe }

// loginProbes are the waits after a login was rejected without a reason, as after a rejected password.
var loginProbes = []time.Duration{LoginBar, time.Hour, 4 * time.Hour, 24 * time.Hour}

// ProbeLogin returns when to retry a login that was rejected for an unknown reason. A probe counts as a failed login.
func ProbeLogin(now time.Time, count int) time.Time {
	return now.Add(loginProbes[max(0, min(count, len(loginProbes))-1)])
}

// doubled is first times two to the power of times, and most at the most.
func doubled(first time.Duration, times int, most time.Duration) time.Duration {
	for range times {
		first *= 2
		if first >= most {
			return most
		}
	}
	return first
}
