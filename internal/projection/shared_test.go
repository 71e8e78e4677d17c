package projection

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

const manager = "fluent-credential-operator"

// owning are managed fields as the API server keeps them.
func owning(who, fields string) metav1.ManagedFieldsEntry {
	return metav1.ManagedFieldsEntry{Manager: who, Operation: metav1.ManagedFieldsOperationUpdate, FieldsV1: metav1.NewFieldsV1(fields)}
}

// former is what a former spec asked for as well, with the fields that show it.
func former(secret *corev1.Secret) {
	secret.Labels["former"], secret.Annotations["former"], secret.Data["former"] = "x", "x", []byte("x")
	secret.ManagedFields = []metav1.ManagedFieldsEntry{owning(manager,
		`{"f:data":{".":{},"f:former":{},"f:access_token":{}},"f:metadata":{"f:labels":{"f:former":{}},"f:annotations":{"f:former":{}}}}`)}
}

func TestFind(t *testing.T) {
	dropped := Keys{Labels: []string{"former"}, Annotations: []string{"former"}, Data: []string{"former"}}
	tests := map[string]struct {
		why    string
		change func(*corev1.Secret)
		want   Found
	}{
		"as written":       {"it can be replaced", func(*corev1.Secret) {}, Found{}},
		"something lacks":  {"a replacement brings it back", func(s *corev1.Secret) { delete(s.Data, "token_type"); s.Labels = nil }, Found{}},
		"of a former spec": {"what we wrote and do not want is to go", former, Found{Dropped: dropped}},
		"former, edited": {"what somebody else wrote last is theirs", func(s *corev1.Secret) {
			former(s)
			s.ManagedFields[0].Manager = "kubectl-edit"
		}, Found{Shared: true}},
		"broken fields": {"what nobody can read owns nothing", func(s *corev1.Secret) {
			former(s)
			s.ManagedFields[0].FieldsV1 = metav1.NewFieldsV1("{")
		}, Found{Shared: true}},
		"a label more":       {"it is somebody's", func(s *corev1.Secret) { s.Labels["x"] = "y" }, Found{Shared: true}},
		"an annotation more": {"it is somebody's", func(s *corev1.Secret) { s.Annotations["x"] = "y" }, Found{Shared: true}},
		"a key more":         {"it is somebody's", func(s *corev1.Secret) { s.Data["x"] = nil }, Found{Shared: true}},
		"a finalizer":        {"it is somebody's", func(s *corev1.Secret) { s.Finalizers = []string{"x/y"} }, Found{Shared: true}},
		"another owner": {"it is somebody's", func(s *corev1.Secret) {
			s.OwnerReferences = append(s.OwnerReferences, metav1.OwnerReference{Kind: "ConfigMap", UID: "2d7e"})
		}, Found{Shared: true}},
		"a former owner": {"an object of the same name that is gone", func(s *corev1.Secret) {
			s.OwnerReferences[0].UID = "1c6d"
		}, Found{Dropped: Keys{Owners: []string{"1c6d"}}}},
	}
	for name, test := range tests {
		secret := orders().Secret("41")
		test.change(secret)
		got := orders().Find(secret, manager)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s (-want +got)\n%s", name, test.why, diff)
		}
		if tidy := cmp.Equal(test.want.Dropped, Keys{}); got.IsTidy() != tidy {
			t.Errorf("%s: tidy: %t", name, got.IsTidy())
		}
	}
}

// TestPatch: a patch makes the Secret what is wanted, and what others put there stays.
func TestPatch(t *testing.T) {
	secret := published(t, orders())
	former(secret)
	secret.OwnerReferences[0].UID, secret.OwnerReferences[0].Name = "1c6d", "orders"
	secret.OwnerReferences = append(secret.OwnerReferences, metav1.OwnerReference{Kind: "ConfigMap", Name: "theirs", UID: "2d7e"})
	secret.Data["access_token"] = []byte("edited")
	wanted := orders()
	patch, err := wanted.Patch("41", wanted.Find(secret, manager).Dropped)
	if err != nil {
		t.Fatal(err)
	}
	before, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	after, err := strategicpatch.StrategicMergePatch(before, patch, corev1.Secret{})
	if err != nil {
		t.Fatal(err)
	}
	var got corev1.Secret
	if err := json.Unmarshal(after, &got); err != nil {
		t.Fatal(err)
	}
	want := published(t, wanted)
	want.ResourceVersion, want.ManagedFields = "41", secret.ManagedFields
	if diff := cmp.Diff(want.Data, got.Data); diff != "" {
		t.Errorf("data (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]any{want.Labels, want.Annotations}, []any{got.Labels, got.Annotations}); diff != "" {
		t.Errorf("metadata (-want +got)\n%s", diff)
	}
	owners := map[types.UID]bool{}
	for _, owner := range got.OwnerReferences {
		owners[owner.UID] = true
	}
	if diff := cmp.Diff(map[types.UID]bool{"0b5c": true, "2d7e": true}, owners); diff != "" {
		t.Errorf("owners (-want +got)\n%s", diff)
	}
}

func TestShapeIsOfTheKeysAlone(t *testing.T) {
	same := orders()
	same.Serial, same.Data["access_token"] = 99, []byte("b")
	if same.Shape() != orders().Shape() {
		t.Error("another token has another shape: each rotation would read the Secret")
	}
	for name, change := range map[string]func(*Workload){
		"a label":               func(w *Workload) { w.Labels["more"] = "" },
		"an annotation":         func(w *Workload) { w.Annotations["more"] = "" },
		"a key":                 func(w *Workload) { w.Data["more"] = nil },
		"no key":                func(w *Workload) { w.Data = nil },
		"labels as annotations": func(w *Workload) { w.Labels, w.Annotations = w.Annotations, w.Labels },
	} {
		other := orders()
		change(&other)
		if other.Shape() == orders().Shape() {
			t.Errorf("%s changed, and the shape is the same", name)
		}
	}
}
