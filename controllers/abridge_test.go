package controllers

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// largeTarget is as large as admission permits.
func largeTarget() v1alpha1.TargetSpec {
	entries := func(prefix string, count, size int) map[string]string {
		made := map[string]string{}
		for i := range count {
			key := fmt.Sprint(prefix, i)
			made[key] = strings.Repeat("x", size-len(key))
		}
		return made
	}
	return v1alpha1.TargetSpec{Data: entries("d", 4, 16<<10), Annotations: entries("a", 4, 16<<10)}
}

// heap returns the bytes that are in use.
func heap() int64 {
	var stats runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// TestTokensWithoutConsentTakeLittleMemory: an author can make many, as large as admission permits. It is not
// parallel: it measures.
func TestTokensWithoutConsentTakeLittleMemory(t *testing.T) {
	const (
		count = 300
		most  = 8 << 10 // bytes of each
	)
	namespace := newNamespace(t)
	for i := range count {
		token := &v1alpha1.FluentToken{ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: fmt.Sprint("greedy-", i), Labels: map[string]string{"a": "b"},
			Annotations: map[string]string{"note": strings.Repeat("n", 16<<10)},
		}}
		for j := range 64 {
			token.Finalizers = append(token.Finalizers, fmt.Sprintf("example.com/%d-%s", j, strings.Repeat("f", 40)))
		}
		token.Spec.CredentialRef = v1alpha1.CredentialReference{Namespace: "shop", Name: "orders"}
		token.Spec.Target = largeTarget()
		create(t, token)
	}
	before := heap()
	mgr := newIdleManager(t, namespace)
	var list v1alpha1.FluentTokenList
	if err := mgr.GetClient().List(t.Context(), &list, client.UnsafeDisableDeepCopy); err != nil || len(list.Items) != count {
		t.Fatalf("the cache has %d of them: %v", len(list.Items), err)
	}
	list = v1alpha1.FluentTokenList{}
	grew := (heap() - before) / count
	t.Logf("%d bytes for each", grew)
	if grew > most {
		t.Errorf("the cache takes %d bytes for each FluentToken, want %d at most", grew, most)
	}
	runtime.KeepAlive(mgr)
}

// TestUnitCacheKeepsNoMoreThanItNeeds: an author chooses how large an object is.
func TestUnitCacheKeepsNoMoreThanItNeeds(t *testing.T) {
	long := strings.Repeat("x", 100<<10)
	meta := func() metav1.ObjectMeta {
		return metav1.ObjectMeta{
			Namespace: "shop", Name: "orders", UID: "uid", ResourceVersion: "7", Generation: 3,
			Annotations: map[string]string{v1alpha1.RotateAnnotation: "now", "note": long}, Labels: map[string]string{"a": "b"},
			OwnerReferences: []metav1.OwnerReference{{Name: long}}, ManagedFields: []metav1.ManagedFieldsEntry{{Manager: long}},
			Finalizers: []string{v1alpha1.ReleaseFinalizer}, GenerateName: long,
		}
	}
	tests := map[string]struct {
		change   func(*metav1.ObjectMeta, *v1alpha1.TargetSpec)
		abridged bool
		why      string
	}{
		"a usual one":     {func(_ *metav1.ObjectMeta, s *v1alpha1.TargetSpec) { s.Data = one("url", "{{ .Account }}") }, false, "no pass needs another read"},
		"large data":      {func(_ *metav1.ObjectMeta, s *v1alpha1.TargetSpec) { s.Data = one("url", long) }, true, "templates"},
		"annotations":     {func(_ *metav1.ObjectMeta, s *v1alpha1.TargetSpec) { s.Annotations = one("a", long) }, true, "of the target"},
		"many finalizers": {func(m *metav1.ObjectMeta, _ *v1alpha1.TargetSpec) { m.Finalizers = append(m.Finalizers, long) }, true, "no write may drop them"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cred, token := &v1alpha1.FluentCredential{ObjectMeta: meta()}, &v1alpha1.FluentToken{ObjectMeta: meta()}
			test.change(&cred.ObjectMeta, &cred.Spec.Target)
			test.change(&token.ObjectMeta, &token.Spec.Target)
			token.Status.TargetName, cred.Status.LastHandledRotateAt = long, long
			keptCred, _ := stripCredential(cred)
			keptCred, _ = stripCredential(keptCred) // a transform can meet its own result
			keptToken, _ := stripToken(token)
			keptToken, _ = stripToken(keptToken)
			for _, kept := range []any{keptCred, keptToken} {
				object := kept.(client.Object)
				if isAbridged(object) != test.abridged {
					t.Errorf("%T: abridged %v: %s", kept, isAbridged(object), test.why)
				}
				if size := len(encodedStatus(kept)); size > 3<<10 {
					t.Errorf("%T: %d bytes are cached", kept, size)
				}
				if object.GetUID() != "uid" || object.GetGeneration() != 3 || object.GetResourceVersion() != "7" {
					t.Errorf("%T lacks what a pass needs: %+v", kept, object)
				}
				if !test.abridged && !slices.Contains(object.GetFinalizers(), v1alpha1.ReleaseFinalizer) {
					t.Errorf("%T lacks its finalizer", kept)
				}
			}
			if cred.Rotate() != "now" {
				t.Errorf("the rotate annotation is %q", cred.Rotate())
			}
		})
	}
}

