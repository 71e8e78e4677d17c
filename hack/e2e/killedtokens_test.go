//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/hack/e2e/consumer"
)

// killedLife is the life of the tokens that are killed early.
const killedLife = 60 * time.Second

// killedTokens measures what workloads suffer where the server kills the old access token at the instant of the refresh: how many calls
// fail, and for how long; with and without a nudge for the kubelet, both at the same time, so that the machine treats both alike.
func killedTokens(t *testing.T, c *cluster) {
	fleets := map[string]*fleet{}
	for name, nudge := range map[string]bool{"alone": false, "nudged": true} {
		fleets[name] = newFleet(t, c, "killed-tokens-"+name, *credentials,
			func(spec *v1alpha1.FluentCredentialSpec) { spec.Delivery.NudgePods = &nudge },
			"--token-lifetime="+killedLife.String(), "--kill-on-refresh")
	}
	suffered := map[string]suffering{}
	for name, f := range fleets {
		f.awaitRotations(t, *rotations, killedLife)
		suffered[name] = f.suffering(t)
		t.Logf("%s: %s", name, suffered[name])
	}
	alone, nudged := suffered["alone"], suffered["nudged"]
	if nudged.outage*4 > alone.outage || nudged.refused*4 > alone.refused {
		t.Errorf("nudging spares less than three quarters of the failures:\nalone:  %s\nnudged: %s", alone, nudged)
	}
	if nudged.arrived < nudged.rotations*9/10 {
		t.Errorf("of %d tokens %d came to a file before the next one", nudged.rotations, nudged.arrived)
	}
}

// suffering is what became of the calls of many consumers.
type suffering struct {
	rotations, arrived int // tokens that were issued while a consumer was at work, and those of them that its file ever held
	calls, refused     int
	outage             time.Duration   // while a file held a token that was refused
	lags               []time.Duration // from a token's issue until a file held it
}

// suffering adds up what the pods of the fleet saw.
func (f *fleet) suffering(t *testing.T) suffering {
	t.Helper()
	reports := map[string]consumer.Report{}
	for _, user := range f.users {
		reports[user] = f.report(t, user)
	}
	ledger := f.spentOnce(t)
	var sum suffering
	for user, report := range reports {
		sum.add(report, ledger, user)
		if report.Other > 0 {
			t.Errorf("%d calls of %s failed otherwise; the last one: %q", report.Other, user, report.LastOther)
		}
	}
	return sum
}

func (s *suffering) add(report consumer.Report, ledger authsim.Ledger, user string) {
	for _, token := range ledger.AccessTokens {
		if len(report.Tokens) > 0 && token.Username == user && token.Issued.After(report.Tokens[0].Seen) {
			s.rotations++
		}
	}
	s.arrived += len(refreshed(report))
	s.calls += report.Calls
	s.refused += report.Refused
	s.outage += outage(report)
	s.lags = append(s.lags, publicationLags(report, ledger)...)
}

func (s suffering) String() string {
	rotations := max(1, s.rotations)
	return fmt.Sprintf("%d rotations, %d of their tokens came to the file; %d of %d calls refused, %.1f a rotation; %s of failure a rotation; from issue to file: %s",
		s.rotations, s.arrived, s.refused, s.calls, float64(s.refused)/float64(rotations),
		(s.outage / time.Duration(rotations)).Round(time.Millisecond), percentiles(s.lags))
}

// refreshed are the tokens that came to the file after the one that it held at the start.
func refreshed(report consumer.Report) []consumer.Sighting {
	return report.Tokens[min(1, len(report.Tokens)):]
}

// outage is how long the file held a token that was refused.
func outage(report consumer.Report) time.Duration {
	var sum time.Duration
	for i, sighting := range report.Tokens {
		if sighting.FirstRefused.IsZero() {
			continue
		}
		until := time.Now()
		if i+1 < len(report.Tokens) {
			until = report.Tokens[i+1].Seen
		}
		sum += until.Sub(sighting.FirstRefused)
	}
	return sum
}
