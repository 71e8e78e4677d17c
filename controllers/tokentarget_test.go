package controllers

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
)

// TestTargetNamedLikeAState: those names are kept, also for a FluentCredential that comes later.
func TestTargetNamedLikeAState(t *testing.T) {
	t.Parallel()
	for _, target := range custody.Names("stock") {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			s := newShared(t)
			s.allow(t, names(s.web))
			s.token.Spec.Target.Name = target
			create(t, s.token)
			eventually(t, "it says so", func() (bool, any) {
				status := get(t, &v1alpha1.FluentToken{}, s.web, "orders").Status
				now := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
				return now != nil && now.Reason == v1alpha1.ReasonTargetConflict && now.Message == targetIsState &&
					meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionStalled), status
			})
			if found := s.secretsOf(t); len(found) > 0 {
				t.Errorf("%v: the name of a state", found)
			}
			edit(t, s.token, func(token *v1alpha1.FluentToken) { token.Spec.Target.Name = "orders-token" })
			s.mustPublish(t)
		})
	}
}
