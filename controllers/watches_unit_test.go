package controllers

import (
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
)

// cachedSecret is a Secret as the cache shows it.
func cachedSecret(name string, change func(*metav1.PartialObjectMetadata)) *metav1.PartialObjectMetadata {
	secret := secretMetadata()
	secret.Namespace, secret.Name, secret.ResourceVersion = "shop", name, "1"
	if change != nil {
		change(secret)
	}
	return secret
}

// ours makes it the operator's.
func ours(secret *metav1.PartialObjectMetadata) {
	secret.Labels = map[string]string{v1alpha1.ManagedByLabel: v1alpha1.OperatorName, v1alpha1.CredentialLabel: "uid"}
	secret.Annotations = map[string]string{v1alpha1.CredentialAnnotation: "orders"}
}

// publishedAt is the workload Secret with that serial.
func publishedAt(serial string) *metav1.PartialObjectMetadata {
	return cachedSecret("orders-token", func(s *metav1.PartialObjectMetadata) { ours(s); s.Annotations[v1alpha1.SerialAnnotation] = serial })
}

func TestUnitSecretChanged(t *testing.T) {
	now := metav1.Now()
	deleted := func(s *metav1.PartialObjectMetadata) { s.DeletionTimestamp = &now }
	state, state2 := cachedSecret(custody.Names("orders")[0], ours), cachedSecret(custody.Names("orders")[1], ours)
	login := cachedSecret("orders-login", nil)
	tests := map[string]struct {
		why    string
		before *metav1.PartialObjectMetadata
		change func(*metav1.PartialObjectMetadata)
		want   bool
	}{
		"a login that changed":  {"it may be the right one now", login, nil, true},
		"a login that is going": {"it is missing from now on", login, deleted, true},
		"a resync":              {"nothing happened", login, func(s *metav1.PartialObjectMetadata) { s.ResourceVersion = "1" }, false},
		"our publication": {
			"the operator knows what it wrote", publishedAt("3"), func(s *metav1.PartialObjectMetadata) { s.Annotations[v1alpha1.SerialAnnotation] = "4" }, false,
		},
		"our first publication into a Secret that was left behind": {
			"the operator knows what it wrote", publishedAt(""), func(s *metav1.PartialObjectMetadata) { s.Annotations[v1alpha1.SerialAnnotation] = "1" }, false,
		},
		"an edit of the workload Secret": {"it is repaired", publishedAt("3"), nil, true},
		"an older publication": {
			"it came out of a backup", publishedAt("3"), func(s *metav1.PartialObjectMetadata) { s.Annotations[v1alpha1.SerialAnnotation] = "2" }, true,
		},
		"a serial that is none": {
			"somebody edited it", publishedAt("3"), func(s *metav1.PartialObjectMetadata) { s.Annotations[v1alpha1.SerialAnnotation] = "many" }, true,
		},
		"a label that was taken": {
			"it is repaired", publishedAt("3"), func(s *metav1.PartialObjectMetadata) { delete(s.Labels, v1alpha1.ManagedByLabel) }, true,
		},
		"a serial that was raised on a Secret that is not ours": {
			"only our own writes are known", cachedSecret("theirs", nil),
			func(s *metav1.PartialObjectMetadata) {
				s.Annotations = map[string]string{v1alpha1.SerialAnnotation: "9"}
			}, true,
		},
		"a workload Secret that is going":   {"it is made again", publishedAt("3"), deleted, true},
		"our rotation":                      {"the operator knows what it wrote", state, nil, false},
		"our rotation under the other name": {"the operator knows what it wrote", state2, nil, false},
		"a reply that was stored late": {
			"whoever gave it up waits for nothing", state, func(s *metav1.PartialObjectMetadata) { s.Annotations[v1alpha1.LateReplyAnnotation] = "claim-2" }, true,
		},
		"our rotation, after a reply that was stored late": {
			"it was told then", cachedSecret(custody.Names("orders")[0], func(s *metav1.PartialObjectMetadata) {
				ours(s)
				s.Annotations[v1alpha1.LateReplyAnnotation] = "claim-2"
			}), nil, false,
		},
		"a state Secret that is going":           {"its content is brought to safety", state, deleted, true},
		"a state Secret whose labels were taken": {"they are put on again", state, func(s *metav1.PartialObjectMetadata) { s.Labels = nil }, true},
		"a Secret that is named like a state Secret": {
			"it is somebody else's", cachedSecret(custody.Names("orders")[0], nil), nil, true,
		},
		"a workload Secret that is named like another's state Secret": {
			"it is repaired like any other",
			cachedSecret(custody.Names("others")[0], func(s *metav1.PartialObjectMetadata) { ours(s); s.Annotations[v1alpha1.SerialAnnotation] = "3" }), nil, true,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			after := test.before.DeepCopy()
			after.ResourceVersion = "2"
			if test.change != nil {
				test.change(after)
			}
			if got := secretChanged().Update(event.UpdateEvent{ObjectOld: test.before, ObjectNew: after}); got != test.want {
				t.Errorf("lets it through: %t, want %t: %s", got, test.want, test.why)
			}
		})
	}
	for name, object := range map[string]client.Object{"a login": login, "a workload Secret": publishedAt("3"), "a state Secret": state} {
		if !secretChanged().Delete(event.DeleteEvent{Object: object}) {
			t.Errorf("%s that is gone is not let through", name)
		}
		if !secretChanged().Create(event.CreateEvent{Object: object}) {
			t.Errorf("%s that is new is not let through", name)
		}
	}
}

