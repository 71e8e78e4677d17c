package controllers

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// TestSharedSecret: what others put into a workload Secret outlives the rotations, and what the spec drops does not.
func TestSharedSecret(t *testing.T) {
	t.Parallel()
	r := startReady(t, func(config *authsim.Config) { config.AccessTokenLifetime = 4 * time.Second })
	shape := func(labels map[string]v1alpha1.LabelValue, annotations, data map[string]string) {
		edit(t, r.cred, func(cred *v1alpha1.FluentCredential) {
			cred.Spec.Target.Labels, cred.Spec.Target.Annotations, cred.Spec.Target.Data = labels, annotations, data
		})
	}
	shape(map[string]v1alpha1.LabelValue{"ours": "1"}, map[string]string{"ours": "1"},
		map[string]string{"access_token": "{{.AccessToken}}", "ours": "1"})
	eventually(t, "the spec's keys are there", func() (bool, any) {
		s := r.workload(t)
		return s.Labels["ours"] == "1" && s.Annotations["ours"] == "1" && string(s.Data["ours"]) == "1" && s.Data["expires_at"] == nil, s.Labels
	})
	edit(t, r.workload(t), func(s *corev1.Secret) {
		s.Labels["theirs"], s.Annotations["theirs"], s.Data["theirs"] = "1", "1", []byte("1")
	})
	serial := reread(t, r.cred).Status.Token.Serial
	eventually(t, "two rotations on", func() (bool, any) {
		now := serialOf(r.workload(t))
		return now >= serial+2, now
	})
	shape(nil, nil, map[string]string{"access_token": "{{.AccessToken}}"})
	eventually(t, "the spec's former keys are gone", func() (bool, any) {
		s := r.workload(t)
		return s.Labels["ours"] == "" && s.Annotations["ours"] == "" && s.Data["ours"] == nil, s.Labels
	})
	s := r.workload(t)
	if s.Labels["theirs"] != "1" || s.Annotations["theirs"] != "1" || string(s.Data["theirs"]) != "1" || len(s.Data["access_token"]) == 0 {
		t.Errorf("what others put there is gone: labels %v, annotations %v, %d keys", s.Labels, s.Annotations, len(s.Data))
	}
	mustRotateCleanly(t, r.Ledger(), 2)
}
