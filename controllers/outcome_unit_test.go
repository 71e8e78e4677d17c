package controllers

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/plan"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// reply is a granted answer: what API, life and refresh token; the access token is a new one.
func reply(life time.Duration, refresh string) provider.Answer {
	return provider.Answer{Verdict: token.Granted, Set: token.Set{
		Access: token.NewSecret("a-new-access-token"), Refresh: token.NewSecret(refresh), Type: "bearer", Scope: "api", Life: life,
	}}
}

// sameToken is a granted answer that repeats the stored access token.
func sameToken(life time.Duration, refresh string) provider.Answer {
	answer := reply(life, refresh)
	answer.Set.Access = token.NewSecret(sceneAccess)
	return answer
}

func TestUnitGrantedSchedule(t *testing.T) {
	tests := map[string]struct {
		why      string
		given    func(*scene)
		grant    token.Grant
		answer   provider.Answer
		due      time.Duration // after the request was sent, to the second; the draw is one half
		repeats  bool
		stagnant int
	}{
		"rotation": {
			"a third of the life before its end, drawn", nil, token.RefreshToken, reply(30*time.Minute, "new"), 1146 * time.Second, false, 0,
		},
		"a lead of ten minutes": {
			"the user's word", func(s *scene) { s.cred.Spec.Refresh.Before = &metav1.Duration{Duration: 10 * time.Minute} },
			token.RefreshToken, reply(30*time.Minute, "new"), 19 * time.Minute, false, 0,
		},
		"a lead of ten percent": {
			"the user's word", func(s *scene) { ten := int32(10); s.cred.Spec.Refresh.BeforePercentage = &ten },
			token.RefreshToken, reply(30*time.Minute, "new"), 1539 * time.Second, false, 0,
		},
		"no refresh token in the reply": {
			"the old one goes on, so nothing repeats", nil, token.RefreshToken, reply(30*time.Minute, ""), 1146 * time.Second, false, 0,
		},
		"a login without a refresh token": {
			"an early try shows what the API does", nil, token.Password, reply(24*time.Hour, ""), 54994 * time.Second, false, 0,
		},
		"the same token by a login": {
			"it lives no longer for being given again: ask after the end that it has", nil, token.Password, sameToken(8*time.Hour, ""), 20*time.Minute + time.Second, true, 1,
		},
		"a new token, where the API repeats": {
			"it will repeat this one too", func(s *scene) { s.record.Repeats, s.record.Stagnant = true, 1 },
			token.Password, reply(24*time.Hour, ""), 24*time.Hour + time.Second, true, 0,
		},
		"a new token with a refresh token, where the API repeated": {
			"a chain needs no repetition", func(s *scene) { s.record.Repeats, s.record.Stagnant = true, 3 },
			token.Password, reply(30*time.Minute, "new"), 1146 * time.Second, false, 0,
		},
		"the rest of a token": {
			"less than two leads: somebody else obtained it", nil, token.Password, reply(2*time.Minute, ""), 2*time.Minute + time.Second, true, 0,
		},
		"a short token with a refresh token": {
			"a chain is refreshed early, however short", nil, token.Password, reply(2*time.Minute, "new"), 57 * time.Second, false, 0,
		},
		"the same token by a refresh": {
			"it brought nothing: ask after its expiry", nil, token.RefreshToken, sameToken(20*time.Minute, "new"), 20*time.Minute + time.Second, false, 1,
		},
		"the same token again and again": {
			"the wait grows", func(s *scene) { s.record.Stagnant = 3 }, token.RefreshToken, sameToken(time.Second, "new"), 6 * time.Second, false, 4,
		},
		"no life": {
			"asked again after a second", nil, token.RefreshToken, reply(0, "new"), time.Second, false, 1,
		},
		"no life, again and again": {
			"30 s at most", func(s *scene) { s.record.Stagnant = 30 }, token.Password, reply(0, ""), 30 * time.Second, true, 31,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			if test.given != nil {
				test.given(s)
			}
			s.answered(test.grant, test.answer)
			got := s.record
			if due := got.Token.Refresh.Sub(start).Round(time.Second); due != test.due {
				t.Errorf("due after %s, want %s: %s", due, test.due, test.why)
			}
			if got.Repeats != test.repeats || got.Stagnant != test.stagnant {
				t.Errorf("repeats %t, stagnant %d, want %t, %d: %s", got.Repeats, got.Stagnant, test.repeats, test.stagnant, test.why)
			}
		})
	}
}

