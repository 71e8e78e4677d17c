package controllers

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// watched notes what becomes of the Secrets in a namespace that are ours.
type watched struct {
	serials []int64 // as they were written
	deleted int
}

// follow looks at every change, until the test calls what it returns.
func follow(t *testing.T, namespace string) (end func() watched) {
	t.Helper()
	watching, err := client.NewWithWatch(cluster, client.Options{Scheme: testScheme()})
	if err != nil {
		t.Fatal(err)
	}
	changes, err := watching.Watch(t.Context(), &corev1.SecretList{}, client.InNamespace(namespace), client.HasLabels{v1alpha1.TokenLabel})
	if err != nil {
		t.Fatal(err)
	}
	seen, done := watched{}, make(chan struct{})
	go func() {
		defer close(done)
		for change := range changes.ResultChan() {
			switch secret, _ := change.Object.(*corev1.Secret); change.Type {
			case watch.Added, watch.Modified:
				seen.serials = append(seen.serials, serialOf(secret))
			case watch.Deleted:
				seen.deleted++
			}
		}
	}()
	return func() watched {
		changes.Stop()
		<-done
		return seen
	}
}

// TestTwoOperatorsServeAConsumer: of two that work without election, each publishes what it finds. Every serial is written once, none
// comes back, and the refresh tokens do not notice. When the consent goes, so does the Secret, and neither brings it back.
func TestTwoOperatorsServeAConsumer(t *testing.T) {
	t.Parallel()
	sim, shop, web := newServer(t, shortLived), newNamespace(t), newNamespace(t)
	end := follow(t, web)
	startOperatorAs(t, cluster, shop, web)
	startOperatorAs(t, cluster, shop, web)
	cred := credential(shop, "orders", sim)
	cred.Spec.AllowedNamespaces = names(web)
	create(t, loginSecret(shop, "orders-login"))
	create(t, cred)
	create(t, fluentToken(web, cred))
	rotatedPast := func(serial int64) {
		t.Helper()
		eventually(t, "rotated", func() (bool, any) {
			token := reread(t, cred).Status.Token
			return token != nil && token.Serial > serial, token
		})
	}
	rotatedPast(10)
	m := &many{running: &running{server: sim, namespace: shop, cred: cred}, webs: []string{web}}
	edit(t, cred, func(cred *v1alpha1.FluentCredential) { cred.Spec.Suspend = true })
	eventually(t, "the consumer has the newest", func() (bool, any) {
		own, theirs := serialOf(m.workload(t)), serialOf(secret(t, web, "orders-token"))
		return own == theirs, theirs
	})
	edit(t, cred, func(cred *v1alpha1.FluentCredential) { cred.Spec.AllowedNamespaces, cred.Spec.Suspend = nil, false })
	s := &shared{running: m.running, web: web, token: fluentToken(web, cred)}
	s.mustWithhold(t)
	rotatedPast(reread(t, cred).Status.Token.Serial + 3)
	seen := end()
	for i := 1; i < len(seen.serials); i++ {
		if seen.serials[i] <= seen.serials[i-1] {
			t.Errorf("serial %d was written after %d", seen.serials[i], seen.serials[i-1])
		}
	}
	if len(seen.serials) < 10 || seen.deleted != 1 {
		t.Errorf("%d writes and %d deletions, want ten at least, and one: %v", len(seen.serials), seen.deleted, seen.serials)
	}
	ledger := sim.Ledger()
	if most := mostPresented(ledger); ledger.Reuses != 0 || most != 1 {
		t.Errorf("%d reuses, one refresh token presented %d times; want 0 and once", ledger.Reuses, most)
	}
}
