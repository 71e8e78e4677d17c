package controllers

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/condition"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/plan"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// TestUnitEveryObstacleHasAClass reads the reasons of all obstacles out of the source: a new one has to be classified.
func TestUnitEveryObstacleHasAClass(t *testing.T) {
	reasons := map[string]bool{}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	call := regexp.MustCompile(`(?:obstruct\(|obstacle\{)v1alpha1\.Reason(\w+)`)
	for _, file := range files {
		if file.IsDir() {
			continue
		}
		source, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range call.FindAllSubmatch(source, -1) {
			reasons[string(match[1])] = true
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(reasons)), slices.Sorted(maps.Keys(obstacleCauses))); diff != "" {
		t.Errorf("(-in the source +classified)\n%s", diff)
	}
}

// TestUnitEveryGuardRefusalHasAClass: a refusal of the login guard without a class would be retried with back-off.
func TestUnitEveryGuardRefusalHasAClass(t *testing.T) {
	whys := slices.Sorted(maps.Keys(guardReasons))
	var classified []string
	for why := range guardCauses {
		classified = append(classified, string(why))
	}
	slices.Sort(classified)
	if diff := cmp.Diff(whys, classified); diff != "" {
		t.Errorf("(-with a reason +with a class)\n%s", diff)
	}
}

// TestUnitClassesAreThoseOfTheirReasons: what the documentation and kubectl fluent say about a reason is what the operator does.
func TestUnitClassesAreThoseOfTheirReasons(t *testing.T) {
	mustBeDocumented := func(where, reason string, class failure.Class) {
		t.Helper()
		classes, known := condition.Classes(reason)
		if !known || class != "" && !slices.Contains(classes, class) {
			t.Errorf("%s: %s has the class %q, and is documented with %v", where, reason, class, classes)
		}
	}
	for name, test := range situations {
		s := newScene(t)
		test.given(s)
		next := s.next()
		mustBeDocumented(name, decidingReason(statusOf(s.observation, next)), classOf(s.observation, next))
	}
	for reason, cause := range obstacleCauses {
		mustBeDocumented("an obstacle", reason, cause.Class())
	}
	for why, cause := range guardCauses {
		mustBeDocumented("the login guard", guardReasons[string(why)], cause.Class())
	}
}

func TestUnitClassOfWhatIsInTheWay(t *testing.T) {
	tests := map[string]struct {
		why   string
		given func(*scene)
		want  failure.Class
	}{
		"healthy":         {"nothing is in the way", func(*scene) {}, ""},
		"just created":    {"the first exchange is on its way", (*scene).fresh, ""},
		"API away":        {"it comes back by itself", func(s *scene) { s.answered(token.RefreshToken, unreachable) }, failure.Time},
		"reply lost":      {"it is presented once more, late", func(s *scene) { s.seeded(); s.answered(token.RefreshToken, lostReply) }, failure.Time},
		"wrong client":    {"the credentials have to change", func(s *scene) { s.answered(token.RefreshToken, wrongClient) }, failure.Input},
		"wrong password":  {"the credentials have to change", func(s *scene) { s.fresh(); s.answered(token.Password, wrongLogin) }, failure.Input},
		"budget used up":  {"it fills again by itself", func(s *scene) { s.fresh(); s.answered(token.Password, exhausted) }, failure.Time},
		"target taken":    {"somebody has to choose another name", func(s *scene) { s.workload = workload{found: true} }, failure.Person},
		"nothing left":    {"somebody has to authorize again", func(s *scene) { s.seeded(); s.record.Chain = nil; s.later(time.Hour) }, failure.Person},
		"no login Secret": {"it may be on its way", func(s *scene) { s.obstruct(v1alpha1.ReasonCredentialsNotFound, "") }, failure.Input},
		"no template":     {"the spec has to change", func(s *scene) { s.obstruct(v1alpha1.ReasonTemplateInvalid, "") }, failure.Person},
		"suspended": {"nothing is tried, because a person wants it so", func(s *scene) {
			s.answered(token.RefreshToken, unreachable)
			s.cred.Spec.Suspend = true
		}, ""},
		"former failure": {"it was stored without a class", func(s *scene) {
			s.answered(token.RefreshToken, unreachable)
			s.record.Failure.Class = ""
		}, failure.Time},
	}
	for name, test := range tests {
		s := newScene(t)
		test.given(s)
		if got := classOf(s.observation, s.next()); got != test.want {
			t.Errorf("%s: %q, want %q: %s", name, got, test.want, test.why)
		}
	}
}

// TestUnitNothingWaitsForEver: whatever an exchange ended with, there is a next try, or a person is asked.
func TestUnitNothingWaitsForEver(t *testing.T) {
	causes := []failure.Cause{failure.Passing()}
	for _, subject := range failure.Subjects() {
		causes = append(causes, failure.WaitsFor(subject), failure.WaitsForUnprobed(subject), failure.NeedsPerson(subject))
	}
	for _, verdict := range token.Verdicts() {
		for _, grant := range []token.Grant{token.Password, token.RefreshToken, token.AuthorizationCode, token.ClientCredentials} {
			for _, cause := range causes {
				if verdict == token.Granted {
					continue
				}
				s := newScene(t)
				answer := refused(verdict, 400, "code", "words")
				answer.Cause = cause
				s.answered(grant, answer)
				failed := s.record.Failure
				if failed.RetryAt.IsZero() && !failed.Stalled {
					t.Errorf("%s of %s with %s: no next try, and no person is asked", verdict, grant, cause.Class())
				}
				if !cause.IsProbed() && failed.Class == failure.Person && !failed.Stalled && verdict != token.RefusedDead &&
					verdict != token.Declined {
					t.Errorf("%s of %s needs a person, and none is asked", verdict, grant)
				}
			}
		}
	}
}

