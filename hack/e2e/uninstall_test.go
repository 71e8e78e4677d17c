//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// uninstall follows docs/install.md: FluentTokens and FluentCredentials first, then the rest. Nothing hangs, and nothing is left; not of the samples
// either, whose token hosts cannot be reached from here.
func uninstall(t *testing.T, c *cluster) {
	s := newTenant(t, c, "uninstall", "--token-lifetime=30m")
	s.newCredential(t)
	samples := filepath.Join(root, "config", "samples")
	c.kubectl(t, "apply", "-k", samples)
	c.awaitConditions(t, "shop")
	began := time.Now()
	c.removeObjects(t)
	credentials := time.Since(began)
	began = time.Now()
	c.kubectl(t, "delete", "-f", *installer, "--timeout=3m")
	t.Logf("the FluentCredentials were gone after %s, the operator after another %s",
		credentials.Round(10*time.Millisecond), time.Since(began).Round(10*time.Millisecond))
	c.left(t, "")
	c.kubectl(t, "delete", "namespace", "shop", "web", "--ignore-not-found", "--timeout=2m")
}

// awaitConditions waits until every FluentCredential of a namespace was looked after.
func (c *cluster) awaitConditions(t *testing.T, namespace string) {
	t.Helper()
	eventually(t, "the FluentCredentials have conditions", func() error {
		var found v1alpha1.FluentCredentialList
		if err := c.List(t.Context(), &found, client.InNamespace(namespace)); err != nil {
			return err
		}
		if len(found.Items) == 0 {
			return errors.New("there is none")
		}
		for _, cred := range found.Items {
			if len(cred.Status.Conditions) == 0 {
				return fmt.Errorf("%s has none", cred.Name)
			}
		}
		return nil
	})
}
