package controllers

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/loginguard"
	"github.com/fluent-credential/operator/internal/metrics"
	"github.com/fluent-credential/operator/internal/token"
)

// What is counted and shown to Prometheus, beside what the effects count themselves.

// measured is what the series of a credential say: the same as its status.
func measured(seen *observation, status v1alpha1.FluentCredentialStatus, class failure.Class) metrics.Credential {
	is := func(condition string) bool { return meta.IsStatusConditionTrue(status.Conditions, condition) }
	said := metrics.Credential{
		API: status.Summary.Provider, Reason: decidingReason(status), Ready: is(v1alpha1.ConditionReady),
		Renewable: is(v1alpha1.ConditionRenewable), Stalled: is(v1alpha1.ConditionStalled), Class: string(class),
	}
	lost := func(told v1alpha1.ExchangeStatus) bool { return told.Reason == v1alpha1.ReasonReplyLost }
	if last := slices.IndexFunc(status.History, lost); last >= 0 {
		said.ReplyLost = status.History[last].Time.Time
	}
	if stored := seen.record.Token; stored != nil {
		said.Expires, said.NextRefresh = stored.Expires, seen.refreshAt()
	}
	if seen.facts.Failure == nil {
		return said
	}
	failed := seen.record.Failure
	said.Failures, said.RetryAt = failed.Count, seen.facts.Failure.RetryAt
	if failed.Barred {
		said.BarredUntil = failed.RetryAt
	}
	return said
}

// decidingReason is the cause of what is wrong or under way; without either, what kubectl get shows.
func decidingReason(status v1alpha1.FluentCredentialStatus) string {
	for _, kind := range []string{v1alpha1.ConditionStalled, v1alpha1.ConditionReconciling} {
		if condition := meta.FindStatusCondition(status.Conditions, kind); condition != nil {
			return condition.Reason
		}
	}
	return status.Summary.Reason
}

// measurePublication notes how long workloads waited for a token, and how close to expiry the one before had come.
func (r *Reconciler) measurePublication(try *attempt) {
	now := r.Clock.Now()
	r.Metrics.Published(now.Sub(try.replied))
	if !try.expires.IsZero() {
		r.Metrics.Replaced(try.expires.Sub(now))
	}
}

// measureGuard counts what the login guard said, where it was asked.
func (r *Reconciler) measureGuard(try *attempt, refusal *loginguard.Refusal) {
	switch {
	case r.Guard == nil, try.claim.Grant != token.Password && !try.claim.Seed:
	case refusal == nil:
		r.Metrics.Guarded(metrics.Allowed)
	default:
		r.Metrics.Guarded(string(refusal.Why))
	}
}
