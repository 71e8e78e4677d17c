package controllers

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

func TestTypeOfTheWorkloadSecretCannotChange(t *testing.T) {
	t.Parallel()
	r := startReady(t, longLived)
	before := r.workload(t)
	edit(t, r.cred, func(cred *v1alpha1.FluentCredential) { cred.Spec.Target.Type = "example.com/token" })
	r.eventuallyReason(t, v1alpha1.ConditionReady, v1alpha1.ReasonPublishFailed)
	message := reread(t, r.cred).Status.Summary.Message
	if want := "Secret orders-token cannot be written: Invalid: type"; message != want {
		t.Errorf("says %q, want %q", message, want)
	}
	if err := live.Delete(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Ready again once the old Secret is gone", ready(t, r.cred))
	if kind := r.workload(t).Type; kind != "example.com/token" {
		t.Errorf("its type is %s", kind)
	}
	if asked := r.Ledger().Requests; asked != 1 {
		t.Errorf("%d exchanges, want 1", asked)
	}
}

func TestTargetKeepsWhatOthersPutOnIt(t *testing.T) {
	t.Parallel()
	r := startReady(t, longLived)
	edit(t, r.workload(t), func(theirs *corev1.Secret) { theirs.Labels["team"] = "shop" })
	setLabels := func(labels map[string]string) {
		edit(t, r.cred, func(cred *v1alpha1.FluentCredential) { cred.Spec.Target.Labels = labels })
	}
	labelsAre := func(want string) func() (bool, any) {
		return func() (bool, any) {
			labels := r.workload(t).Labels
			return labels["ours"] == want && labels["team"] == "shop", labels
		}
	}
	setLabels(map[string]string{"ours": "one"})
	eventually(t, "our label is there", labelsAre("one"))
	setLabels(nil)
	eventually(t, "our label is gone, theirs is not", labelsAre(""))
	if strings.Contains(r.workload(t).Annotations[v1alpha1.SerialAnnotation], "2") {
		t.Error("a change of labels rotated")
	}
}
