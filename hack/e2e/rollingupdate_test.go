//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// rollingUpdate replaces both replicas while a credential rotates as fast as it can. The next leader begins where the last one left
// off; no token is sent twice, none is lost.
func rollingUpdate(t *testing.T, c *cluster) {
	s := newTenant(t, c, "rolling-update", "--token-lifetime=30m")
	s.newCredential(t)
	underLoad(t, s, func() {
		c.kubectl(t, "rollout", "restart", "deployment", operatorName, "-n", operatorNamespace)
		c.kubectl(t, "rollout", "status", "deployment", operatorName, "-n", operatorNamespace, "--timeout=4m")
		c.awaitOperator(t)
	})
}

// drain empties the node of the operator, and gives it back.
func drain(t *testing.T, c *cluster) {
	s := newTenant(t, c, "drain", "--token-lifetime=30m")
	s.newCredential(t)
	underLoad(t, s, func() {
		c.kubectl(t, "drain", "node", "--pod-selector=app.kubernetes.io/name="+operatorName, "--delete-emptydir-data", "--timeout=4m")
		c.kubectl(t, "uncordon", "node")
		c.awaitOperator(t)
	})
}

// underLoad does something while rotation follows rotation, and says what came of it.
func underLoad(t *testing.T, s *tenant, do func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	loaded, watched := make(chan struct{}), make(chan []time.Duration, 1)
	go func() { defer close(loaded); s.keepRotating(ctx) }()
	go func() { watched <- s.watchLease(ctx) }()
	began := time.Now()
	do()
	before := s.serial(t)
	s.awaitSerial(t, before+2) // the leader of now works
	stop()
	<-loaded
	ledger := s.spentOnce(t)
	if ledger.PasswordGrants != 1 {
		t.Errorf("%d logins, want the first alone", ledger.PasswordGrants)
	}
	_, _, longest := spread(<-watched)
	t.Logf("%d refreshes in %s, no token sent twice; the lease was free for %s at most; the longest time without a refresh was %s",
		ledger.RefreshGrants, time.Since(began).Round(time.Second), longest.Round(time.Millisecond), longestPause(ledger).Round(time.Millisecond))
}

// keepRotating asks for a new token five times a second.
func (s *tenant) keepRotating(ctx context.Context) {
	for ctx.Err() == nil {
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.RotateAnnotation, time.Now().Format(time.RFC3339Nano))
		_ = s.Patch(ctx, &v1alpha1.FluentCredential{ObjectMeta: s.meta(credential)}, client.RawPatch(types.MergePatchType, patch))
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// watchLease returns for how long, each time, nobody held the lease.
func (s *tenant) watchLease(ctx context.Context) []time.Duration {
	var gaps []time.Duration
	var free time.Time
	for ctx.Err() == nil {
		lease, err := s.typed.CoordinationV1().Leases(operatorNamespace).Get(ctx, leaseName, getOptions)
		held := err == nil && lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity != ""
		switch {
		case err != nil:
		case !held && free.IsZero():
			free = time.Now()
		case held && !free.IsZero():
			gaps = append(gaps, time.Since(free))
			free = time.Time{}
		}
		time.Sleep(pause)
	}
	return gaps
}

func longestPause(ledger authsim.Ledger) time.Duration {
	var longest time.Duration
	for i := 1; i < len(ledger.TokenRequests); i++ {
		longest = max(longest, ledger.TokenRequests[i].Time.Sub(ledger.TokenRequests[i-1].Time))
	}
	return longest
}
