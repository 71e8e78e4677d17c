//go:build e2e

package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// installed looks at what dist/install.yaml makes of a cluster: pods that the strictest Pod Security Standard admits, probes that
// answer, a lease, and metrics for those who may read them.
func installed(t *testing.T, c *cluster) {
	c.awaitOperator(t)
	pods := c.operatorPods(t)
	if len(pods) < 2 {
		t.Errorf("%d replicas, want one that leads and one that stands by", len(pods))
	}
	if level := c.kubectl(t, "get", "namespace", operatorNamespace, "-o", `jsonpath={.metadata.labels.pod-security\.kubernetes\.io/enforce}`); level != "restricted" {
		t.Errorf("the namespace enforces %q, want restricted", level)
	}
	c.leader(t)
	for _, pod := range pods {
		for _, probe := range []string{"healthz", "readyz"} {
			if answer := c.kubectl(t, "get", "--raw", "/api/v1/namespaces/"+operatorNamespace+"/pods/"+pod.Name+":8081/proxy/"+probe); answer != "ok" {
				t.Errorf("%s of %s answers %q", probe, pod.Name, answer)
			}
		}
		metricsAreGuarded(t, c, pod.Status.PodIP)
	}
}

// metricsAreGuarded asks for the metrics from the node, as a scraper does.
func metricsAreGuarded(t *testing.T, c *cluster, podIP string) {
	t.Helper()
	c.kubectl(t, "apply", "-f", filepath.Join("manifests", "scraper.yaml"))
	for account, want := range map[string]string{"scraper": "fluent_credential", "default": "orbidden"} {
		token := strings.TrimSpace(c.kubectl(t, "create", "token", account, "-n", "scraper"))
		ask := c.node.Command(t.Context(), filepath.Join(c.node.Dir, "k8s", "kubectl"), "--kubeconfig=/dev/null", "--insecure-skip-tls-verify",
			"--server=https://"+podIP+":8443", "--token="+token, "get", "--raw", "/metrics")
		answer, _ := ask.CombinedOutput() // a refusal is an error too
		if !strings.Contains(string(answer), want) {
			t.Errorf("the metrics for the account %q: no %q in an answer of %d bytes", account, want, len(answer))
		}
	}
}
