package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// admissionObjects are the policies and bindings of config/admission, with the operator's user of a namespace.
func admissionObjects(t *testing.T, home string) []client.Object {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "config", "admission", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var objects []client.Object
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		named := strings.ReplaceAll(string(text), "system:serviceaccount:system:", "system:serviceaccount:"+home+":")
		for document := range strings.SplitSeq(named, "\n---\n") {
			var object client.Object = &admissionv1.ValidatingAdmissionPolicy{}
			if strings.Contains(document, "kind: ValidatingAdmissionPolicyBinding") {
				object = &admissionv1.ValidatingAdmissionPolicyBinding{}
			}
			if err := yaml.Unmarshal([]byte(document), object); err != nil {
				t.Fatal(err)
			}
			if object.GetName() != "" {
				objects = append(objects, object)
			}
		}
	}
	return objects
}

// testDoctorFindsPolicies installs the policies, and then weakens and removes one. They hold for a namespace only, so
// that they do not disturb other tests.
func testDoctorFindsPolicies(t *testing.T, doctor func(int) map[string][]finding, home string) {
	t.Helper()
	finds(t, doctor(0), "policies", warning, "fluent-credential-authors is not in force: the policy does not exist, so who may write")
	var authors *admissionv1.ValidatingAdmissionPolicyBinding
	for _, object := range admissionObjects(t, home) {
		create(t, object)
		t.Cleanup(func() { remove(t, object) })
		if binding, ok := object.(*admissionv1.ValidatingAdmissionPolicyBinding); ok && binding.Name == "fluent-credential-authors" {
			authors = binding
		}
	}
	finds(t, doctor(0), "policies", okay, "all 5 admission policies are in force")
	authors.Spec.ValidationActions = []admissionv1.ValidationAction{admissionv1.Warn}
	if err := live.Update(t.Context(), authors); err != nil {
		t.Fatal(err)
	}
	finds(t, doctor(0), "policies", warning, "fluent-credential-authors is not in force: the validationActions of its binding do not include Deny")
	for _, object := range admissionObjects(t, home) {
		remove(t, object)
	}
	waitUntilNothingIsEnforced(t, home)
}

// waitUntilNothingIsEnforced waits until the API server has noticed that the policies are gone: other tests come next.
func waitUntilNothingIsEnforced(t *testing.T, namespace string) {
	t.Helper()
	permit(t, namespace, "probe", rbacv1.PolicyRule{
		APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"fluentcredentials"}, Verbs: []string{"*"},
	})
	author := actingAs(t, "probe")
	for {
		state := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "probe-fluent-state"}, Type: v1alpha1.StateSecretType,
		}
		ofState := live.Create(t.Context(), state, client.DryRunAll)
		ofAuthor := author.Create(t.Context(), credential(namespace, "probe", "https://example.com"), client.DryRunAll)
		if ofState == nil && ofAuthor == nil {
			return
		}
		for _, err := range []error{ofState, ofAuthor} {
			if err != nil && !apierrors.IsForbidden(err) {
				t.Fatal(err)
			}
		}
	}
}

// actingAs is a client that impersonates a user.
func actingAs(t *testing.T, user string) client.Client {
	t.Helper()
	config := *cluster
	config.Impersonate.UserName = user
	made, err := client.New(&config, client.Options{Scheme: newScheme()})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// permit gives a user rules in a namespace, and waits until the API server knows the last of them.
func permit(t *testing.T, namespace, user string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	createRaw(t, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: user}, Rules: rules})
	createRaw(t, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: user},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user},
		Subjects:   []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: user}},
	})
	last := rules[len(rules)-1]
	for allowed := false; !allowed; {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user, ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: namespace, Group: last.APIGroups[0], Resource: last.Resources[0], Verb: last.Verbs[0],
			},
		}}
		if err := live.Create(t.Context(), review); err != nil {
			t.Fatal(err)
		}
		allowed = review.Status.Allowed
	}
}

