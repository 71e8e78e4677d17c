//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/hack/e2e/consumer"
)

// killedTokens measures what a workload suffers where the server kills the old access token at the instant of the refresh, with
// tokens that live for a minute: how many calls fail, and for how long; with and without a nudge for the kubelet.
func killedTokens(t *testing.T, c *cluster) {
	for name, nudge := range map[string]bool{"alone": false, "nudged": true} {
		t.Run(name, func(t *testing.T) {
			s := newTenant(t, c, "killed-tokens-"+name, "--token-lifetime=60s", "--kill-on-refresh")
			s.newCredential(t, func(spec *v1alpha1.FluentCredentialSpec) { spec.Delivery.NudgePods = &nudge })
			s.startConsumer(t, "orders", secretVolume(target))
			first := s.ledger(t).RefreshGrants
			eventuallyRotated(t, s, first+*rotations)
			eventually(t, "a token that came by a refresh reaches the file and opens the API", func() error {
				for _, sighting := range refreshed(s.report(t, "orders")) {
					if sighting.Accepted > 0 {
						return nil
					}
				}
				return errors.New("none so far")
			})
			tellSuffering(t, s.report(t, "orders"), s.spentOnce(t), first)
		})
	}
}

func tellSuffering(t *testing.T, report consumer.Report, ledger authsim.Ledger, first int) {
	t.Helper()
	rotated, outage := ledger.RefreshGrants-first, outage(report)
	least, median, most := spread(publicationLags(report, ledger))
	t.Logf("%d rotations, %d of their tokens in the file; %d of %d calls refused; %s of failure, %s a rotation; from issue to file: %s at least, %s median, %s at most",
		rotated, len(refreshed(report)), report.Refused, report.Calls, outage.Round(time.Millisecond),
		(outage / time.Duration(rotated)).Round(time.Millisecond), least, median, most)
}

// eventuallyRotated waits for refreshes, each of which takes half a minute.
func eventuallyRotated(t *testing.T, s *tenant, want int) {
	t.Helper()
	for have := s.ledger(t).RefreshGrants; have < want; have = s.ledger(t).RefreshGrants {
		eventually(t, "the next rotation", func() error {
			if s.ledger(t).RefreshGrants == have {
				return fmt.Errorf("still %d", have)
			}
			return nil
		})
	}
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
