//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// fleet is a tenant with many logins. Each has a FluentCredential, a workload Secret and a pod that mounts it, and all have the
// login's user name.
type fleet struct {
	*tenant
	users []string
	first int // refreshes before the last of the pods was ready
}

// newFleet makes a fleet and waits until every pod calls the API.
func newFleet(t *testing.T, c *cluster, name string, size int, change func(*v1alpha1.FluentCredentialSpec), serverFlags ...string) *fleet {
	t.Helper()
	f := &fleet{}
	for n := range size {
		user := fmt.Sprintf("orders-%02d", n)
		f.users = append(f.users, user)
		serverFlags = append(serverFlags, "--user="+user, "--password="+login[v1alpha1.PasswordKey])
	}
	f.tenant = newTenant(t, c, name, serverFlags...)
	for _, user := range f.users {
		f.join(t, user, change)
	}
	for _, user := range f.users {
		f.awaitPod(t, user)
	}
	f.first = f.ledger(t).RefreshGrants
	return f
}

// join makes what one login has. Its pod waits for the Secret by itself.
func (f *fleet) join(t *testing.T, user string, change func(*v1alpha1.FluentCredentialSpec)) {
	t.Helper()
	own := map[string]string{}
	for key, value := range login {
		own[key] = value
	}
	own[v1alpha1.UsernameKey] = user
	f.create(t, &corev1.Secret{ObjectMeta: f.meta(user + "-login"), StringData: own})
	f.createCredential(t, user, func(spec *v1alpha1.FluentCredentialSpec) {
		spec.CredentialsSecretRef.Name = user + "-login"
		spec.Target.Name = user
		change(spec)
	})
	f.createConsumer(t, user, secretVolume(user))
}

// awaitRotations waits until every login was refreshed so many times, on average, each of which may take so long. It looks rarely: a
// ledger of many tokens is no small thing to ask for.
func (f *fleet) awaitRotations(t *testing.T, rotations int, each time.Duration) {
	t.Helper()
	want := f.first + rotations*len(f.users)
	within(t, patience+time.Duration(rotations)*each, 2*time.Second, fmt.Sprintf("%d refreshes in %s", want, f.namespace), func() error {
		if have := f.ledger(t).RefreshGrants; have < want {
			return fmt.Errorf("%d so far", have)
		}
		return nil
	})
}