// TestCheckOfTheAuthorsRights: what the policy refuses is found before, all of it, with the right that is missing.
func TestCheckOfTheAuthorsRights(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, nil), newNamespace(t)
	objects := v1alpha1.GroupVersion.Group
	write := rbacv1.PolicyRule{APIGroups: []string{objects}, Resources: []string{"fluentcredentials", "fluenttokens"}, Verbs: []string{"*"}}
	permit(t, namespace, "editor", write)
	permit(t, namespace, "owner", write, rbacv1.PolicyRule{APIGroups: []string{"", "apps"}, Resources: []string{"*"}, Verbs: []string{"*"}})
	cred := credential(namespace, "orders", sim.URL)
	cred.Spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{Names: []string{"web"}}
	cred.Spec.Delivery.Restart = []v1alpha1.RestartReference{{Kind: v1alpha1.RestartStatefulSet, Name: "stock"}}
	file := manifest(t, written(cred), writtenLogin(namespace, "orders-login", fullLogin()))
	check := func(code int, file, user string) map[string][]finding {
		t.Helper()
		return levels(t, must(t, code, "", "check", file, "--insecure-http", "-o", "json", "--as", user))
	}
	finds(t, check(0, file, "owner"), "author", okay, "you have the rights that it needs of its author")
	found := check(0, file, "editor")
	finds(t, found, "author", warning, "you may not get secrets/orders-login: spec.credentialsSecretRef refers to it. The API server accepts it")
	finds(t, check(0, file, "stranger"), "author", skipped, "you may not create fluentcredentials")

	enforceAuthors(t, namespace)
	found = check(exitAttention, file, "editor")
	finds(t, found, "manifest", failure, "this needs the right to get Secret orders-login in namespace "+namespace+", which editor lacks")
	finds(t, found, "author", failure, "you may not get secrets/orders-login")
	finds(t, found, "author", failure, "you may not create secrets: the target Secret is written")
	finds(t, found, "author", failure, "you may not get secrets/"+cred.TargetName()+": spec.allowedNamespaces gives its token away")
	finds(t, found, "author", failure, "you may not patch statefulsets/stock: delivery.restart names it")
	finds(t, check(0, file, "owner"), "manifest", okay, "the API server accepts it")

	token := map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "FluentToken",
		"metadata": map[string]any{"name": "stock", "namespace": namespace},
		"spec":     map[string]any{"credentialRef": map[string]any{"namespace": "shop", "name": "orders"}},
	}
	finds(t, check(exitAttention, manifest(t, token), "editor"), "ftok/stock: author", failure, "you may not create secrets")

	create(t, credential(namespace, "plain", sim.URL))
	plain := manifest(t, written(credential(namespace, "plain", sim.URL)), writtenLogin(namespace, "orders-login", fullLogin()))
	finds(t, check(0, plain, "editor"), "author", warning, "nothing of that is new")
}

// enforceAuthors enforces the policy on authors in one namespace.
func enforceAuthors(t *testing.T, namespace string) {
	t.Helper()
	for _, object := range admissionObjects(t, "nowhere") {
		if object.GetName() != "fluent-credential-authors" {
			continue
		}
		object.SetName(object.GetName() + "-of-" + namespace)
		if binding, ok := object.(*admissionv1.ValidatingAdmissionPolicyBinding); ok {
			binding.Spec.PolicyName = object.GetName()
			binding.Spec.MatchResources = &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{
				MatchLabels: map[string]string{"kubernetes.io/metadata.name": namespace},
			}}
		}
		create(t, object)
		t.Cleanup(func() { remove(t, object) })
	}
	probe := credential(namespace, "probe", "https://example.com")
	editor := actingAs(t, "editor")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for editor.Create(ctx, probe.DeepCopy(), client.DryRunAll) == nil {
		select {
		case <-ctx.Done():
			t.Fatal("the policy is not enforced")
		case <-time.After(20 * time.Millisecond):
		}
	}
}