// TestUnitCacheKeepsNoWordsOfASelectorThatNoLabelCanHave: they select nothing.
func TestUnitCacheKeepsNoWordsOfASelectorThatNoLabelCanHave(t *testing.T) {
	long := strings.Repeat("x", 100<<10)
	cred := &v1alpha1.FluentCredential{}
	cred.Spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{Selector: &metav1.LabelSelector{
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: long, Operator: "In", Values: []string{long, "good"}}},
	}}
	_, _ = stripCredential(cred)
	want := []metav1.LabelSelectorRequirement{{Key: noLabel, Operator: "In", Values: []string{noLabel, "good"}}}
	if diff := cmp.Diff(want, cred.Spec.AllowedNamespaces.Selector.MatchExpressions); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestUnitCacheShowsThatALongRotateAnnotationChanges without keeping it.
func TestUnitCacheShowsThatALongRotateAnnotationChanges(t *testing.T) {
	seen := map[string]bool{}
	for _, value := range []string{"a", "b"} {
		cred := &v1alpha1.FluentCredential{}
		cred.Annotations = map[string]string{v1alpha1.RotateAnnotation: strings.Repeat(value, 200<<10)}
		_, _ = stripCredential(cred)
		if seen[cred.Rotate()] = true; len(cred.Rotate()) > longestMark || !isAbridged(cred) {
			t.Errorf("%d bytes are kept, abridged %v", len(cred.Rotate()), isAbridged(cred))
		}
	}
	if len(seen) != 2 {
		t.Error("two values look the same")
	}
}

// TestUnitCacheKeepsNoLongMarksOfSecrets: anybody who may write Secrets can give one our label.
func TestUnitCacheKeepsNoLongMarksOfSecrets(t *testing.T) {
	long := strings.Repeat("x", 200<<10)
	yes := true
	secret := secretMetadata()
	secret.Labels = map[string]string{v1alpha1.ManagedByLabel: v1alpha1.OperatorName}
	secret.Annotations = map[string]string{v1alpha1.CredentialAnnotation: long, v1alpha1.SerialAnnotation: "7"}
	secret.OwnerReferences = []metav1.OwnerReference{{Kind: "FluentCredential", APIVersion: "v1", Name: long, Controller: &yes}}
	kept, err := strip(secret)
	if size := len(encodedStatus(kept)); err != nil || size > 1<<10 {
		t.Errorf("%d bytes are cached, %v", size, err)
	}
	if got := kept.(*metav1.PartialObjectMetadata).Annotations; !maps.Equal(got, one(v1alpha1.SerialAnnotation, "7")) {
		t.Errorf("the marks are %v", got)
	}
}

// TestLargeObjectsWorkLikeOthers: what the cache does not keep is read when it is needed, and no finalizer of others is
// lost.
func TestLargeObjectsWorkLikeOthers(t *testing.T) {
	t.Parallel()
	const others = "example.com/others"
	d := newDrivenWith(t, nil, nil, func(cred *v1alpha1.FluentCredential) {
		cred.Finalizers = []string{others}
		cred.Spec.Target.Data = map[string]string{"token": "{{ .AccessToken }}" + strings.Repeat("{{/* x */}}", 500)}
	})
	for range 20 {
		cached := &v1alpha1.FluentCredential{}
		eventually(t, "the cache shows it", func() (bool, any) {
			err := d.Client.Get(t.Context(), keyOf(d.cred), cached)
			return err == nil && cached.ResourceVersion == reread(t, d.cred).ResourceVersion, err
		})
		if !isAbridged(cached) || len(cached.Spec.Target.Data) > 0 {
			t.Fatalf("the cache keeps it whole: %+v", cached)
		}
		result, err := d.Reconcile(t.Context(), cached)
		if err != nil {
			t.Fatal(err)
		}
		if result.RequeueAfter > soon {
			break
		}
	}
	if got := string(secret(t, d.cred.Namespace, "orders-token").Data["token"]); got == "" || d.status().Summary.Reason != v1alpha1.ReasonTokenPublished {
		t.Errorf("%s, the Secret holds %q", d.status().Summary.Reason, got)
	}
	if got := reread(t, d.cred).Finalizers; !slices.Contains(got, others) || !slices.Contains(got, v1alpha1.ReleaseFinalizer) {
		t.Errorf("the finalizers are %v", got)
	}
}

// TestLargeEntriesOfACredentialsSecretAreNotRemembered: a process remembers each login that it has read.
func TestLargeEntriesOfACredentialsSecretAreNotRemembered(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	d.setSeed("password", strings.Repeat("p", 16<<10+1))
	d.settle()
	if says := d.status().Summary; says.Reason != v1alpha1.ReasonCredentialsIncomplete ||
		says.Message != "entry password of Secret orders-login has 16385 bytes: at most 16384 are read" {
		t.Errorf("the status says %+v", says)
	}
	if known := d.memory.of(keyOf(d.cred), reread(t, d.cred).UID).login.login; !known.Password.IsZero() {
		t.Error("it is remembered")
	}
	d.setSeed("password", password)
	d.settle()
	if says := d.status().Summary; says.Reason != v1alpha1.ReasonTokenPublished {
		t.Errorf("afterwards the status says %+v", says)
	}
}