func TestUnitGrantedToken(t *testing.T) {
	tests := map[string]struct {
		why   string
		given func(*scene)
		grant token.Grant
		reply func(*token.Set)
		check func(custody.State) any
		want  any
	}{
		"life": {
			"it counts from before the request was sent", nil, token.RefreshToken, nil,
			func(s custody.State) any { return []time.Time{s.Token.Obtained, s.Token.Expires} }, []time.Time{start, start.Add(30 * time.Minute)},
		},
		"life that is not told": {
			"an hour", nil, token.RefreshToken, func(s *token.Set) { s.Life, s.LifeUnknown = 0, true },
			func(s custody.State) any { return s.Token.Expires }, start.Add(time.Hour),
		},
		"life that is not told, assumed": {
			"the user knows the API",
			func(s *scene) { s.cred.Spec.Refresh.AssumedLifetime = &metav1.Duration{Duration: 10 * time.Minute} },
			token.RefreshToken, func(s *token.Set) { s.Life, s.LifeUnknown = 0, true },
			func(s custody.State) any { return s.Token.Expires }, start.Add(10 * time.Minute),
		},
		"life of zero, told": {
			"that is no reason to assume one", nil, token.RefreshToken, func(s *token.Set) { s.Life = 0 },
			func(s custody.State) any { return s.Token.Expires }, start,
		},
		"life of zero, which the API does not document": {
			"no server issues a token that has expired", nil, token.RefreshToken,
			func(s *token.Set) { s.Life, s.LifeUnknown, s.LifeZero = 0, true, true },
			func(s custody.State) any { return s.Token.Expires }, start.Add(time.Hour),
		},
		"life of zero of the same token": {
			"it has none left, and none is assumed", nil, token.RefreshToken,
			func(s *token.Set) {
				s.Access, s.Life, s.LifeUnknown, s.LifeZero = token.NewSecret(sceneAccess), 0, true, true
			},
			func(s custody.State) any { return s.Token.Expires.After(start) }, false,
		},
		"a scope that repeats the token": {
			"everybody who may view the object sees the status", nil, token.RefreshToken,
			func(s *token.Set) { s.Scope = "read " + s.Access.Reveal() },
			func(s custody.State) any { return s.Token.Scope }, "",
		},
		"an identity that repeats secrets": {
			"likewise, in whatever form", nil, token.RefreshToken,
			func(s *token.Set) {
				s.Refresh = token.NewSecret("the-next-refresh-token")
				s.Identity = token.Identity{
					RetailerID: url.QueryEscape(s.Refresh.Reveal()), FirstName: s.Access.Reveal(), LastName: "Commerce",
					Roles: []string{base64.StdEncoding.EncodeToString([]byte(s.Access.Reveal())), "RETAILER"},
				}
			},
			func(s custody.State) any { return s.Token.Identity }, token.Identity{LastName: "Commerce", Roles: []string{"RETAILER"}},
		},
		"an identity with line ends": {
			"consumers put it into headers and files", nil, token.RefreshToken,
			func(s *token.Set) { s.Identity = token.Identity{RetailerID: "5\r\nX-Admin: yes\x1b[2J"} },
			func(s custody.State) any { return s.Token.Identity.RetailerID }, "5  X-Admin: yes[2J",
		},
		"life in milliseconds": {
			"the user knows better",
			func(s *scene) { s.cred.Spec.Refresh.MaximumLifetime = &metav1.Duration{Duration: time.Hour} },
			token.RefreshToken, func(s *token.Set) { s.Life = 1000 * time.Hour },
			func(s custody.State) any { return s.Token.Expires }, start.Add(time.Hour),
		},
		"life below the cap": {
			"it caps, and adds nothing",
			func(s *scene) { s.cred.Spec.Refresh.MaximumLifetime = &metav1.Duration{Duration: time.Hour} },
			token.RefreshToken, nil,
			func(s custody.State) any { return s.Token.Expires }, start.Add(30 * time.Minute),
		},
		"life of a JWT": {
			"it replaces what the reply says",
			func(s *scene) { s.cred.Spec.Refresh.LifetimeFrom = v1alpha1.LifetimeFromJWT },
			token.RefreshToken, func(s *token.Set) { s.Life, s.LifeUnknown, s.JWTLife = 0, true, time.Minute },
			func(s custody.State) any { return s.Token.Expires }, start.Add(time.Minute),
		},
		"life of a JWT, not asked for": {
			"a claim is no proof",
			nil, token.RefreshToken, func(s *token.Set) { s.JWTLife = time.Minute },
			func(s custody.State) any { return s.Token.Expires }, start.Add(30 * time.Minute),
		},
		"life of a JWT that is no JWT": {
			"the reply says it too",
			func(s *scene) { s.cred.Spec.Refresh.LifetimeFrom = v1alpha1.LifetimeFromJWT },
			token.RefreshToken, nil,
			func(s custody.State) any { return s.Token.Expires }, start.Add(30 * time.Minute),
		},
		"life of a JWT that was issued before": {
			"it ends when it says, and not a life after the reply",
			func(s *scene) { s.cred.Spec.Refresh.LifetimeFrom = v1alpha1.LifetimeFromJWT },
			token.RefreshToken, func(s *token.Set) { s.JWTLife, s.JWTAge = time.Hour, 40*time.Minute },
			func(s custody.State) any { return s.Token.Expires }, start.Add(20 * time.Minute),
		},
		"life of a JWT, capped": {
			"the cap is for every source",
			func(s *scene) {
				s.cred.Spec.Refresh.LifetimeFrom = v1alpha1.LifetimeFromJWT
				s.cred.Spec.Refresh.MaximumLifetime = &metav1.Duration{Duration: 5 * time.Minute}
			},
			token.RefreshToken, func(s *token.Set) { s.JWTLife = 24 * time.Hour },
			func(s custody.State) any { return s.Token.Expires }, start.Add(5 * time.Minute),
		},
		"serial": {"one more", nil, token.RefreshToken, nil, func(s custody.State) any { return s.Serial }, int64(18)},
		"serial, the state lost": {
			"above what the workload Secret and the status remember",
			func(s *scene) {
				s.fresh()
				s.workload.serial, s.cred.Status.Token = 20, &v1alpha1.TokenStatus{Serial: 21}
			},
			token.Password, nil, func(s custody.State) any { return s.Serial }, int64(22),
		},
		"a password's user":  {"so that another user makes the token stale", nil, token.Password, nil, func(s custody.State) any { return s.Token.User != "" }, true},
		"nobody's user":      {"a login without a user name continues any chain", func(s *scene) { s.seeded() }, token.RefreshToken, nil, func(s custody.State) any { return s.Token.User }, ""},
		"the refresh token":  {"the successor", nil, token.RefreshToken, nil, func(s custody.State) any { return s.Chain.Refresh.Reveal() }, "new"},
		"no refresh token":   {"the old one goes on", nil, token.RefreshToken, func(s *token.Set) { s.Refresh = token.Secret{} }, func(s custody.State) any { return s.Chain.Refresh.Reveal() }, sceneRefresh},
		"what the API tells": {"kept for templates", nil, token.RefreshToken, func(s *token.Set) { s.Extra = map[string]string{"tenant": "ACME"} }, func(s custody.State) any { return s.Token.Extra["tenant"] }, "ACME"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			if test.given != nil {
				test.given(s)
			}
			answer := reply(30*time.Minute, "new")
			if test.reply != nil {
				test.reply(&answer.Set)
			}
			s.answered(test.grant, answer)
			if diff := cmp.Diff(test.want, test.check(s.record.State)); diff != "" {
				t.Errorf("%s (-want +got)\n%s", test.why, diff)
			}
		})
	}
}

