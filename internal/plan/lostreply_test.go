package plan

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// lost makes the stored refresh token one that was presented once with no reply; the token it belongs to has ten minutes left.
func lost(policy Policy) func(*Observed) {
	return func(o *Observed) { due(o); o.Chain.Presented, o.OnLostReply = 1, policy }
}

// barred makes the password one that was refused, with an hour to go before it is tried again.
func barred(o *Observed) {
	o.Login.Password, o.Failure = true, &Failure{RetryAt: in(time.Hour), Barred: true, Stalled: true}
}

// again is one more presentation, late is the wait for it: a minute before the expiry of a token that lives for half an hour.
var (
	presents    = Step{Do: Exchange, Why: Due, Means: ByRefresh}
	logsIn      = Step{Do: Exchange, Why: Due, Means: ByPassword}
	waitsLate   = Step{Do: Wait, Why: ReplyLost, At: in(9 * time.Minute)}
	waitsPerson = Step{Do: Wait, Why: NoMeans, At: in(10 * time.Minute)}
	stops       = Step{Do: Wait, Why: Stopped, At: in(10 * time.Minute)}
)

// TestLostReply is the whole table of what is done about a lost reply: policy × presentations × login.
func TestLostReply(t *testing.T) {
	tests := map[string]struct {
		why       string
		policy    Policy
		presented int
		password  bool
		want      Step
	}{
		"Auto, password": {
			"a new family, and the token that may be spent is never presented again", Auto, 1, true, logsIn,
		},
		"Auto, none": {
			"one more presentation, late, while the published token still has a little life", Auto, 1, false, waitsLate,
		},
		"Auto, twice, password": {"there is still the login", Auto, 2, true, logsIn},
		"Auto, twice, none":     {"a token is presented at most twice, ever", Auto, 2, false, waitsPerson},
		"unset, password":       {"an object from before the default is Auto", "", 1, true, logsIn},
		"unset, none":           {"an object from before the default is Auto", "", 1, false, waitsLate},
		"Retry, password": {
			"the server has a grace window, which is cheaper than a login", Retry, 1, true, presents,
		},
		"Retry, none":              {"at once: the grace window is short", Retry, 1, false, presents},
		"Retry, twice, password":   {"presented twice, so the login it is", Retry, 2, true, logsIn},
		"Retry, twice, none":       {"a token is presented at most twice, ever", Retry, 2, false, waitsPerson},
		"Reauthenticate, password": {"a new family at once", Reauthenticate, 1, true, logsIn},
		"Reauthenticate, none":     {"never presented again; a person is asked", Reauthenticate, 1, false, waitsPerson},
		"Reauthenticate, twice":    {"never presented again; a person is asked", Reauthenticate, 2, false, waitsPerson},
		"Stop, password":           {"a person is asked although the login could", Stop, 1, true, stops},
		"Stop, none":               {"a person is asked", Stop, 1, false, stops},
		"Stop, twice":              {"a person is asked", Stop, 2, false, stops},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			seen := healthy()
			lost(test.policy)(&seen)
			seen.Chain.Presented, seen.Login.Password = test.presented, test.password
			if diff := cmp.Diff(test.want, Next(seen, now)); diff != "" {
				t.Errorf("%s:\n(-want +got)\n%s", test.why, diff)
			}
		})
	}
}

