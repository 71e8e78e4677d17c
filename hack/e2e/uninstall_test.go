//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"
)

// uninstall follows the README: the FluentCredentials first, then the rest. Nothing hangs, and nothing is left.
func uninstall(t *testing.T, c *cluster) {
	s := newTenant(t, c, "uninstall", "--token-lifetime=30m")
	s.newCredential(t)
	began := time.Now()
	c.kubectl(t, "delete", "fcred", "--all", "--all-namespaces", "--timeout=2m")
	credentials := time.Since(began)
	if left := c.kubectl(t, "get", "secrets", "-A", "-l", "auth.fluent-credential.dev/credential-uid", "-o", "name"); left != "" {
		for line := range strings.Lines(left) {
			if !strings.Contains(line, "No resources found") {
				t.Errorf("left after its FluentCredential: %s", line)
			}
		}
	}
	began = time.Now()
	c.kubectl(t, "delete", "-f", *installer, "--timeout=3m")
	t.Logf("the FluentCredentials were gone after %s, the operator after another %s",
		credentials.Round(10*time.Millisecond), time.Since(began).Round(10*time.Millisecond))
	for _, kind := range []string{"namespaces", "customresourcedefinitions", "clusterroles", "clusterrolebindings"} {
		if left := c.kubectl(t, "get", kind, "-o", "name"); strings.Contains(left, "fluent") {
			t.Errorf("left of %s: %s", kind, left)
		}
	}
}