// TestUnitSeedThatStays: a server that never gives another refresh token (RFC 6749 section 6 allows it) is asked with the seed for
// ever.
func TestUnitSeedThatStays(t *testing.T) {
	s := newScene(t)
	s.seeded()
	s.record.State = custody.State{Salt: "salt"}
	try, err := s.r.prepare(s.observation, plan.BySeed)
	if err != nil {
		t.Fatal(err)
	}
	try.answer, try.sent = reply(30*time.Minute, ""), s.now
	s.record = &custody.Record{State: s.r.result(s.observation, try).Apply(s.record.Claimed(try.claim, ""))}
	s.later(20 * time.Minute)
	if next := s.next(); next.Means != plan.ByRefresh || s.record.Chain.Refresh.Reveal() != sceneSeed {
		t.Errorf("when the token is due: %+v", next)
	}
}

// TestUnitResultsAreApplied: a commit that is made again stores the same, and one that is merged starts from what is stored then.
func TestUnitResultsAreApplied(t *testing.T) {
	for name, answer := range map[string]provider.Answer{"granted": reply(time.Hour, "new"), "lost": lostReply, "refused": deadToken} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			draws := 0.0
			s.r.Draw = func() float64 { draws += 0.1; return draws }
			try := s.attempt(token.RefreshToken, answer)
			result, claimed := s.r.result(s.observation, try), s.record.Claimed(try.claim, "")
			if diff := cmp.Diff(result.Apply(claimed), result.Apply(claimed)); diff != "" {
				t.Errorf("applied twice (-first +second)\n%s", diff)
			}
			changed := claimed
			changed.Serial, changed.Rotate = 40, "meanwhile"
			if got := result.Apply(changed); got.Serial < 40 || got.Rotate != "meanwhile" {
				t.Errorf("what is stored by then is lost: serial %d, rotate %q", got.Serial, got.Rotate)
			}
		})
	}
}

