//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

// evicted takes the leader away as "kubectl drain" does, twice. The disruption budget keeps the standby meanwhile.
func evicted(t *testing.T, c *cluster) {
	s := newTenant(t, c, "evicted", "--token-lifetime=30m")
	s.newCredential(t)
	underLoad(t, s, func() {
		for range 2 {
			c.awaitOperator(t)
			leader, pods := c.leader(t), c.operatorPods(t) // who comes later is not ready, and the budget does not count it
			must(t, c.evict(t, leader.Name))
			for _, pod := range pods {
				if pod.Name == leader.Name {
					continue
				}
				if err := c.evict(t, pod.Name); !apierrors.IsTooManyRequests(err) {
					t.Errorf("evicting %s too is answered with %v, want a refusal by the disruption budget", pod.Name, err)
				}
			}
			eventually(t, leader.Name+" is gone", func() error {
				err := c.Get(t.Context(), client.ObjectKeyFromObject(&leader), &corev1.Pod{})
				if !apierrors.IsNotFound(err) {
					return fmt.Errorf("getting it: %w", err)
				}
				return nil
			})
		}
		c.awaitOperator(t)
	})
}

func (c *cluster) evict(t *testing.T, pod string) error {
	t.Helper()
	return c.typed.PolicyV1().Evictions(operatorNamespace).Evict(t.Context(), &policyv1.Eviction{
		ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: pod},
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
	free, silent := <-watched, longestPause(ledger, began)
	_, _, longest := spread(free)
	t.Logf("%d refreshes in %s, no token sent twice; the lease was given back %d times, free for %s at most; the longest time without a refresh was %s",
		ledger.RefreshGrants, time.Since(began).Round(time.Second), len(free), longest.Round(time.Millisecond), silent.Round(time.Millisecond))
	if len(free) == 0 && silent > leaseExpires {
		t.Errorf("nobody saw the lease given back, and there was no refresh for %s: it was left to expire", silent)
	}
}

// leaseExpires is less than a lease lives that nobody gives back, and some times what a handover takes.
const leaseExpires = 12 * time.Second

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

// longestPause is the longest time without a request since then.
func longestPause(ledger authsim.Ledger, since time.Time) time.Duration {
	var longest time.Duration
	for i := 1; i < len(ledger.TokenRequests); i++ {
		if before := ledger.TokenRequests[i-1].Time; before.After(since) {
			longest = max(longest, ledger.TokenRequests[i].Time.Sub(before))
		}
	}
	return longest
}