// TestUnitPaceOfFailures plays ten minutes of the same failure, with the draws that give the shortest waits.
func TestUnitPaceOfFailures(t *testing.T) {
	for _, life := range []time.Duration{0, 90 * time.Second, 5 * time.Minute, time.Hour} {
		for _, name := range []string{"time", "input", "both"} {
			s := newScene(t)
			s.r.Draw = func() float64 { return 0 }
			s.record.Token.Expires = start.Add(life)
			var tries []time.Time
			for n := 0; s.now.Before(start.Add(10 * time.Minute)); n++ {
				tries = append(tries, s.now)
				said := unreachable
				if name == "input" || name == "both" && n%2 == 0 {
					said = wrongClient
				}
				s.answered(token.RefreshToken, said)
				s.later(s.record.Failure.RetryAt.Sub(s.now))
			}
			mustKeepPace(t, name, tries, s.record.Token.Expires)
		}
	}
}

// mustKeepPace: after the first minute at most 4 tries a minute, in the last minute before the expiry at most 12.
func mustKeepPace(t *testing.T, name string, tries []time.Time, expires time.Time) {
	t.Helper()
	begin := tries[0].Add(time.Minute)
	for from := begin; from.Before(tries[len(tries)-1]); from = from.Add(time.Second) {
		count := 0
		for _, at := range tries {
			if !at.Before(from) && at.Before(from.Add(time.Minute)) {
				count++
			}
		}
		most := 4
		if from.Before(expires) && !from.Add(2*time.Minute).Before(expires) {
			most = 12
		}
		if count > most {
			t.Errorf("%s, expiry after %s: %d tries in the minute from %s on", name, expires.Sub(tries[0]), count, from.Sub(tries[0]))
			return
		}
	}
}

// TestUnitRefusalNamesWhatAnEditorLeft: what in the credentials looks like a mistake is said where the API refuses them, and only there.
func TestUnitRefusalNamesWhatAnEditorLeft(t *testing.T) {
	const hint = "entry client_secret of Secret orders-login begins with a byte order mark"
	for name, answer := range map[string]provider.Answer{"refused": wrongClient, "away": unreachable, "login refused": wrongLogin} {
		s := newScene(t)
		s.hints = hint
		s.answered(token.Password, answer)
		want := 1
		if name == "away" {
			want = 0
		}
		if got := strings.Count(s.record.Failure.Message, "; "+hint); got != want {
			t.Errorf("%s: said %d times, want %d: %q", name, got, want, s.record.Failure.Message)
		}
	}
}

// TestUnitLongLifeIsWarnedOf: a life in milliseconds looks like one of a month.
func TestUnitLongLifeIsWarnedOf(t *testing.T) {
	for life, want := range map[time.Duration]bool{time.Hour: false, 30 * 24 * time.Hour: false, 1000 * time.Hour: true} {
		s := newScene(t)
		s.record.Token.Expires = s.record.Token.Obtained.Add(life)
		renewable := meta.FindStatusCondition(s.status().Conditions, v1alpha1.ConditionRenewable)
		if got := strings.Contains(renewable.Message, "spec.refresh.maximumLifetime"); got != want {
			t.Errorf("a life of %s: %q", life, renewable.Message)
		}
	}
}

// TestUnitChangedPolicyIsTriedAtOnce: a look-up that led to a refused address is made again when --allowed-hosts has changed.
func TestUnitChangedPolicyIsTriedAtOnce(t *testing.T) {
	s := newScene(t)
	s.policy = exchange.Policy{}
	forbidden := refused(token.Unsent, 0, exchange.NotAllowed, "acme.example has a private address")
	for range 8 {
		s.answered(token.RefreshToken, forbidden)
		s.later(s.record.Failure.RetryAt.Sub(s.now))
	}
	s.later(-time.Second)
	s.record.Token.Refresh = s.now.Add(-time.Minute)
	if next := s.next(); next.Do != plan.Wait || next.Why != plan.BackingOff {
		t.Errorf("%+v: an address that is refused backs off", next)
	}
	s.policy = exchange.Policy{AllowedHosts: []string{"acme.example"}}
	if next := s.next(); next.Do != plan.Exchange {
		t.Errorf("%+v: the flags have changed", next)
	}
}

// TestUnitFailureOfAFormerOperator: a refusal that was stored for good is probed.
func TestUnitFailureOfAFormerOperator(t *testing.T) {
	s := newScene(t)
	s.record.Failure = &custody.Failure{Count: 1, Last: s.now, Verdict: token.RefusedIntact, Reason: v1alpha1.ReasonCredentialsRejected, Login: s.attempted()}
	s.record.Token.Refresh = s.now
	if next := s.next(); next.Why != plan.Refused || !next.At.Equal(s.record.Token.Expires) {
		t.Errorf("%+v: it wakes at the expiry", next)
	}
	s.later(plan.SlowestProbe)
	if next := s.next(); next.Do != plan.Exchange {
		t.Errorf("%+v: an hour later it is probed", next)
	}
}
