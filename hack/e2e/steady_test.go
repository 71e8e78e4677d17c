//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/hack/e2e/consumer"
)

// steadyLife is the life of the steady workloads' tokens. Their lead is 90 s, as long as the kubelet takes at most to notice a changed
// Secret by itself, so that a file is replaced before its token dies.
const steadyLife = 200 * time.Second

// steadyConsumers mount the same token in every way there is.
var steadyConsumers = map[string]corev1.VolumeSource{
	"by-secret":     secretVolume(target),
	"by-projection": projectedVolume(target),
}

// newSteady starts workloads whose tokens live on for a while after they were replaced, as most APIs have it.
func newSteady(t *testing.T, c *cluster) *tenant {
	t.Helper()
	steady := newTenant(t, c, "steady", "--token-lifetime="+steadyLife.String())
	steady.newCredential(t)
	for name, token := range steadyConsumers {
		steady.startConsumer(t, name, token)
	}
	return steady
}

// steadyVerdict: not one call was refused, whatever the scenarios did to the operator, and whatever happened to the workloads.
func steadyVerdict(t *testing.T, c *cluster) {
	within(t, patience+time.Duration(*rotations)*steadyLife, time.Second, fmt.Sprintf("%d rotations", *rotations), func() error {
		if ledger := c.steady.ledger(t); ledger.RefreshGrants < *rotations {
			return fmt.Errorf("%d so far", ledger.RefreshGrants)
		}
		return nil
	})
	ledger := c.steady.spentOnce(t)
	for name := range steadyConsumers {
		report := c.steady.report(t, name)
		judge(t, name, report)
		t.Logf("%s: %d calls, %d refused, %d otherwise failed, %d tokens in the file; from issue to file: %s",
			name, report.Calls, report.Refused, report.Other, len(report.Tokens), percentiles(publicationLags(report, ledger)))
		restartedConsumer(t, c.steady, name)
	}
	rejected := 0
	for _, token := range ledger.AccessTokens {
		rejected += token.Rejected
	}
	t.Logf("the server's ledger: %d password grants, %d refreshes, %d dead access tokens presented", ledger.PasswordGrants, ledger.RefreshGrants, rejected)
	if rejected > 0 {
		t.Errorf("dead access tokens were presented %d times, want never", rejected)
	}
}

func judge(t *testing.T, name string, report consumer.Report) {
	t.Helper()
	if report.Refused > 0 {
		t.Errorf("%s: %d of %d calls were refused, want none", name, report.Refused, report.Calls)
	}
	if report.Accepted == 0 {
		t.Errorf("%s: no call was accepted; the last failure: %q", name, report.LastOther)
	}
}

// publicationLags are the times from a token's issue by the server until a consumer's file held it, the first token's left out: it
// was there before the consumer.
func publicationLags(report consumer.Report, ledger authsim.Ledger) []time.Duration {
	issued := map[string]time.Time{}
	for _, token := range ledger.AccessTokens {
		issued[consumer.Fingerprint(token.Value)] = token.Issued
	}
	var lags []time.Duration
	for _, sighting := range refreshed(report) {
		if at, known := issued[sighting.Fingerprint]; known {
			lags = append(lags, sighting.Seen.Sub(at).Round(time.Millisecond))
		}
	}
	return lags
}

// restartedConsumer kills the container of a workload; the new one finds a token that is valid.
func restartedConsumer(t *testing.T, s *tenant, name string) {
	t.Helper()
	before := s.awaitPod(t, name).Status.ContainerStatuses[0]
	must(t, s.node.KillContainer(t.Context(), "KILL", before.ContainerID))
	eventually(t, name+" is restarted", func() error {
		if status := s.awaitPod(t, name).Status.ContainerStatuses[0]; status.RestartCount == before.RestartCount {
			return fmt.Errorf("%d restarts", status.RestartCount)
		}
		return nil
	})
	eventually(t, "calls of "+name+" after its restart", func() error {
		if report := s.report(t, name); report.Calls < 20 {
			return fmt.Errorf("%d so far", report.Calls)
		}
		return nil
	})
	judge(t, name, s.report(t, name))
}
