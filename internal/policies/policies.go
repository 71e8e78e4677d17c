// Package policies looks whether the admission policies of the installation are in force.
package policies

import (
	"context"
	"regexp"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// Authors is the policy that asks authors for the rights that the operator uses for them.
const Authors = "fluent-credential-authors"

// installed are the policies of the default installation. Each has a binding of its own name.
var installed = []struct {
	name        string
	consequence string // of its absence
	knowsUser   bool   // it holds for one operator, which it names
}{
	{Authors, "who may write FluentCredentials can have any Secret of the namespace read and sent elsewhere", false},
	{"fluent-credential-operator-secrets", "only RBAC limits which Secrets the operator writes", true},
	{"fluent-credential-operator-objects", "only RBAC limits what the operator changes in FluentCredentials and FluentTokens", true},
	{"fluent-credential-operator-workloads", "only RBAC limits what the operator changes in pods and workloads", true},
	{"fluent-credential-state-secrets", "who may write Secrets can change the operator's state Secrets", true},
}

// State is what is known of a policy.
type State string

// The states.
const (
	Enforced State = "Enforced"
	Weakened State = "Weakened" // it is there and does not deny everything that it is for
	Missing  State = "Missing"
	Unknown  State = "Unknown" // it cannot be looked at
)

// Finding is the state of one policy.
type Finding struct {
	Policy string
	State  State
	// Cause says why it is not enforced; empty where it is.
	Cause string
	// Consequence says what follows from that.
	Consequence string
}

// User returns the name by which the API server knows the operator of a namespace.
func User(namespace string) string {
	return "system:serviceaccount:" + namespace + ":" + v1alpha1.OperatorName
}

// Review looks at every policy of the installation and at its binding. The user is the operator's.
func Review(ctx context.Context, reader client.Reader, user string) []Finding {
	findings := make([]Finding, 0, len(installed))
	for _, each := range installed {
		found := Finding{Policy: each.name, Consequence: each.consequence}
		var policy admissionv1.ValidatingAdmissionPolicy
		var binding admissionv1.ValidatingAdmissionPolicyBinding
		name := client.ObjectKey{Name: each.name}
		found.State, found.Cause = stateOf(reader.Get(ctx, name, &policy), "the policy")
		if found.State == Enforced {
			found.State, found.Cause = stateOf(reader.Get(ctx, name, &binding), "its binding")
		}
		if found.State == Enforced {
			defects := append(defectsOfPolicy(&policy.Spec), defectsOfBinding(&binding.Spec, each.name)...)
			if each.knowsUser && !names(&policy.Spec, user) {
				defects = append(defects, "it does not name this operator, "+user)
			}
			if len(defects) > 0 {
				found.State, found.Cause = Weakened, strings.Join(defects, "; ")
			}
		}
		if found.State == Enforced {
			found.Consequence = ""
		}
		findings = append(findings, found)
	}
	return findings
}

func stateOf(err error, what string) (State, string) {
	switch {
	case err == nil:
		return Enforced, ""
	case apierrors.IsNotFound(err):
		return Missing, what + " does not exist"
	case meta.IsNoMatchError(err):
		return Missing, "the API server does not serve ValidatingAdmissionPolicies"
	}
	return Unknown, what + " cannot be read: " + err.Error()
}

// defectsOfPolicy are what keeps a policy from holding for all that it is for.
func defectsOfPolicy(spec *admissionv1.ValidatingAdmissionPolicySpec) []string {
	var defects []string
	if spec.FailurePolicy != nil && *spec.FailurePolicy != admissionv1.Fail {
		defects = append(defects, "its failurePolicy is "+string(*spec.FailurePolicy)+", not Fail")
	}
	if isNarrowed(spec.MatchConstraints) {
		defects = append(defects, "its matchConstraints leave out some namespaces or objects")
	}
	return defects
}

func defectsOfBinding(spec *admissionv1.ValidatingAdmissionPolicyBindingSpec, policy string) []string {
	var defects []string
	if spec.PolicyName != policy {
		defects = append(defects, "its binding is for policy "+spec.PolicyName)
	}
	if !slices.Contains(spec.ValidationActions, admissionv1.Deny) {
		defects = append(defects, "the validationActions of its binding do not include Deny")
	}
	if isNarrowed(spec.MatchResources) || spec.MatchResources != nil && len(spec.MatchResources.ResourceRules) > 0 {
		defects = append(defects, "the matchResources of its binding leave out some namespaces or objects")
	}
	return defects
}

func isNarrowed(match *admissionv1.MatchResources) bool {
	return match != nil &&
		(selectsSome(match.NamespaceSelector) || selectsSome(match.ObjectSelector) || len(match.ExcludeResourceRules) > 0)
}

func selectsSome(selector *metav1.LabelSelector) bool {
	return selector != nil && len(selector.MatchLabels)+len(selector.MatchExpressions) > 0
}

// account matches the user name of a service account as a literal of an expression.
var account = regexp.MustCompile(`"(system:serviceaccount:[^":]+:[^":]+)"`)

// Operators returns the users that the policy on the operator's Secrets names: the operators that an administrator has
// installed. Anybody can make a Deployment that looks like one.
func Operators(ctx context.Context, reader client.Reader) ([]string, error) {
	var policy admissionv1.ValidatingAdmissionPolicy
	if err := reader.Get(ctx, client.ObjectKey{Name: "fluent-credential-operator-secrets"}, &policy); err != nil {
		return nil, err
	}
	var users []string
	for _, each := range policy.Spec.MatchConditions {
		for _, match := range account.FindAllStringSubmatch(each.Expression, -1) {
			users = append(users, match[1])
		}
	}
	return users, nil
}

// names reports whether an expression of a policy contains the user as a literal.
func names(spec *admissionv1.ValidatingAdmissionPolicySpec, user string) bool {
	var expressions []string
	for _, each := range spec.MatchConditions {
		expressions = append(expressions, each.Expression)
	}
	for _, each := range spec.Variables {
		expressions = append(expressions, each.Expression)
	}
	return slices.ContainsFunc(expressions, func(text string) bool { return strings.Contains(text, `"`+user+`"`) })
}
