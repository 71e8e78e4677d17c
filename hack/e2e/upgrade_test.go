//go:build e2e

package e2e

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// formerImage is the operator of the revision that testdata/former.yaml is from.
const formerImage = "localhost/fluent-credential-operator:former"

// upgradedLife is the life of tokens that several rotations of an upgrade fall into.
const upgradedLife = 60 * time.Second

// upgrade installs the project's former manifests with the operator of that time, and applies today's over them while logins rotate and
// a refresh is on the wire. Nothing is spent twice, nobody logs in anew, and no workload is refused.
func upgrade(t *testing.T, c *cluster) {
	c.remove(t)
	c.apply(t, filepath.Join("testdata", "former.yaml"), formerImage)
	f := newFleet(t, c, "upgrade", *credentials, func(spec *v1alpha1.FluentCredentialSpec) {}, "--token-lifetime="+upgradedLife.String())
	s := newTenant(t, c, "upgraded", "--token-lifetime=30m")
	s.newCredential(t)
	f.awaitRotations(t, 1, upgradedLife)

	before := c.inFlight(t, s, func() { c.apply(t, *installer, "") })
	c.awaitOperator(t)
	for _, pod := range c.operatorPods(t) {
		if image := pod.Spec.Containers[0].Image; image == formerImage {
			t.Errorf("%s still runs the former image", pod.Name)
		}
	}
	s.awaitSerial(t, before+1)
	s.rotate(t)
	s.awaitSerial(t, before+2)
	f.first = f.ledger(t).RefreshGrants
	f.awaitRotations(t, 2, upgradedLife)
	oneLoginEach(t, s.spentOnce(t), 1)
	oneLoginEach(t, f.spentOnce(t), len(f.users))
	for _, user := range f.users {
		judge(t, user, f.report(t, user))
	}
}

// inFlight does something while a refresh of the tenant is on the wire, and returns the serial from before.
func (c *cluster) inFlight(t *testing.T, s *tenant, do func()) int64 {
	t.Helper()
	before := s.serial(t)
	s.fault(t, "every x1 refresh_token: slow 5s")
	s.rotate(t)
	s.awaitPending(t)
	do()
	return before
}

func oneLoginEach(t *testing.T, ledger authsim.Ledger, logins int) {
	t.Helper()
	t.Logf("%d logins of %d accounts, %d refreshes, no token sent twice", ledger.PasswordGrants, logins, ledger.RefreshGrants)
	if ledger.PasswordGrants != logins {
		t.Errorf("%d logins of %d accounts: one of them lost its refresh token", ledger.PasswordGrants, logins)
	}
}

// remove takes the operator away with everything that it looked after, as docs/install.md says, and does nothing where it is gone
// already.
func (c *cluster) remove(t *testing.T) {
	t.Helper()
	if c.has(t, "customresourcedefinitions", "fluentcredentials") {
		c.removeObjects(t)
	}
	c.kubectl(t, "delete", "-f", *installer, "--ignore-not-found", "--timeout=3m")
}

// removeObjects deletes every FluentToken and FluentCredential, and waits until they are gone.
func (c *cluster) removeObjects(t *testing.T) {
	t.Helper()
	c.kubectl(t, "delete", "fluenttokens,fluentcredentials", "--all", "--all-namespaces", "--timeout=2m")
}

// has tells whether there is an object whose name has a part.
func (c *cluster) has(t *testing.T, kind, part string) bool {
	t.Helper()
	return strings.Contains(c.kubectl(t, "get", kind, "-o", "name"), part)
}

// left complains of every cluster-wide object of ours that is still there, but for one kind.
func (c *cluster) left(t *testing.T, except string) {
	t.Helper()
	for _, kind := range []string{"namespaces", "customresourcedefinitions", "clusterroles", "clusterrolebindings", "priorityclasses",
		"validatingadmissionpolicies", "validatingadmissionpolicybindings"} {
		if left := c.kubectl(t, "get", kind, "-o", "name"); kind != except && strings.Contains(left, "fluent") {
			t.Errorf("left of %s: %s", kind, left)
		}
	}
	var secrets corev1.SecretList
	must(t, c.List(t.Context(), &secrets, client.HasLabels{v1alpha1.CredentialLabel}))
	for _, secret := range secrets.Items {
		t.Errorf("left after its FluentCredential: %s/%s", secret.Namespace, secret.Name)
	}
}
