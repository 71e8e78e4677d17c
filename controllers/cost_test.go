package controllers

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// bill counts what a rotation asks of the Kubernetes API.
type bill struct {
	client.Client
	requests map[string]int
}

func (b *bill) Update(ctx context.Context, object client.Object, options ...client.UpdateOption) error {
	b.requests["update"]++
	return b.Client.Update(ctx, object, options...)
}

func (b *bill) Patch(ctx context.Context, object client.Object, patch client.Patch, options ...client.PatchOption) error {
	b.requests["patch"]++
	return b.Client.Patch(ctx, object, patch, options...)
}

func (b *bill) Create(ctx context.Context, object client.Object, options ...client.CreateOption) error {
	b.requests["create"]++
	return b.Client.Create(ctx, object, options...)
}

func (b *bill) Status() client.SubResourceWriter { return billedStatus{b.Client.Status(), b} }

type billedStatus struct {
	client.SubResourceWriter
	bill *bill
}

func (s billedStatus) Patch(ctx context.Context, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
	s.bill.requests["patch status"]++
	return s.SubResourceWriter.Patch(ctx, object, patch, options...)
}

// billedReader counts reads that no cache answers.
type billedReader struct {
	client.Reader
	bill *bill
}

func (r billedReader) Get(ctx context.Context, key types.NamespacedName, into client.Object, options ...client.GetOption) error {
	r.bill.requests["get"]++
	return r.Reader.Get(ctx, key, into, options...)
}

func (r billedReader) List(ctx context.Context, into client.ObjectList, options ...client.ListOption) error {
	r.bill.requests["list"]++
	return r.Reader.List(ctx, into, options...)
}

func (d *driven) presentBill() *bill {
	presented := &bill{Client: d.Client, requests: map[string]int{}}
	d.Client, d.Live = presented, billedReader{d.Live, presented}
	d.Custody.Reader, d.Custody.Writer = billedReader{d.Custody.Reader, presented}, presented
	return presented
}

// TestCostOfARotation: one read and four writes; and a pass with nothing due reads the state and writes nothing.
func TestCostOfARotation(t *testing.T) {
	d := newDriven(t, func(config *authsim.Config) { config.AccessTokenLifetime = time.Hour })
	wait := d.settle()
	presented := d.presentBill()
	rotate := func() {
		d.sleep(wait)
		wait = d.pass()
	}
	rotate()
	if diff := cmp.Diff(map[string]int{"get": 1, "update": 3, "patch status": 1}, presented.requests); diff != "" {
		t.Errorf("requests of a rotation (-want +got)\n%s", diff)
	}
	clear(presented.requests)
	d.pass()
	if diff := cmp.Diff(map[string]int{"get": 1}, presented.requests); diff != "" {
		t.Errorf("requests of a pass with nothing due (-want +got)\n%s", diff)
	}
	allocations := testing.AllocsPerRun(10, rotate)
	t.Logf("%.0f allocations a rotation, those of the clients, of the token server and of this test included", allocations)
	if allocations > mostAllocations {
		t.Errorf("%.0f allocations a rotation, want under %d", allocations, mostAllocations)
	}
}

// mostAllocations is half as many again as there were when they were counted here: 3,400.
const mostAllocations = 5100

// TestLoginGuardsCostTheCacheNothing: there are as many as logins, and they are read live.
func TestLoginGuardsCostTheCacheNothing(t *testing.T) {
	d := newGuarded(t, nil, true)
	d.settle()
	guard := d.guardSecret()
	if guard.Type != v1alpha1.GuardSecretType {
		t.Errorf("a login guard is of the type %s", guard.Type)
	}
	var cached []string
	eventually(t, "the cache has the workload Secret, which came after the guard", func() (bool, any) {
		list := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "SecretList"}}
		err := d.Client.List(t.Context(), list, client.InNamespace(d.cred.Namespace))
		cached = nil
		for i := range list.Items {
			cached = append(cached, list.Items[i].Name)
		}
		return err == nil && slices.Contains(cached, d.cred.TargetName()), cached
	})
	if slices.Contains(cached, guard.Name) {
		t.Errorf("the cache has the login guard: %v", cached)
	}
}
