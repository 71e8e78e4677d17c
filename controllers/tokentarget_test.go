package controllers

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
)

// TestTokenTargetNamedLikeAState: those names are kept, also for a FluentCredential that comes later. Admission refuses
// them; an object can be older than that rule.
func TestTokenTargetNamedLikeAState(t *testing.T) {
	t.Parallel()
	for _, target := range custody.Names("stock") {
		seen := newTokenScene(v1alpha1.TargetSpec{Name: target})
		seen.render()
		if want := (obstacle{v1alpha1.ReasonTargetConflict, targetIsState}); seen.obstacle != want {
			t.Errorf("%s: the obstacle is %+v", target, seen.obstacle)
		}
	}
}

// TestTokenTargetThatCannotBeWritten: nothing is tried for it, and the words of Kubernetes say why.
func TestTokenTargetThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	seen := newTokenScene(v1alpha1.TargetSpec{Data: map[string]string{"foo/bar": "x"}})
	seen.render()
	if seen.obstacle.reason != v1alpha1.ReasonPublishFailed {
		t.Errorf("the obstacle is %+v", seen.obstacle)
	}
}

// newTokenScene is a pass over a FluentToken, without a cluster.
func newTokenScene(target v1alpha1.TargetSpec) *tokenObservation {
	token := &v1alpha1.FluentToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: "web", Name: "orders", UID: "token"},
		Spec:       v1alpha1.FluentTokenSpec{Target: target},
	}
	cred := &v1alpha1.FluentCredential{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders", UID: "cred"}}
	return &tokenObservation{token: token, cred: cred, known: &consumer{}, record: &custody.Record{}}
}
