package controllers

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	operatormetrics "github.com/fluent-credential/operator/internal/metrics"
	"github.com/fluent-credential/operator/internal/policies"
)

// policyReader serves policies and bindings of every name that hold for every operator, or an error instead.
type policyReader struct {
	client.Reader
	err map[string]error // by name
}

func (r policyReader) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	switch into := into.(type) {
	case *admissionv1.ValidatingAdmissionPolicy:
		into.Spec.MatchConditions = []admissionv1.MatchCondition{{Expression: `"` + policies.User("system") + `"`}}
	case *admissionv1.ValidatingAdmissionPolicyBinding:
		into.Spec.PolicyName, into.Spec.ValidationActions = key.Name, []admissionv1.ValidationAction{admissionv1.Deny}
	}
	return r.err[key.Name]
}

// TestUnitMissingPoliciesAreReportedOnce: one line names what is missing and what follows; where the operator may not
// look, it says that.
func TestUnitMissingPoliciesAreReportedOnce(t *testing.T) {
	absent := apierrors.NewNotFound(schema.GroupResource{}, "x")
	forbidden := apierrors.NewForbidden(schema.GroupResource{}, "x", errors.New("no"))
	tests := map[string]struct {
		why    string
		err    map[string]error
		lines  []string // part of each line
		metric map[string]float64
	}{
		"all there": {"there is nothing to say", nil, nil, map[string]float64{
			policies.Authors: 1, "fluent-credential-operator-secrets": 1, "fluent-credential-operator-workloads": 1,
			"fluent-credential-operator-objects": 1, "fluent-credential-state-secrets": 1,
		}},
		"two missing": {
			"one line names both, and what follows", map[string]error{policies.Authors: absent, "fluent-credential-state-secrets": absent},
			[]string{"fluent-credential-authors: the policy does not exist, so who may write FluentCredentials can have any Secret"},
			map[string]float64{
				policies.Authors: 0, "fluent-credential-operator-secrets": 1, "fluent-credential-operator-workloads": 1,
				"fluent-credential-operator-objects": 1, "fluent-credential-state-secrets": 0,
			},
		},
		"no right": {
			"a metric that says nothing is not there", map[string]error{
				policies.Authors: forbidden, "fluent-credential-operator-secrets": forbidden,
				"fluent-credential-operator-objects": forbidden, "fluent-credential-operator-workloads": forbidden, "fluent-credential-state-secrets": forbidden,
			}, []string{"Cannot look whether the admission policies"}, map[string]float64{},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			registry := prometheus.NewRegistry()
			r := &Reconciler{Metrics: operatormetrics.New(registry)}
			var lines []string
			log := funcr.New(func(_, line string) { lines = append(lines, line) }, funcr.Options{})
			r.reviewPolicies(policyReader{err: test.err}, "system")(logr.NewContext(t.Context(), log))
			if len(lines) != len(test.lines) {
				t.Fatalf("%s: %d lines: %q", test.why, len(lines), lines)
			}
			for i, part := range test.lines {
				if !strings.Contains(lines[i], part) {
					t.Errorf("%s: no %q in %q", test.why, part, lines[i])
				}
			}
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]float64{}
			for _, family := range families {
				if family.GetName() != "fluent_credential_admission_policy_enforced" {
					continue
				}
				for _, metric := range family.GetMetric() {
					found[metric.GetLabel()[0].GetValue()] = metric.GetGauge().GetValue()
				}
			}
			if diff := cmp.Diff(test.metric, found); diff != "" {
				t.Errorf("%s: (-want +got)\n%s", test.why, diff)
			}
		})
	}
}