func TestLostReplyInItsCircumstances(t *testing.T) {
	tests := map[string]decision{
		"not due yet": {
			why:  "a doubtful chain is not left to age until it is due",
			seen: func(o *Observed) { lost(Retry)(o); o.Token = healthy().Token },
			want: presents,
		},
		"Auto, the late moment": {
			why:  "a minute is left",
			seen: func(o *Observed) { lost(Auto)(o); o.Token.Expires = in(time.Minute) },
			want: presents,
		},
		"Auto, a short token": {
			why: "a tenth of a short life is kept",
			seen: func(o *Observed) {
				lost(Auto)(o)
				o.Token.Obtained, o.Token.Expires = in(-40*time.Second), in(20*time.Second)
			},
			want: Step{Do: Wait, Why: ReplyLost, At: in(14 * time.Second)},
		},
		"Auto, expired": {
			why:  "there is nothing left to lose",
			seen: func(o *Observed) { lost(Auto)(o); expired(o); o.Chain.Presented = 1 },
			want: presents,
		},
		"Auto, a client": {
			why:  "client credentials renew without a person too",
			seen: func(o *Observed) { lost(Auto)(o); o.Login.Client = true },
			want: Step{Do: Exchange, Why: Due, Means: ByClient},
		},
		"Stop, asked for, password": {
			why:  "the rotate annotation is a person's word: log in",
			seen: func(o *Observed) { lost(Stop)(o); o.Rotate, o.Login.Password = true, true },
			want: logsIn,
		},
		"Stop, asked for, none": {
			why:  "the annotation does not bring the token back: it is not presented again",
			seen: func(o *Observed) { lost(Stop)(o); o.Rotate = true },
			want: waitsPerson,
		},
		"Reauthenticate, asked for, none": {
			why:  "the annotation does not bring the token back: it is not presented again",
			seen: func(o *Observed) { lost(Reauthenticate)(o); o.Rotate = true },
			want: waitsPerson,
		},
		"Auto, asked for, none": {
			why:  "the late moment is the best there is, and asking does not make it better",
			seen: func(o *Observed) { lost(Auto)(o); o.Rotate = true },
			want: waitsLate,
		},
		"Auto, a refused login": {
			why:  "the better way is closed, so the late presentation is what is left",
			seen: func(o *Observed) { lost(Auto)(o); barred(o) },
			want: waitsLate,
		},
		"Auto, a refused login, the late moment": {
			why:  "the login's bar does not hold for a refresh token",
			seen: func(o *Observed) { lost(Auto)(o); barred(o); o.Token.Expires = in(time.Minute) },
			want: presents,
		},
		"Auto, a refused login, the bar lifted": {
			why:  "a user that was only locked can log in by now, and that is better than a doubtful token",
			seen: func(o *Observed) { lost(Auto)(o); barred(o); o.Failure.RetryAt = now },
			want: logsIn,
		},
		"Auto, a refused login, presented twice": {
			why:  "a token is presented at most twice, ever",
			seen: func(o *Observed) { lost(Auto)(o); barred(o); o.Chain.Presented = 2 },
			want: Step{Do: Wait, Why: Refused, At: in(10 * time.Minute)},
		},
		"Reauthenticate, a refused login": {
			why:  "never presented again",
			seen: func(o *Observed) { lost(Reauthenticate)(o); barred(o) },
			want: Step{Do: Wait, Why: Refused, At: in(10 * time.Minute)},
		},
		"Retry, another login": {
			why:  "the token belongs to the login that was replaced",
			seen: func(o *Observed) { lost(Retry)(o); o.Token.Stale, o.Login.Password = true, true },
			want: logsIn,
		},
		"Auto, another login, none": {
			why:  "the token belongs to the login that was replaced",
			seen: func(o *Observed) { lost(Auto)(o); o.Token.Stale = true },
			want: waitsPerson,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			seen := healthy()
			test.seen(&seen)
			if diff := cmp.Diff(test.want, Next(seen, now)); diff != "" {
				t.Errorf("%s:\n(-want +got)\n%s", test.why, diff)
			}
		})
	}
}

// TestDeclined: the API refused the refresh token, and nobody knows what its reason says about it.
func TestDeclined(t *testing.T) {
	declined := func(policy Policy, password bool, by func(*Observed)) func(*Observed) {
		return func(o *Observed) {
			lost(policy)(o)
			o.Chain.Declined, o.Login.Password, o.Failure = true, password, &Failure{RetryAt: now}
			if by != nil {
				by(o)
			}
		}
	}
	mended := func(o *Observed) { o.Mended, o.Failure = true, nil }
	rotate := func(o *Observed) { o.Rotate = true }
	twice := func(o *Observed) { mended(o); o.Chain.Presented = 2 }
	barred := func(o *Observed) { o.Failure = &Failure{RetryAt: in(20 * time.Minute), Barred: true, Stalled: true} }
	redirected := func(o *Observed) { o.Failure.RetryAt = time.Time{} }
	asks := Step{Do: Wait, Why: Refused, At: in(10 * time.Minute)}
	tests := map[string]decision{
		"password":                  {why: "a new family; the token is not presented again", seen: declined(Auto, true, nil), want: logsIn},
		"none":                      {why: "as it was it would be refused again, so a person is asked", seen: declined(Auto, false, nil), want: asks},
		"none, mended":              {why: "a person has changed the request, and the token may be as good as before", seen: declined(Auto, false, mended), want: presents},
		"none, asked for":           {why: "a person may have mended what is at the API", seen: declined(Auto, false, rotate), want: presents},
		"none, mended, twice":       {why: "a token is presented at most twice, ever", seen: declined(Auto, false, twice), want: waitsPerson},
		"password, mended":          {why: "the better way is the login", seen: declined(Auto, true, mended), want: logsIn},
		"Retry, password":           {why: "a grace window is for replies that were lost", seen: declined(Retry, true, nil), want: logsIn},
		"Retry, none":               {why: "a grace window is for replies that were lost", seen: declined(Retry, false, nil), want: asks},
		"Reauthenticate, password":  {why: "that is what it says", seen: declined(Reauthenticate, true, nil), want: logsIn},
		"Stop, password":            {why: "a person wants to decide", seen: declined(Stop, true, nil), want: asks},
		"Stop, password, asked for": {why: "a person has decided", seen: declined(Stop, true, rotate), want: logsIn},
		"Stop, none, mended":        {why: "a person has decided", seen: declined(Stop, false, mended), want: presents},
		"the login was refused":     {why: "the token was refused too, and not lost: a late try is for lost ones", seen: declined(Auto, true, barred), want: asks},
		"a redirect, password":      {why: "it would go to the same endpoint", seen: declined(Auto, true, redirected), want: asks},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			seen := healthy()
			test.seen(&seen)
			if diff := cmp.Diff(test.want, Next(seen, now)); diff != "" {
				t.Errorf("%s:\n(-want +got)\n%s", test.why, diff)
			}
		})
	}
}
