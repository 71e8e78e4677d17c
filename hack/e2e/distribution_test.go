//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// distributed: pods in two namespaces mount the token of a credential in a third one, and follow its rotations together.
func distributed(t *testing.T, c *cluster) {
	guests := []*tenant{newGuest(t, c, "distributed-web"), newGuest(t, c, "distributed-api")}
	s := newTenant(t, c, "distributed-shop", "--token-lifetime=1h")
	s.newCredential(t, func(spec *v1alpha1.FluentCredentialSpec) {
		spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{Names: []string{guests[0].namespace, guests[1].namespace}}
	})
	for _, guest := range guests {
		guest.create(t, &v1alpha1.FluentToken{ObjectMeta: guest.meta(credential), Spec: v1alpha1.FluentTokenSpec{
			CredentialRef: v1alpha1.CredentialReference{Namespace: s.namespace, Name: credential}, Target: v1alpha1.TargetSpec{Name: target},
		}})
		pod := guest.pod("watcher", "localhost/consumer:1", "--every=5ms")
		mount(pod, "token", "/var/run/token", secretVolume(target))
		guest.create(t, pod)
	}
	for _, guest := range guests {
		guest.awaitPod(t, "watcher")
	}
	before := s.ledger(t).Requests
	for range *rotations {
		time.Sleep(relist) // a kubelet that has just looked does not look again before
		serial := s.serial(t)
		s.rotate(t)
		s.awaitSerial(t, serial+1)
		for _, guest := range guests {
			guest.awaitFile(t, s)
		}
	}
	ledger := s.spentOnce(t)
	if exchanges := ledger.Requests - before; exchanges != *rotations {
		t.Errorf("%d exchanges for %d rotations", exchanges, *rotations)
	}
	for _, guest := range guests {
		least, median, most := spread(publicationLags(guest.report(t, "watcher"), ledger))
		t.Logf("%s: %d rotations; from issue to file: %s at least, %s median, %s at most", guest.namespace, *rotations, least, median, most)
		if most > time.Second {
			t.Errorf("%s followed after %s, want within a second", guest.namespace, most)
		}
	}
}

// newGuest makes a namespace with nothing in it.
func newGuest(t *testing.T, c *cluster, name string) *tenant {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		"pod-security.kubernetes.io/enforce": "restricted",
	}}}
	must(t, c.Create(t.Context(), namespace))
	t.Cleanup(func() {
		if !t.Failed() {
			_ = c.Delete(context.WithoutCancel(t.Context()), namespace)
		}
	})
	return &tenant{cluster: c, namespace: name}
}

// awaitFile waits until the pod's file holds the token that the server of the credential issued last.
func (s *tenant) awaitFile(t *testing.T, issuer *tenant) {
	t.Helper()
	issued := len(issuer.ledger(t).AccessTokens)
	eventually(t, "the newest token reaches the file in "+s.namespace, func() error {
		lags := publicationLags(s.report(t, "watcher"), issuer.ledger(t))
		if seen := len(lags) + 1; seen < issued { // the first one was there before the pod
			return fmt.Errorf("%d of %d tokens were seen", seen, issued)
		}
		return nil
	})
}
