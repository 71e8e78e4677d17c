package policies

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// installation is the policies and bindings of a cluster; an error is what the API server says to every request.
type installation struct {
	client.Reader
	policies map[string]*admissionv1.ValidatingAdmissionPolicy
	bindings map[string]*admissionv1.ValidatingAdmissionPolicyBinding
	err      error
}

func (i *installation) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	if i.err != nil {
		return i.err
	}
	absent := apierrors.NewNotFound(schema.GroupResource{}, key.Name)
	switch into := into.(type) {
	case *admissionv1.ValidatingAdmissionPolicy:
		if i.policies[key.Name] == nil {
			return absent
		}
		i.policies[key.Name].DeepCopyInto(into)
	case *admissionv1.ValidatingAdmissionPolicyBinding:
		if i.bindings[key.Name] == nil {
			return absent
		}
		i.bindings[key.Name].DeepCopyInto(into)
	}
	return nil
}

// asInstalled is what config/admission has, for an operator in the namespace system.
func asInstalled(t *testing.T) *installation {
	t.Helper()
	whole := &installation{
		policies: map[string]*admissionv1.ValidatingAdmissionPolicy{},
		bindings: map[string]*admissionv1.ValidatingAdmissionPolicyBinding{},
	}
	files, err := filepath.Glob(filepath.Join("..", "..", "config", "admission", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for document := range strings.SplitSeq(string(text), "\n---\n") {
			policy, binding := &admissionv1.ValidatingAdmissionPolicy{}, &admissionv1.ValidatingAdmissionPolicyBinding{}
			if yaml.Unmarshal([]byte(document), policy) == nil && policy.Kind == "ValidatingAdmissionPolicy" {
				whole.policies[policy.Name] = policy
			}
			if yaml.Unmarshal([]byte(document), binding) == nil && binding.Kind == "ValidatingAdmissionPolicyBinding" {
				whole.bindings[binding.Name] = binding
			}
		}
	}
	return whole
}

func TestReview(t *testing.T) {
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"team": "web"}}
	ignore := admissionv1.Ignore
	tests := map[string]struct {
		why    string
		user   string
		change func(*installation)
		policy string
		want   State
		cause  string
	}{
		"authors, as installed":          {"the default", User("system"), nil, Authors, Enforced, ""},
		"operator-secrets, as installed": {"the default", User("system"), nil, "fluent-credential-operator-secrets", Enforced, ""},
		"objects, as installed":          {"the default", User("system"), nil, "fluent-credential-operator-objects", Enforced, ""},
		"workloads, as installed":        {"the default", User("system"), nil, "fluent-credential-operator-workloads", Enforced, ""},
		"state-secrets, as installed":    {"the default", User("system"), nil, "fluent-credential-state-secrets", Enforced, ""},
		"another operator": {
			"a second installation took the policy over", User("elsewhere"), nil,
			"fluent-credential-operator-secrets", Weakened, "it does not name this operator, system:serviceaccount:elsewhere:",
		},
		"authors, another operator": {"it holds for everybody", User("elsewhere"), nil, Authors, Enforced, ""},
		"no policy": {
			"it was deleted", User("system"), func(i *installation) { delete(i.policies, Authors) },
			Authors, Missing, "the policy does not exist",
		},
		"no binding": {
			"it was deleted in an emergency", User("system"), func(i *installation) { delete(i.bindings, Authors) },
			Authors, Missing, "its binding does not exist",
		},
		"an older Kubernetes": {
			"the kind is not served", User("system"), func(i *installation) { i.err = &meta.NoKindMatchError{} },
			Authors, Missing, "does not serve ValidatingAdmissionPolicies",
		},
		"no right to look": {
			"Roles only", User("system"), func(i *installation) {
				i.err = apierrors.NewForbidden(schema.GroupResource{}, Authors, errors.New("no"))
			}, Authors, Unknown, "cannot be read",
		},
		"audit only": {
			"it was switched to a trial", User("system"), func(i *installation) {
				i.bindings[Authors].Spec.ValidationActions = []admissionv1.ValidationAction{admissionv1.Audit}
			}, Authors, Weakened, "do not include Deny",
		},
		"binding for some namespaces": {
			"others are not protected", User("system"), func(i *installation) {
				i.bindings[Authors].Spec.MatchResources = &admissionv1.MatchResources{NamespaceSelector: selector}
			}, Authors, Weakened, "the matchResources of its binding leave out",
		},
		"binding for all namespaces": {
			"the API server fills in empty selectors", User("system"), func(i *installation) {
				i.bindings[Authors].Spec.MatchResources = &admissionv1.MatchResources{
					NamespaceSelector: &metav1.LabelSelector{}, ObjectSelector: &metav1.LabelSelector{},
				}
			}, Authors, Enforced, "",
		},
		"binding for one kind": {
			"the other is not protected", User("system"), func(i *installation) {
				i.bindings[Authors].Spec.MatchResources = &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{}}}
			}, Authors, Weakened, "the matchResources of its binding leave out",
		},
		"policy for some objects": {
			"a label lets an author off", User("system"), func(i *installation) {
				i.policies[Authors].Spec.MatchConstraints.ObjectSelector = selector
			}, Authors, Weakened, "its matchConstraints leave out",
		},
		"binding for another policy": {
			"a name that was mistyped", User("system"), func(i *installation) { i.bindings[Authors].Spec.PolicyName = "other" },
			Authors, Weakened, "its binding is for policy other",
		},
		"errors are ignored": {
			"an expression that fails lets the request pass", User("system"), func(i *installation) {
				i.policies[Authors].Spec.FailurePolicy = &ignore
			}, Authors, Weakened, "its failurePolicy is Ignore",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cluster := asInstalled(t)
			if test.change != nil {
				test.change(cluster)
			}
			findings := Review(t.Context(), cluster, test.user)
			if len(findings) != len(cluster.policies) && test.want == Enforced {
				t.Errorf("%d of %d policies are looked at", len(findings), len(cluster.policies))
			}
			for _, found := range findings {
				if found.Policy != test.policy {
					continue
				}
				if found.State != test.want || !strings.Contains(found.Cause, test.cause) || (found.Cause == "") != (test.want == Enforced) {
					t.Errorf("%s: %s %q, want %s %q", test.why, found.State, found.Cause, test.want, test.cause)
				}
				if (found.Consequence == "") != (test.want == Enforced) {
					t.Errorf("%s: consequence %q", found.State, found.Consequence)
				}
			}
		})
	}
}
