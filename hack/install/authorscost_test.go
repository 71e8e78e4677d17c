package install

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	"k8s.io/client-go/discovery"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// TestAuthorsPolicyIsAffordable: the largest objects that the CRD admits stay within the cost limits of the API server,
// which refuses them otherwise.
func TestAuthorsPolicyIsAffordable(t *testing.T) {
	c := policed(t)
	namespace := c.namespace(t, "authors-cost")
	c.hire(t, namespace)
	namespaces := func(prefix string, n int) []string {
		var names []string
		for i := range n {
			names = append(names, fmt.Sprintf("%s-%0*d", prefix, 62-len(prefix), i))
		}
		return names
	}
	kinds := []v1alpha1.RestartKind{v1alpha1.RestartDeployment, v1alpha1.RestartStatefulSet, v1alpha1.RestartDaemonSet}
	large := func(name string) *v1alpha1.FluentCredential {
		return order(namespace, name, func(cred *v1alpha1.FluentCredential) {
			sharing(namespaces("web", 1024)...)(cred)
			cred.Spec.AllowedNamespaces.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{}}
			cred.Spec.Target.Labels = map[string]v1alpha1.LabelValue{}
			cred.Spec.Target.Annotations = map[string]string{}
			for i := range 64 {
				key := fmt.Sprintf("label-%d", i)
				if i < 32 {
					cred.Spec.AllowedNamespaces.Selector.MatchLabels[key] = "value"
				}
				member := fmt.Sprintf("member-%d", i)
				cred.Spec.AllowedNamespaces.ReplyMembers = append(cred.Spec.AllowedNamespaces.ReplyMembers, member)
				cred.Spec.Target.Labels[key] = "value"
				cred.Spec.Target.Annotations[key] = strings.Repeat("a", 1000)
			}
			cred.Spec.Provider.Fluent.CABundle = strings.Repeat("a", 65536)
			for i := range 16 {
				kind := kinds[i%len(kinds)]
				named := v1alpha1.RestartReference{Kind: kind, Name: fmt.Sprintf("workload-%d", i)}
				cred.Spec.Delivery.Restart = append(cred.Spec.Delivery.Restart, named)
			}
		})
	}
	stored := large("stored")
	c.create(t, stored)
	names := func(all []string) string {
		text, _ := json.Marshal(all)
		return fmt.Sprintf(`{"spec":{"allowedNamespaces":{"names":%s}}}`, text)
	}
	backwards := namespaces("web", 1024)
	slices.Reverse(backwards)
	everything := large("stored")
	everything.Spec.Scope = "more"
	everything.Spec.Target.Name = "new"
	everything.Spec.AllowedNamespaces.Names = namespaces("api", 1024)
	for i := range everything.Spec.Delivery.Restart {
		everything.Spec.Delivery.Restart[i].Name += "-new"
	}
	c.try(t, map[string]attempt{
		"create":          {"all at a time", general, creates(large("new")), needsNoRight},
		"create, refused": {"its message is as large", editor, creates(large("new")), needsGet},
		"change all": {
			"every check, and every comparison in vain", general,
			updates(stored, func(cred *v1alpha1.FluentCredential) { cred.Spec = everything.Spec }), needsNoRight,
		},
		"change nothing": {
			"every comparison to its end", editor, updates(stored, func(*v1alpha1.FluentCredential) {}), needsNoRight,
		},
		"take one away": {
			"the longest comparison of two lists", editor,
			patches(stored, names(namespaces("web", 1023))), needsNoRight,
		},
		"take the first away": {
			"the longest comparison of two lists", editor,
			patches(stored, names(namespaces("web", 1024)[1:])), needsNoRight,
		},
		"turn the list round": {
			"the longest comparison of two lists", editor, patches(stored, names(backwards)), needsNoRight,
		},
		"other namespaces": {
			"the shortest one", editor, patches(stored, names(namespaces("api", 1024))), needsToShare,
		},
	})
}

// TestAuthorsPolicyHasNoTypeWarnings checks the expressions as kube-controller-manager does, which puts warnings into
// status.typeChecking.
func TestAuthorsPolicyHasNoTypeWarnings(t *testing.T) {
	c := policed(t)
	discovers, err := discovery.NewDiscoveryClientForConfig(c.config)
	if err != nil {
		t.Fatal(err)
	}
	checker := &validating.TypeChecker{
		SchemaResolver: &resolver.ClientDiscoveryResolver{Discovery: discovers},
		RestMapper:     c.admin.RESTMapper(),
	}
	policy := &admissionv1.ValidatingAdmissionPolicy{}
	if !c.get(t, policy, "", "fluent-credential-authors") {
		t.Fatal("there is no policy")
	}
	for _, warning := range checker.Check(policy) {
		t.Errorf("%s: %s", warning.FieldRef, warning.Warning)
	}
	policy.Spec.Validations = []admissionv1.Validation{{Expression: "object.spec.nothing == 1"}}
	if len(checker.Check(policy)) == 0 {
		t.Error("the type checker finds nothing")
	}
}