func TestUnitCredentialChanged(t *testing.T) {
	now := metav1.Now()
	tests := map[string]struct {
		why    string
		change func(*v1alpha1.FluentCredential)
		want   bool
	}{
		"the spec":              {"the generation tells", func(c *v1alpha1.FluentCredential) { c.Generation++ }, true},
		"a deletion":            {"it raises the generation", func(c *v1alpha1.FluentCredential) { c.DeletionTimestamp = &now; c.Generation++ }, true},
		"the rotate annotation": {"a person asks", func(c *v1alpha1.FluentCredential) { c.Annotations[v1alpha1.RotateAnnotation] = "now" }, true},
		"taken back":            {"a person asks no more", func(c *v1alpha1.FluentCredential) { delete(c.Annotations, v1alpha1.RotateAnnotation) }, true},
		"another annotation":    {"nothing reads it", func(c *v1alpha1.FluentCredential) { c.Annotations["team"] = "shop" }, false},
		"the operator's status": {"it is no news to it", func(c *v1alpha1.FluentCredential) { c.Status.TargetName = "orders-token" }, false},
		"another object":        {"a watch that was interrupted shows it as an update", func(c *v1alpha1.FluentCredential) { c.UID = "other" }, true},
		"a status from a backup": {"nothing else would correct it", func(c *v1alpha1.FluentCredential) {
			c.Status.Conditions[0].LastTransitionTime = metav1.NewTime(now.Add(-time.Hour))
		}, true},
		"a condition that changed": {"the operator wrote it", func(c *v1alpha1.FluentCredential) {
			c.Status.Conditions[0].LastTransitionTime = metav1.NewTime(now.Add(time.Hour))
		}, false},
		"the operator's own end": {"it is no news to it", func(c *v1alpha1.FluentCredential) { c.Finalizers = []string{v1alpha1.ReleaseFinalizer} }, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := &v1alpha1.FluentCredential{}
			before.Name, before.Generation, before.Annotations = "orders", 1, map[string]string{v1alpha1.RotateAnnotation: "then"}
			before.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, LastTransitionTime: now}}
			after := before.DeepCopy()
			test.change(after)
			if got := credentialChanged().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: after}); got != test.want {
				t.Errorf("lets it through: %t, want %t: %s", got, test.want, test.why)
			}
		})
	}
}

