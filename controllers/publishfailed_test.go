package controllers

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

func TestTypeOfTheWorkloadSecretCannotChange(t *testing.T) {
	t.Parallel()
	r := startReady(t, longLived)
	before := r.workload(t)
	edit(t, r.cred, func(cred *v1alpha1.FluentCredential) {
		cred.Spec.Target.Type = "kubernetes.io/basic-auth"
		cred.Spec.Target.Data = map[string]string{"password": "{{ .AccessToken }}"}
	})
	r.eventuallyReason(t, v1alpha1.ConditionReady, v1alpha1.ReasonPublishFailed)
	message := reread(t, r.cred).Status.Summary.Message
	want := `Secret orders-token cannot be written: Invalid: type: Invalid value: "kubernetes.io/basic-auth": field is immutable`
	if message != want {
		t.Errorf("says %q, want %q", message, want)
	}
	if err := live.Delete(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Ready again once the old Secret is gone", ready(t, r.cred))
	if kind := r.workload(t).Type; kind != "kubernetes.io/basic-auth" {
		t.Errorf("its type is %s", kind)
	}
	if asked := r.Ledger().Requests; asked != 1 {
		t.Errorf("%d exchanges, want 1", asked)
	}
}

// TestStateThatCannotBeWrittenIsAnEarlyWarning: the token is good, and nothing can be spent for the next one. That is told before it
// expires, and over as soon as it is mended.
func TestStateThatCannotBeWrittenIsAnEarlyWarning(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	d.sleep(d.settle())
	whole := d.Custody.Writer
	d.Custody.Writer = denying{whole}
	if wait := d.pass(); wait == 0 {
		t.Error("it is never tried again")
	}
	want := "False StateUnwritable state Secret orders-fluent-state cannot be written: Forbidden: a rule of admission"
	if says := d.says(v1alpha1.ConditionRenewable); says != want {
		t.Errorf("Renewable says %q, want %q", says, want)
	}
	if says := d.says(v1alpha1.ConditionReady); !strings.HasPrefix(says, "True") {
		t.Errorf("Ready says %q: the token is good", says)
	}
	d.Custody.Writer = whole
	d.runFor(time.Second)
	if status := d.status(); status.Token.Serial != 2 || status.Summary.Reason != v1alpha1.ReasonTokenPublished {
		t.Errorf("serial %d, %s; want 2, published", status.Token.Serial, status.Summary.Reason)
	}
	mustRotateCleanly(t, d.server.Ledger(), 1)
}

func TestTargetKeepsWhatOthersPutOnIt(t *testing.T) {
	t.Parallel()
	r := startReady(t, longLived)
	edit(t, r.workload(t), func(theirs *corev1.Secret) { theirs.Labels["team"] = "shop" })
	setLabels := func(labels map[string]v1alpha1.LabelValue) {
		edit(t, r.cred, func(cred *v1alpha1.FluentCredential) { cred.Spec.Target.Labels = labels })
	}
	labelsAre := func(want string) func() (bool, any) {
		return func() (bool, any) {
			labels := r.workload(t).Labels
			return labels["ours"] == want && labels["team"] == "shop", labels
		}
	}
	setLabels(map[string]v1alpha1.LabelValue{"ours": "one"})
	eventually(t, "our label is there", labelsAre("one"))
	setLabels(nil)
	eventually(t, "our label is gone, theirs is not", labelsAre(""))
	if strings.Contains(r.workload(t).Annotations[v1alpha1.SerialAnnotation], "2") {
		t.Error("a change of labels rotated")
	}
}
