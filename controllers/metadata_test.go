package controllers

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

const (
	theirLabel      = "argocd.argoproj.io/secret-type"
	theirAnnotation = "reloader.stakater.com/match"
)

// labelTarget asks for a label and an annotation of other domains, and for a label without one.
func labelTarget(target *v1alpha1.TargetSpec) {
	target.Labels = map[string]v1alpha1.LabelValue{theirLabel: "repository", "team": "shop"}
	target.Annotations = one(theirAnnotation, "true")
}

// mustHoldMetadata fails the test unless the Secret has the keys of other domains, or has none of them.
func mustHoldMetadata(t *testing.T, secret *corev1.Secret, theirs bool) {
	t.Helper()
	_, label := secret.Labels[theirLabel]
	_, annotation := secret.Annotations[theirAnnotation]
	if label != theirs || annotation != theirs || secret.Labels["team"] != "shop" {
		t.Errorf("labels %v and annotations %v; want those of other domains: %t", secret.Labels, secret.Annotations, theirs)
	}
}

// TestMetadataOfOtherDomainsIsLeftOut: an operator whose flag does not name a domain publishes the token all the same,
// also into a Secret that has the key already, and says what it left out.
func TestMetadataOfOtherDomainsIsLeftOut(t *testing.T) {
	t.Parallel()
	d := newDrivenWith(t, nil, nil, func(cred *v1alpha1.FluentCredential) { labelTarget(&cred.Spec.Target) })
	restart := func(domains ...string) {
		d.Reconciler = newIdleReconciler(t, d.cred.Namespace, d.clock)
		d.Domains = domains
		d.settle()
	}
	ignored := func() string {
		if found := meta.FindStatusCondition(d.status().Conditions, v1alpha1.ConditionMetadataIgnored); found != nil {
			return found.Reason + ": " + found.Message
		}
		return ""
	}
	target := func() *corev1.Secret { return secret(t, d.cred.Namespace, d.cred.TargetName()) }

	restart("*")
	mustHoldMetadata(t, target(), true)
	if says := ignored(); says != "" {
		t.Errorf("says %q, and the flag names all domains", says)
	}
	access := d.access()

	restart()
	mustHoldMetadata(t, target(), false)
	want := "MetadataNotAllowed: the token is published without spec.target.labels." + theirLabel + " and 1 more"
	if says := ignored(); !strings.HasPrefix(says, want) {
		t.Errorf("says %q, want %q", says, want)
	}
	if ready := d.says(v1alpha1.ConditionReady); !strings.HasPrefix(ready, "True") || d.access() != access {
		t.Errorf("Ready is %q, the token is the same: %t", ready, d.access() == access)
	}

	restart("argocd.argoproj.io", "*.stakater.com")
	mustHoldMetadata(t, target(), true)
	if says := ignored(); says != "" {
		t.Errorf("says %q, and the flag names both domains", says)
	}
	if asked := d.server.Ledger().Requests; asked != 1 {
		t.Errorf("%d exchanges, want 1", asked)
	}
}

func TestMetadataOfOtherDomainsIsLeftOutOfAFluentToken(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	s.allow(t, names(s.web))
	labelTarget(&s.token.Spec.Target)
	create(t, s.token)
	eventually(t, "the token is published, and the condition says what is left out", func() (bool, any) {
		status := get(t, &v1alpha1.FluentToken{}, s.web, s.token.Name).Status
		ignored := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionMetadataIgnored)
		return meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady) && ignored != nil &&
			strings.Contains(ignored.Message, "spec.target.labels."+theirLabel), status
	})
	mustHoldMetadata(t, secret(t, s.web, s.token.TargetName()), false)
}

// TestUnitPublishedTargetKeepsItsType: no login is spent for a type that targets cannot have, and a target that has it
// already is renewed.
func TestUnitPublishedTargetKeepsItsType(t *testing.T) {
	for _, published := range []bool{true, false} {
		s := newScene(t)
		s.cred.Spec.Target.Type = "example.com/token"
		if published {
			s.cred.Status.TargetName = s.cred.TargetName()
		}
		s.obstructByLogin()
		if isObstructed := s.obstacle.reason == v1alpha1.ReasonPublishFailed; isObstructed == published {
			t.Errorf("published before: %t; the obstacle is %q", published, s.obstacle.message)
		}
		token := tokenScene()
		token.token.Spec.Target.Type = "example.com/token"
		if published {
			token.token.Status.TargetName = token.token.TargetName()
		}
		token.render()
		if isObstructed := token.obstacle.reason == v1alpha1.ReasonPublishFailed; isObstructed == published {
			t.Errorf("FluentToken, published before: %t; the obstacle is %q", published, token.obstacle.message)
		}
	}
}
