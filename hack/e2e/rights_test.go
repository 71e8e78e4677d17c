//go:build e2e

package e2e

import (
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/fluent-credential/operator/hack/install/rights"
)

// rightsByDefault holds the operator that is installed to the table of rights.
func rightsByDefault(t *testing.T, c *cluster) {
	c.holdRights(t, func(row rights.Right) bool { return row.ByDefault })
}

// holdRights asks "kubectl auth can-i" for every row, and tries every row with the token that the kubelet gave the operator's pod.
func (c *cluster) holdRights(t *testing.T, want func(rights.Right) bool) {
	t.Helper()
	who := c.ownToken(t, c.leader(t))
	permitted := 0
	for _, row := range rights.Table {
		if want(row) {
			permitted++
		}
		if got := c.canI(t, row); got != want(row) {
			t.Errorf("can-i %s %s in %q: %t, want %t: %s", row.Verb, row.Resource, row.Namespace, got, want(row), row.Why)
		}
		got, err := row.Attempt(t.Context(), who)
		if err != nil || got != want(row) {
			t.Errorf("could %s %s in %q: %t, want %t: %s: %v", row.Verb, row.Resource, row.Namespace, got, want(row), row.Why, err)
		}
	}
	t.Logf("%d rows, asked and tried: %d permitted, %d refused", len(rights.Table), permitted, len(rights.Table)-permitted)
}

// canI is kubectl's answer. A refusal is an exit code too, so only what it says counts; a warning may come before it.
func (c *cluster) canI(t *testing.T, row rights.Right) bool {
	t.Helper()
	said, err := c.tryKubectl(t.Context(), row.CanI()...)
	lines := strings.Split(strings.TrimSpace(said), "\n")
	answer, _, _ := strings.Cut(lines[len(lines)-1], " ")
	if answer != "yes" && answer != "no" {
		t.Errorf("kubectl %v: %v: %s", row.CanI(), err, said)
	}
	return answer == "yes"
}

// ownToken is the operator as it is known by the token in its pod, where only root on the node can read it: its container has no shell.
func (c *cluster) ownToken(t *testing.T, pod corev1.Pod) *rest.Config {
	t.Helper()
	file := "/var/lib/kubelet/pods/" + string(pod.UID) + "/volumes/kubernetes.io~projected/kube-api-access-*/token"
	token, err := c.node.Command(t.Context(), "sh", "-c", "cat "+file).Output()
	must(t, err)
	who := &rest.Config{
		Host: c.node.Config.Host, BearerToken: string(token), QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{CAData: c.node.Config.CAData},
	}
	typed, err := kubernetes.NewForConfig(who)
	must(t, err)
	review, err := typed.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	must(t, err)
	if name := review.Status.UserInfo.Username; name != rights.Account {
		t.Fatalf("the token in the pod is that of %s, want %s", name, rights.Account)
	}
	return who
}
