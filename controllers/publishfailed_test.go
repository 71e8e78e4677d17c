package controllers

import (
	"strings"
	"testing"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

func TestTypeOfTheWorkloadSecretCannotChange(t *testing.T) {
	t.Parallel()
	r := startReady(t, longLived)
	before := r.workload(t)
	cred := reread(t, r.cred)
	cred.Spec.Target.Type = "example.com/token"
	if err := live.Update(t.Context(), cred); err != nil {
		t.Fatal(err)
	}
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
	theirs := r.workload(t)
	theirs.Labels["team"] = "shop"
	if err := live.Update(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	setLabels := func(labels map[string]string) {
		cred := reread(t, r.cred)
		cred.Spec.Target.Labels = labels
		if err := live.Update(t.Context(), cred); err != nil {
			t.Fatal(err)
		}
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
