//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/hack/install/rights"
)

// chart installs the operator with Helm, upgrades the release under load, confines it to a list of namespaces, and removes it.
func chart(t *testing.T, c *cluster) {
	c.remove(t)
	must(t, c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: operatorNamespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}))
	c.helm(t, "install")
	s := newTenant(t, c, "helm", "--token-lifetime=30m")
	s.newCredential(t)
	s.startConsumer(t, "orders", secretVolume(target))
	c.kubectl(t, "create", "namespace", rights.Listed)
	underLoad(t, s, func() {
		c.helm(t, "upgrade", "--set", "maxConcurrentExchanges=4")
		c.awaitOperator(t)
	})
	c.holdRights(t, func(row rights.Right) bool { return row.ByDefault })
	underLoad(t, s, func() {
		c.helm(t, "upgrade", "--set", "namespaces={"+rights.Listed+","+s.namespace+"}")
		c.awaitOperator(t)
	})
	c.holdRights(t, func(row rights.Right) bool { return row.ForNamespaces })
	judge(t, "orders", s.report(t, "orders"))

	c.removeObjects(t)
	c.helm(t, "uninstall")
	c.kubectl(t, "delete", "namespace", operatorNamespace, rights.Listed, "--timeout=3m")
	if !c.has(t, "customresourcedefinitions", "fluentcredentials") {
		t.Error("the CRDs went with the release, and every FluentCredential would have gone with them")
	}
	c.left(t, "customresourcedefinitions")
	c.kubectl(t, "delete", "crd", "fluentcredentials.auth.fluent-credential.dev", "fluenttokens.auth.fluent-credential.dev", "--timeout=1m")
}

// helm does something to the release, and waits until it has come true.
func (c *cluster) helm(t *testing.T, verb string, values ...string) {
	t.Helper()
	arguments := []string{verb, operatorName, "--namespace", operatorNamespace, "--kubeconfig", c.node.Kubeconfig, "--wait", "--timeout", "4m"}
	if verb != "uninstall" {
		arguments = append(arguments, filepath.Join(root, "dist", "chart"), "--set", "allowedHosts={10.96.*.*}")
	}
	command := exec.CommandContext(t.Context(), filepath.Join(root, "bin", "tools", "helm"), append(arguments, values...)...)
	home := t.TempDir()
	command.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("helm %s: %v: %s", verb, err, out)
	}
}
