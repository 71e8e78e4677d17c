package projection

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func orders() Workload {
	return Workload{
		Namespace: "shop", Name: "orders-token", Type: "Opaque", Serial: 17,
		Labels: map[string]string{"team": "orders"}, Annotations: map[string]string{"note": "mounted by the importer"},
		Data:  map[string][]byte{"access_token": []byte("a"), "token_type": []byte("Bearer")},
		Owner: Owner{Kind: Credential, Name: "orders", UID: "0b5c"},
	}
}

// published is the workload Secret as the API server holds it, with what others may add to it.
func published(t *testing.T, w Workload) *corev1.Secret {
	t.Helper()
	secret := w.Secret("")
	secret.Labels["added-by"] = "somebody"
	secret.Annotations["added-by"] = "somebody"
	secret.Data["added"] = []byte("by somebody")
	return secret
}

func TestSecret(t *testing.T) {
	got, err := json.MarshalIndent(orders().Secret("41"), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	want := `{
 "metadata": {
  "name": "orders-token",
  "namespace": "shop",
  "resourceVersion": "41",
  "labels": {
   "app.kubernetes.io/managed-by": "fluent-credential-operator",
   "auth.fluent-credential.dev/credential-uid": "0b5c",
   "team": "orders"
  },
  "annotations": {
   "auth.fluent-credential.dev/credential": "orders",
   "auth.fluent-credential.dev/serial": "17",
   "note": "mounted by the importer"
  },
  "ownerReferences": [
   {
    "apiVersion": "auth.fluent-credential.dev/v1alpha1",
    "kind": "FluentCredential",
    "name": "orders",
    "uid": "0b5c",
    "controller": true,
    "blockOwnerDeletion": true
   }
  ]
 },
 "data": {
  "access_token": "YQ==",
  "token_type": "QmVhcmVy"
 },
 "type": "Opaque"
}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("written wrongly (-want +got)\n%s", diff)
	}
}

func TestOursWinsOverTheUsers(t *testing.T) {
	w := orders()
	w.Labels = map[string]string{"app.kubernetes.io/managed-by": "somebody"}
	w.Annotations = map[string]string{"auth.fluent-credential.dev/serial": "99"}
	secret := w.Secret("")
	if got := secret.Labels["app.kubernetes.io/managed-by"]; got != "fluent-credential-operator" {
		t.Errorf("the label says %s, and nobody would find the Secret by it", got)
	}
	if got := secret.Annotations["auth.fluent-credential.dev/serial"]; got != "17" {
		t.Errorf("the serial says %s, and a lower one could not replace it", got)
	}
	if w.Labels["app.kubernetes.io/managed-by"] != "somebody" {
		t.Error("the spec's own map was changed")
	}
}

func TestWhatIsCalledLikeOursIsOursAlone(t *testing.T) {
	w := orders()
	w.Labels = map[string]string{"auth.fluent-credential.dev/token-uid": "1c6d", "auth.fluent-credential.dev": "theirs"}
	w.Annotations = map[string]string{"auth.fluent-credential.dev/token": "orders", "auth.fluent-credential.dev/source-uid": "2d7e", "note": "theirs"}
	secret := w.Secret("")
	wanted := map[string]string{
		"app.kubernetes.io/managed-by": "fluent-credential-operator", "auth.fluent-credential.dev/credential-uid": "0b5c",
		"auth.fluent-credential.dev": "theirs",
	}
	if diff := cmp.Diff(wanted, secret.Labels); diff != "" {
		t.Errorf("by its labels it is another's (-want +got)\n%s", diff)
	}
	wanted = map[string]string{"auth.fluent-credential.dev/credential": "orders", "auth.fluent-credential.dev/serial": "17", "note": "theirs"}
	if diff := cmp.Diff(wanted, secret.Annotations); diff != "" {
		t.Errorf("by its annotations it is another's (-want +got)\n%s", diff)
	}
	if !w.Matches(secret) {
		t.Error("what was written is not what is wanted: it would be written again and again")
	}
}

func TestMatches(t *testing.T) {
	cases := map[string]struct {
		change func(*corev1.Secret)
		want   bool
		why    string
	}{
		"as written":            {func(*corev1.Secret) {}, true, "what others add is theirs"},
		"type left to default":  {func(s *corev1.Secret) { s.Type = "" }, true, "an empty type is Opaque"},
		"label changed":         {func(s *corev1.Secret) { s.Labels["team"] = "sales" }, false, "it is not what is wanted"},
		"label gone":            {func(s *corev1.Secret) { delete(s.Labels, "team") }, false, "it is not what is wanted"},
		"our label gone":        {func(s *corev1.Secret) { delete(s.Labels, "app.kubernetes.io/managed-by") }, false, "the Secret would not be found by it"},
		"annotation changed":    {func(s *corev1.Secret) { s.Annotations["note"] = "" }, false, "it is not what is wanted"},
		"annotation gone":       {func(s *corev1.Secret) { s.Annotations = nil }, false, "it is not what is wanted"},
		"serial lower":          {func(s *corev1.Secret) { s.Annotations["auth.fluent-credential.dev/serial"] = "16" }, false, "another token is in it"},
		"data changed":          {func(s *corev1.Secret) { s.Data["access_token"] = []byte("b") }, false, "somebody edited the token"},
		"data cut":              {func(s *corev1.Secret) { s.Data["access_token"] = nil }, false, "somebody emptied the token"},
		"data gone":             {func(s *corev1.Secret) { delete(s.Data, "token_type") }, false, "a key is missing"},
		"no data":               {func(s *corev1.Secret) { s.Data = nil }, false, "every key is missing"},
		"another type":          {func(s *corev1.Secret) { s.Type = "example.com/token" }, false, "it is not what is wanted, and the API server will say why"},
		"owner gone":            {func(s *corev1.Secret) { s.OwnerReferences = nil }, false, "nobody would remove it"},
		"owner of another life": {func(s *corev1.Secret) { s.OwnerReferences[0].UID = "1c6d" }, false, "a former object of that name owned it"},
		"second owner": {func(s *corev1.Secret) {
			s.OwnerReferences = append(s.OwnerReferences, metav1.OwnerReference{UID: "2d7e"})
		}, true, "what others add is theirs"},
	}
	for name, c := range cases {
		secret := published(t, orders())
		c.change(secret)
		if got := orders().Matches(secret); got != c.want {
			t.Errorf("%s: got %t, want %t, because %s", name, got, c.want, c.why)
		}
	}
}

func TestMatchesAnEmptyValue(t *testing.T) {
	w := orders()
	w.Labels["flag"], w.Data["flag"] = "", nil
	if !w.Matches(published(t, w)) {
		t.Error("what was written does not match")
	}
	for name, change := range map[string]func(*corev1.Secret){
		"label": func(s *corev1.Secret) { delete(s.Labels, "flag") },
		"entry": func(s *corev1.Secret) { delete(s.Data, "flag") },
	} {
		secret := published(t, w)
		change(secret)
		if w.Matches(secret) {
			t.Errorf("an empty %s counts as there although it is gone", name)
		}
	}
}

func TestDigestChangesWithEverything(t *testing.T) {
	changes := map[string]func(*Workload){
		"nothing":             func(*Workload) {},
		"namespace":           func(w *Workload) { w.Namespace = "shop2" },
		"name":                func(w *Workload) { w.Name = "orders-token2" },
		"type":                func(w *Workload) { w.Type = "example.com/token" },
		"serial":              func(w *Workload) { w.Serial++ },
		"label's value":       func(w *Workload) { w.Labels["team"] = "sales" },
		"label's name":        func(w *Workload) { w.Labels = map[string]string{"teams": "orders"} },
		"no labels":           func(w *Workload) { w.Labels = nil },
		"annotation":          func(w *Workload) { w.Annotations["note"] = "changed" },
		"label as annotation": func(w *Workload) { w.Labels, w.Annotations = w.Annotations, w.Labels },
		"value":               func(w *Workload) { w.Data["access_token"] = []byte("b") },
		"key":                 func(w *Workload) { w.Data = map[string][]byte{"token": []byte("a"), "token_type": []byte("Bearer")} },
		"key more":            func(w *Workload) { w.Data["more"] = nil },
		"values swapped": func(w *Workload) {
			w.Data["access_token"], w.Data["token_type"] = w.Data["token_type"], w.Data["access_token"]
		},
		"owner's name": func(w *Workload) { w.Owner.Name = "orders2" },
		"owner's UID":  func(w *Workload) { w.Owner.UID = "1c6d" },
	}
	digests := map[string]string{}
	for name, change := range changes {
		w := orders()
		change(&w)
		digest := w.Digest()
		if other, seen := digests[digest]; seen {
			t.Errorf("with %s changed the digest is the same as with %s changed", name, other)
		}
		digests[digest] = name
		if again := w.Digest(); again != digest {
			t.Errorf("with %s changed the digest is not the same twice", name)
		}
	}
}
