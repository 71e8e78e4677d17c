package cli

import (
	"context"

	"github.com/fluent-credential/operator/internal/policies"
)

const policiesAdvice = "Apply the admission policies and their bindings again: they are in dist/install.yaml."

// examinePolicies looks whether the admission policies are in force. A cluster can do without them, if its
// administrators know what they trust authors with, so their absence is a warning.
func (v *examination) examinePolicies(ctx context.Context) {
	if len(v.operators) == 0 {
		v.skip("there is no operator that they could name")
	}
	for i := range v.operators {
		v.examinePoliciesOf(ctx, &v.operators[i])
	}
}

func (v *examination) examinePoliciesOf(ctx context.Context, o *operator) {
	findings := policies.Review(ctx, v.cluster, o.user())
	enforced := 0
	for _, found := range findings {
		switch found.State {
		case policies.Enforced:
			enforced++
		case policies.Missing, policies.Weakened:
			v.warn(policiesAdvice, "%s is not in force: %s, so %s", found.Policy, found.Cause, found.Consequence)
		case policies.Unknown:
			v.skip("%s cannot be looked at: %s", found.Policy, found.Cause)
		}
	}
	if enforced == len(findings) {
		v.ok("all %d admission policies are in force for %s", enforced, o.name())
	}
}
