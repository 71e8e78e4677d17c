package controllers

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/distribution"
	"github.com/fluent-credential/operator/internal/kubeerror"
	"github.com/fluent-credential/operator/internal/token"
)

// The status of a FluentToken is a view of what was seen and done and of what comes next. This file is pure.

func tokenStatusOf(seen *tokenObservation, next distribution.Step) v1alpha1.FluentTokenStatus {
	status := v1alpha1.FluentTokenStatus{ObservedGeneration: seen.token.Generation, Conditions: tokenConditions(seen, next)}
	if seen.cred == nil || len(seen.held) == 0 {
		return status // nothing of a credential that permits nothing
	}
	switch {
	case seen.known.source == seen.cred.UID:
		status.TargetName, status.Token = seen.known.published.name, publishedStatus(seen.known.published.serial, seen.known.expires)
	case seen.workload.ours && !seen.facts.Former && seen.workload.serial > seen.record.Serial:
		status.TargetName, status.Token = seen.token.TargetName(), publishedStatus(seen.workload.serial, seen.facts.Expires)
	case seen.workload.ours && !seen.facts.Former:
		status.TargetName, status.Token = seen.token.Status.TargetName, seen.token.Status.Token
	}
	return status
}

func publishedStatus(serial int64, expires time.Time) *v1alpha1.PublishedTokenStatus {
	if expires.IsZero() {
		return nil
	}
	return &v1alpha1.PublishedTokenStatus{Serial: serial, ExpirationTime: *timeOf(expires)}
}

// tokenConditions keeps the transition time of a condition that stays as it is.
func tokenConditions(seen *tokenObservation, next distribution.Step) []metav1.Condition {
	because := tokenCause(seen, next)
	conditions := seen.knownConditions()
	set := func(kind string, status metav1.ConditionStatus, because cause) {
		condition := conditionOf(kind, status, because)
		condition.ObservedGeneration, condition.LastTransitionTime = seen.token.Generation, metav1.NewTime(seen.now)
		meta.SetStatusCondition(&conditions, condition)
	}
	setOnlyTrue := func(kind string, is bool, because cause) {
		if is {
			set(kind, metav1.ConditionTrue, because)
		} else {
			meta.RemoveStatusCondition(&conditions, kind)
		}
	}
	ready, stalled := because.reason == v1alpha1.ReasonTokenPublished, isTokenStalled(next)
	if ready {
		set(v1alpha1.ConditionReady, metav1.ConditionTrue, because)
	} else {
		set(v1alpha1.ConditionReady, metav1.ConditionFalse, because)
	}
	setOnlyTrue(v1alpha1.ConditionStalled, stalled, because)
	if seen.failed != nil { // also where Ready says something else: a Secret that is to go is still there
		because = seen.refused()
	}
	setOnlyTrue(v1alpha1.ConditionReconciling, !stalled && (!ready || seen.failed != nil), because)
	because = cause{v1alpha1.ReasonMetadataNotAllowed, seen.domains.Ignored(seen.token.Spec.Target)}
	setOnlyTrue(v1alpha1.ConditionMetadataIgnored, because.message != "", because)
	return conditions
}

// isTokenStalled reports whether a person can help. A consent may still arrive if both objects are applied together.
func isTokenStalled(next distribution.Step) bool {
	return next.Why == distribution.TargetTaken || next.Why == distribution.Obstructed
}

// tokenCause is why the token is published, or why it is not. Without consent it says the same whether there is a credential or not.
func tokenCause(seen *tokenObservation, next distribution.Step) cause {
	named := fmt.Sprintf("FluentCredential %s/%s", seen.token.Spec.CredentialRef.Namespace, seen.token.Spec.CredentialRef.Name)
	switch {
	case next.Why == distribution.NotAllowed:
		return cause{v1alpha1.ReasonNotAllowed, named + " does not exist, or its spec.allowedNamespaces does not name or select this namespace"}
	case next.Why == distribution.Published, next.Why == distribution.Renamed:
		return cause{v1alpha1.ReasonTokenPublished, fmt.Sprintf("Secret %s holds a valid access token", seen.token.TargetName())}
	case seen.failed != nil:
		return seen.refused()
	case next.Why == distribution.Obstructed:
		return cause(seen.obstacle)
	case next.Why == distribution.NoToken:
		return cause{v1alpha1.ReasonCredentialNotReady, named + " has no access token yet"}
	case next.Why == distribution.Expired:
		expired := "the access token expired at " + seen.facts.Expires.UTC().Format(time.RFC3339)
		return cause{v1alpha1.ReasonTokenExpired, expired + "; " + named + " has no newer one"}
	case next.Why == distribution.TargetTaken:
		return cause{v1alpha1.ReasonTargetConflict,
			fmt.Sprintf("Secret %s exists and does not belong to this FluentToken; it is left alone", seen.token.TargetName())}
	}
	return cause{v1alpha1.ReasonProgressing, "the access token is being published"}
}

// secrets returns the values that messages of others must not repeat.
func (o *tokenObservation) secrets() []token.Secret {
	if o.record == nil || o.record.Token == nil {
		return nil
	}
	return []token.Secret{o.record.Token.Access}
}

// refused is what the Kubernetes API said.
func (o *tokenObservation) refused() cause {
	return cause{v1alpha1.ReasonPublishFailed, kubeerror.Words(o.failed, o.secrets()...)}
}

// knownConditions are the conditions that the cache shows, or that this process wrote since.
func (o *tokenObservation) knownConditions() []metav1.Condition {
	if o.known.conditions != nil && isNewer(o.known.told, o.token.ResourceVersion) {
		return slices.Clone(o.known.conditions)
	}
	return slices.Clone(o.token.Status.Conditions)
}

func isTokenReady(token *v1alpha1.FluentToken) bool {
	return meta.IsStatusConditionTrue(token.Status.Conditions, v1alpha1.ConditionReady)
}
