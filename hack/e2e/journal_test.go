//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/hack/authsim"
)

// journalOutlivesContainer: a reply arrives, and the cluster does not take it: the operator may no longer write Secrets. Its container
// is killed. The next container of the pod finds the reply in the journal, on the emptyDir, and stores it without a call.
func journalOutlivesContainer(t *testing.T, c *cluster) {
	s := newTenant(t, c, "journal", "--token-lifetime=30m")
	s.newCredential(t)
	before := s.serial(t)
	pod := c.leader(t)
	container := pod.Status.ContainerStatuses[0]

	s.fault(t, "every x1 refresh_token: slow 5s")
	s.rotate(t)
	s.awaitPending(t)
	permit := forbidSecrets(t, c)
	eventually(t, "the reply is sent", func() error {
		if newest := newestRequest(s.ledger(t)); newest.Outcome != authsim.OutcomeGranted || !newest.Delivered {
			return fmt.Errorf("the outcome is %s", newest.Outcome)
		}
		return nil
	})
	eventually(t, "the operator cannot store it", func() error { return refusedCommit(t, c, pod.Name) })
	if serial := s.serial(t); serial != before {
		t.Fatalf("serial %d was stored though it was forbidden", serial)
	}
	must(t, c.node.KillContainer(t.Context(), "KILL", container.ContainerID))
	permit()
	s.awaitSerial(t, before+1)
	c.awaitOperator(t)

	ledger := s.spentOnce(t)
	if ledger.Requests != 2 || ledger.PasswordGrants != 1 {
		t.Errorf("%d requests, %d of them logins, want one login and one refresh: the reply was in the journal", ledger.Requests, ledger.PasswordGrants)
	}
}

// forbidSecrets takes the operator's permission to write Secrets away, and returns a function that gives it back, which is called
// after the test at the latest.
func forbidSecrets(t *testing.T, c *cluster) (permit func()) {
	t.Helper()
	var role rbacv1.ClusterRole
	must(t, c.Get(t.Context(), client.ObjectKey{Name: operatorName}, &role))
	changed := role.DeepCopy()
	for i, rule := range changed.Rules {
		if slices.Equal(rule.Resources, []string{"secrets"}) {
			changed.Rules[i].Verbs = []string{"get", "list", "watch"}
		}
	}
	must(t, c.Update(t.Context(), changed))
	permit = sync.OnceFunc(func() {
		role.ResourceVersion = "" // whatever it is now
		must(t, c.Update(context.WithoutCancel(t.Context()), &role))
	})
	t.Cleanup(permit)
	return permit
}

// refusedCommit reads the log of the operator, which says so.
func refusedCommit(t *testing.T, c *cluster, pod string) error {
	t.Helper()
	for line := range strings.Lines(c.kubectl(t, "logs", "-n", operatorNamespace, pod, "--tail=50")) {
		if strings.Contains(line, "could not be stored yet") && strings.Contains(line, `"namespace":"journal"`) {
			return nil
		}
	}
	return errors.New("no word of it in the log")
}

// awaitPending waits until the server has a request that it has not answered.
func (s *tenant) awaitPending(t *testing.T) {
	t.Helper()
	eventually(t, "a request is on its way", func() error {
		if newest := newestRequest(s.ledger(t)); newest.Outcome != authsim.OutcomePending {
			return fmt.Errorf("the newest one's outcome is %s", newest.Outcome)
		}
		return nil
	})
}

func newestRequest(ledger authsim.Ledger) authsim.TokenRequest {
	if len(ledger.TokenRequests) == 0 {
		return authsim.TokenRequest{}
	}
	return ledger.TokenRequests[len(ledger.TokenRequests)-1]
}