// TestUnitTokenChanged: what concerns a FluentToken beside its generation.
func TestUnitTokenChanged(t *testing.T) {
	now := metav1.Now()
	for name, test := range map[string]struct {
		why    string
		change func(*v1alpha1.FluentToken)
		want   bool
	}{
		"the spec":               {"the generation tells", func(token *v1alpha1.FluentToken) { token.Generation++ }, true},
		"a finalizer is gone":    {"it is put on again", func(token *v1alpha1.FluentToken) { token.Finalizers = nil }, true},
		"another object":         {"a watch that was interrupted shows it as an update", func(token *v1alpha1.FluentToken) { token.UID = "other" }, true},
		"a label":                {"nothing reads it", func(token *v1alpha1.FluentToken) { token.Labels = map[string]string{"team": "shop"} }, false},
		"the operator's status":  {"it is no news to it", func(token *v1alpha1.FluentToken) { token.Status.TargetName = "page-token" }, false},
		"a status from a backup": {"nothing else would correct it", func(token *v1alpha1.FluentToken) { token.Status.Conditions = nil }, true},
	} {
		t.Run(name, func(t *testing.T) {
			before := &v1alpha1.FluentToken{}
			before.Name, before.Generation, before.Finalizers = "page", 1, []string{v1alpha1.ReleaseFinalizer}
			before.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, LastTransitionTime: now}}
			after := before.DeepCopy()
			test.change(after)
			if got := tokenChanged().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: after}); got != test.want {
				t.Errorf("lets it through: %t, want %t: %s", got, test.want, test.why)
			}
		})
	}
}

func TestUnitStrip(t *testing.T) {
	full := func() *metav1.PartialObjectMetadata {
		return cachedSecret("orders-token", func(s *metav1.PartialObjectMetadata) {
			ours(s)
			s.UID = "uid-of-secret"
			s.Annotations[v1alpha1.SerialAnnotation], s.Annotations["theirs"], s.Labels["theirs"] = "3", "x", "y"
			s.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
			s.OwnerReferences = []metav1.OwnerReference{{UID: "uid"}}
		})
	}
	stripped, err := strip(full())
	if err != nil {
		t.Fatal(err)
	}
	want := cachedSecret("orders-token", func(s *metav1.PartialObjectMetadata) {
		ours(s)
		delete(s.Labels, v1alpha1.CredentialLabel)
		s.TypeMeta, s.UID = metav1.TypeMeta{}, "uid-of-secret"
		s.Annotations[v1alpha1.SerialAnnotation] = "3"
	})
	if diff := cmp.Diff(want, stripped); diff != "" {
		t.Errorf("what is looked at stays, and nothing else (-want +got)\n%s", diff)
	}
	foreign := full()
	foreign.Labels = map[string]string{"theirs": "y"}
	stripped, _ = strip(foreign)
	if kept := stripped.(*metav1.PartialObjectMetadata); len(kept.Labels)+len(kept.Annotations) > 0 || kept.UID == "" || kept.ResourceVersion == "" {
		t.Errorf("of a foreign Secret only the version is kept: %+v", kept.ObjectMeta)
	}
	credential := &v1alpha1.FluentCredential{}
	if kept, _ := strip(credential); kept != any(credential) {
		t.Error("what is no Secret is left as it is")
	}
}

// TestUnitStripKeepsWhatTheWatchesLookAt: a Secret out of the cache is told apart as well as the whole one.
func TestUnitStripKeepsWhatTheWatchesLookAt(t *testing.T) {
	for name, secret := range map[string]*metav1.PartialObjectMetadata{
		"login": cachedSecret("orders-login", nil), "workload": publishedAt("3"), "state": cachedSecret(custody.Names("orders")[0], ours),
	} {
		whole := secret.DeepCopy()
		whole.Labels, whole.Annotations = maps.Clone(secret.Labels), maps.Clone(secret.Annotations)
		kept, err := strip(secret)
		if err != nil {
			t.Fatal(err)
		}
		object := kept.(client.Object)
		if isState(object) != isState(whole) || serialOf(object) != serialOf(whole) || !cmp.Equal(ownerOf(object), ownerOf(whole)) {
			t.Errorf("the %s Secret is taken for something else", name)
		}
	}
}