// refusedFor is a run of refusals that began that long ago, with so many probes scheduled.
func refusedFor(ago time.Duration, probes int) func(*scene) {
	return func(s *scene) {
		s.record.Failure = &custody.Failure{
			Count: probes + 1, Tries: probes + 1, First: start.Add(-ago), Last: start, Login: s.attempted(), Class: failure.Input, Probes: probes,
		}
	}
}

func TestUnitFailure(t *testing.T) {
	waiting := tooMany
	waiting.RetryAfter = 10 * time.Minute
	tests := map[string]struct {
		why    string
		given  func(*scene)
		grant  token.Grant
		answer provider.Answer
		reason string
		retry  time.Duration // zero: never by itself
		barred bool
	}{
		"no connection":      {"backs off", nil, token.RefreshToken, unreachable, v1alpha1.ReasonProviderUnavailable, time.Second, false},
		"no connection, 4th": {"backs off further", func(s *scene) { s.record.Failure = &custody.Failure{Count: 3, Login: s.attempted()} }, token.RefreshToken, unreachable, v1alpha1.ReasonProviderUnavailable, 8 * time.Second, false},
		"the fence":          {"this process was held up, not the API", nil, token.RefreshToken, refused(token.Unsent, 0, "", "this process was held up"), v1alpha1.ReasonProviderUnavailable, time.Second, false},
		"reply lost":         {"the refresh token may be spent", nil, token.RefreshToken, lostReply, v1alpha1.ReasonReplyLost, time.Second, false},
		"a login's reply lost": {
			"nothing was spent", nil, token.Password, lostReply, v1alpha1.ReasonProviderUnavailable, time.Second, false,
		},
		"server failure":             {"the refresh token may be spent", nil, token.RefreshToken, refused(token.Unknown, 502, "", ""), v1alpha1.ReasonReplyLost, time.Second, false},
		"unreadable":                 {"the refresh token may be spent, and that is what counts", nil, token.RefreshToken, unreadable, v1alpha1.ReasonReplyLost, time.Second, false},
		"a login's reply unreadable": {"nothing was spent", nil, token.Password, unreadable, v1alpha1.ReasonInvalidReply, time.Second, false},
		"too many":                   {"backs off", nil, token.RefreshToken, tooMany, v1alpha1.ReasonRateLimited, time.Second, false},
		"too many, with a time":      {"Retry-After is honoured", nil, token.RefreshToken, waiting, v1alpha1.ReasonRateLimited, 10 * time.Minute, false},
		"unavailable":                {"the API says so", nil, token.RefreshToken, refused(token.TryLater, 503, "", ""), v1alpha1.ReasonProviderUnavailable, time.Second, false},
		"refresh token refused":      {"the next way is open at once", nil, token.RefreshToken, deadToken, v1alpha1.ReasonRefreshTokenRejected, 0, false},
		"wrong client":               {"it has just worked", nil, token.RefreshToken, wrongClient, v1alpha1.ReasonCredentialsRejected, time.Second, false},
		"wrong client, for a minute": {"it is probed", refusedFor(time.Minute, 0), token.RefreshToken, wrongClient, v1alpha1.ReasonCredentialsRejected, time.Minute, false},
		"wrong client, one probe":    {"the probes become rarer", refusedFor(2*time.Minute, 1), token.RefreshToken, wrongClient, v1alpha1.ReasonCredentialsRejected, 5 * time.Minute, false},
		"wrong client, for a day":    {"hourly, without an end", refusedFor(24*time.Hour, 30), token.RefreshToken, wrongClient, v1alpha1.ReasonCredentialsRejected, time.Hour, false},
		"wrong client, corrected": {"the input has just changed", func(s *scene) {
			refusedFor(24*time.Hour, 30)(s)
			s.login.ClientSecret = token.NewSecret("another-secret")
		}, token.RefreshToken, wrongClient, v1alpha1.ReasonCredentialsRejected, time.Second, false},
		"declined":               {"the next way is open at once", nil, token.RefreshToken, surprising, v1alpha1.ReasonCredentialsRejected, 0, false},
		"a login declined":       {"a probe counts as a failed login", nil, token.Password, surprising, v1alpha1.ReasonCredentialsRejected, plan.LoginBar, false},
		"a login declined again": {"the probes become rarer", func(s *scene) { s.answered(token.Password, surprising) }, token.Password, surprising, v1alpha1.ReasonCredentialsRejected, time.Hour, false},
		"redirect":               {"it may answer tomorrow", nil, token.RefreshToken, redirecting, v1alpha1.ReasonEndpointNotAllowed, time.Second, false},
		"lost, Retry": {"the server has a grace window", func(s *scene) {
			s.cred.Spec.Refresh.OnLostReply = v1alpha1.LostReplyRetry
			s.record.Failure = &custody.Failure{Count: 30, First: start.Add(-time.Hour), Login: s.attempted()}
		}, token.RefreshToken, lostReply, v1alpha1.ReasonReplyLost, 0, false},
		"two classes in turn": {"the run goes on", func(s *scene) {
			refusedFor(time.Hour, 0)(s)
			s.record.Failure.Class = failure.Input
			s.r.Draw = func() float64 { return 0 }
		}, token.RefreshToken, unreachable, v1alpha1.ReasonProviderUnavailable, 15 * time.Second, false},
		"wrong password": {"left alone for 20 minutes", nil, token.Password, wrongLogin, v1alpha1.ReasonCredentialsRejected, plan.LoginBar, true},
		"locked":         {"left alone for 20 minutes", nil, token.Password, lockedLogin, v1alpha1.ReasonLoginLocked, plan.LoginBar, true},
		"journal":        {"nothing is spent whose reply could not be written down", nil, token.RefreshToken, noDisk, v1alpha1.ReasonJournalUnwritable, time.Second, false},
		"no connection, expiry nears": {"a steady pace", func(s *scene) {
			s.record.Failure = &custody.Failure{Count: 30, Login: s.attempted()}
			s.record.Token.Expires = start.Add(8 * time.Second)
		}, token.RefreshToken, unreachable, v1alpha1.ReasonProviderUnavailable, 5 * time.Second, false},
		"no connection, nothing lives": {"15 minutes at most", func(s *scene) {
			s.record.Failure = &custody.Failure{Count: 30, Login: s.attempted()}
			s.record.Token = nil
		}, token.RefreshToken, unreachable, v1alpha1.ReasonProviderUnavailable, 450 * time.Second, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			if test.given != nil {
				test.given(s)
			}
			got := s.r.failure(s.observation, s.attempt(test.grant, test.answer))
			want := start.Add(test.retry)
			if got.Reason != test.reason || !got.RetryAt.Equal(want) || got.Barred != test.barred {
				t.Errorf("%s, retried at %s, barred %t; want %s, %s, %t: %s",
					got.Reason, got.RetryAt, got.Barred, test.reason, want, test.barred, test.why)
			}
			if got.Verdict != test.answer.Verdict || got.Login != s.attempted() || !got.Last.Equal(start) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestUnitGuardedLoginWaitsAsItIsTold: the guard knows of the other tries with that login.
func TestUnitGuardedLoginWaitsAsItIsTold(t *testing.T) {
	for name, answer := range map[string]provider.Answer{"refused by the API": wrongLogin, "refused by the guard": exhausted, "in use": inUse} {
		s := newScene(t)
		try := s.attempt(token.Password, answer)
		try.retryAt = start.Add(4 * time.Hour)
		if got := s.r.failure(s.observation, try); !got.RetryAt.Equal(try.retryAt) || !got.Barred {
			t.Errorf("%s: retried at %s, barred %t", name, got.RetryAt, got.Barred)
		}
	}
}

// TestUnitGuardDoesNotHideTheCause: replies were lost before, and that is what a person has to know.
func TestUnitGuardDoesNotHideTheCause(t *testing.T) {
	s := newScene(t)
	s.fresh()
	s.answered(token.Password, lostReply)
	before := s.record.Failure
	try := s.attempt(token.Password, exhausted)
	try.retryAt = start.Add(20 * time.Minute)
	got := s.r.failure(s.observation, try)
	if got.Reason != before.Reason || got.Message != before.Message || !got.RetryAt.Equal(try.retryAt) {
		t.Errorf("%+v, want the cause of %+v", got, before)
	}
}

func TestUnitFailureMessage(t *testing.T) {
	tests := map[string]struct {
		why    string
		grant  token.Grant
		answer provider.Answer
		want   string
	}{
		"all of it":   {"in the API's own words", token.RefreshToken, deadToken, "refresh_token of HOST: HTTP 400: invalid_grant: Invalid refresh token"},
		"no reply":    {"there is no status", token.RefreshToken, unreachable, "refresh_token of HOST: connection refused"},
		"no words":    {"the status is all there is", token.Password, tooMany, "password of HOST: HTTP 429"},
		"only a code": {"the code is all there is", token.Password, refused(token.RefusedIntact, 401, "invalid_client", ""), "password of HOST: HTTP 401: invalid_client"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			want := strings.ReplaceAll(test.want, "HOST", "acme.sandbox.api.fluentretail.com")
			for range 2 {
				if got := s.r.failure(s.observation, s.attempt(test.grant, test.answer)).Message; got != want {
					t.Errorf("%q, want %q: %s", got, want, test.why)
				}
				s.later(time.Hour) // the message stays while the situation does
			}
		})
	}
}

func TestUnitOrphaned(t *testing.T) {
	tests := map[string]struct {
		why    string
		given  func(*scene)
		grant  token.Grant
		reason string
		barred bool
	}{
		"a refresh token": {"it may be spent", nil, token.RefreshToken, v1alpha1.ReasonReplyLost, false},
		"a password":      {"nothing was spent", nil, token.Password, v1alpha1.ReasonProviderUnavailable, false},
		"a password, twice in a row": {
			"a crash loop must not lock the user", func(s *scene) { s.record.Failure = &custody.Failure{Count: 1, Verdict: token.Unknown} },
			token.Password, v1alpha1.ReasonProviderUnavailable, true,
		},
		"a password, after another failure": {
			"the API answered since", func(s *scene) { s.record.Failure = &custody.Failure{Count: 1, Verdict: token.TryLater} },
			token.Password, v1alpha1.ReasonProviderUnavailable, false,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			if test.given != nil {
				test.given(s)
			}
			got := s.r.orphaned(s.observation, custody.Claim{Grant: test.grant})
			if got.Reason != test.reason || got.Barred != test.barred || got.Verdict != token.Unknown || got.RetryAt.IsZero() {
				t.Errorf("%+v, want %s, barred %t: %s", got, test.reason, test.barred, test.why)
			}
		})
	}
}

// TestUnitEveryVerdictHasAResult: whatever an exchange ends in, the state is left with no claim, and with a token or a failure.
func TestUnitEveryVerdictHasAResult(t *testing.T) {
	for _, verdict := range token.Verdicts() {
		for _, grant := range []token.Grant{token.Password, token.RefreshToken, token.AuthorizationCode, token.ClientCredentials} {
			t.Run(fmt.Sprintf("%s/%s", grant, verdict), func(t *testing.T) {
				s := newScene(t)
				answer := provider.Answer{Verdict: verdict}
				if verdict == token.Granted {
					answer = reply(time.Hour, "new")
				}
				s.answered(grant, answer)
				if s.record.Claim != nil || s.record.LastClaim != "claim" {
					t.Errorf("the claim is left behind: %+v", s.record.Claim)
				}
				if (verdict == token.Granted) != (s.record.Failure == nil) || s.record.Token == nil {
					t.Errorf("the failure is %+v", s.record.Failure)
				}
			})
		}
	}
}
