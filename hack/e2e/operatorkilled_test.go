//go:build e2e

package e2e

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// operatorKilled ends the leader, in the ways a cluster knows, while a refresh is on the wire. No token is ever sent twice, and the
// credential goes on: with the reply, where it came through, else with a new login.
func operatorKilled(t *testing.T, c *cluster) {
	for _, test := range []struct {
		name, why string
		kill      func(t *testing.T, leader corev1.Pod)
		survives  bool // the reply
	}{
		{"process-killed", "a crash: the container is started again in the same pod", func(t *testing.T, leader corev1.Pod) {
			must(t, c.node.KillContainer(t.Context(), "KILL", leader.Status.ContainerStatuses[0].ContainerID))
		}, false},
		{"pod-deleted", "deletion without grace: the standby takes over", func(t *testing.T, leader corev1.Pod) {
			c.kubectl(t, "delete", "pod", leader.Name, "-n", operatorNamespace, "--grace-period=0", "--force", "--wait=false")
		}, false},
		{"containerd-killed", "containers live on without containerd", func(t *testing.T, _ corev1.Pod) {
			must(t, c.node.Kill(t.Context(), "KILL", "containerd"))
		}, true},
		{"kubelet-killed", "containers live on without kubelet", func(t *testing.T, _ corev1.Pod) {
			must(t, c.node.Kill(t.Context(), "KILL", "kubelet"))
		}, true},
		{"api-server-killed", "the operator waits until it can store what it received", func(t *testing.T, _ corev1.Pod) {
			must(t, c.node.Kill(t.Context(), "KILL", "kube-apiserver"))
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newTenant(t, c, test.name, "--token-lifetime=30m")
			s.newCredential(t)
			c.awaitOperator(t)
			before := s.serial(t)
			s.fault(t, "every x1 refresh_token: slow 3s")
			s.rotate(t)
			s.awaitPending(t)
			test.kill(t, c.leader(t))
			s.awaitSerial(t, before+1)
			s.rotate(t)
			s.awaitSerial(t, before+2)
			ledger := s.spentOnce(t)
			t.Logf("%s: %d logins, %d refreshes, no token sent twice", test.why, ledger.PasswordGrants, ledger.RefreshGrants)
			if test.survives && ledger.PasswordGrants != 1 {
				t.Errorf("%d logins, want the first alone: %s", ledger.PasswordGrants, test.why)
			}
		})
	}
	c.awaitOperator(t)
}
