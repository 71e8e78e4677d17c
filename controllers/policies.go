package controllers

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/internal/policies"
)

// The admission policies are installed beside the operator, and they are what keeps authors from rights that they do
// not have. An operator without them works, so it says what is missing: in its log, once, and in a metric.
//
// The right to look at them is in config/rbac/bindings/policies_role.yaml.

// reviewPolicies returns what looks at the policies when the operator starts. It never fails: the policies are not the
// operator's to demand.
func (r *Reconciler) reviewPolicies(reader client.Reader, namespace string) everyReplica {
	return func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, PassTimeout)
		defer cancel()
		var gaps, unknown []string
		for _, found := range policies.Review(ctx, reader, policies.User(namespace)) {
			switch found.State {
			case policies.Enforced:
				r.Metrics.PolicyEnforced(found.Policy, true)
			case policies.Missing, policies.Weakened:
				r.Metrics.PolicyEnforced(found.Policy, false)
				gaps = append(gaps, found.Policy+": "+found.Cause+", so "+found.Consequence)
			case policies.Unknown:
				unknown = append(unknown, found.Policy+": "+found.Cause)
			}
		}
		log := ctrl.LoggerFrom(ctx)
		if len(gaps) > 0 {
			log.Info("Admission policies are not in force: apply config/admission", "policies", gaps)
		}
		if len(unknown) > 0 && ctx.Err() == nil {
			log.Info("Cannot look whether the admission policies are in force", "policies", unknown)
		}
	}
}
