package controllers

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/plan"
	"github.com/fluent-credential/operator/internal/token"
)

// The status is a view of what was seen and done and of what comes next. This file is pure.

// cause is why there is no token, or why the next one is in doubt, in the words of a condition.
type cause struct{ reason, message string }

// statusOf makes the whole status.
func statusOf(seen *observation, next plan.Step) v1alpha1.FluentCredentialStatus {
	status := v1alpha1.FluentCredentialStatus{
		ObservedGeneration:  seen.cred.Generation,
		Conditions:          conditionsOf(seen, next),
		Token:               tokenStatus(seen),
		TargetName:          seen.cred.Status.TargetName,
		Identity:            identityStatus(seen),
		Failures:            failureStatus(seen),
		Consumers:           seen.consumers,
		History:             historyOf(seen),
		LastHandledRotateAt: handled(seen),
	}
	if seen.workload.current {
		status.TargetName = seen.cred.TargetName()
	}
	if stored := seen.record.Token; stored != nil && !seen.cred.Spec.Suspend {
		status.NextRefreshTime = timeOf(seen.refreshAt())
	}
	status.Summary = summaryOf(seen, status.Conditions)
	return status
}

// conditionsOf keeps the transition time of a condition that stays as it is.
func conditionsOf(seen *observation, next plan.Step) []metav1.Condition {
	why := causeOf(seen, next)
	conditions := seen.knownConditions()
	set := func(kind string, status metav1.ConditionStatus, because cause) {
		condition := conditionOf(kind, status, because)
		condition.ObservedGeneration, condition.LastTransitionTime = seen.cred.Generation, metav1.NewTime(seen.now)
		meta.SetStatusCondition(&conditions, condition)
	}
	setOnlyTrue := func(kind string, is bool) {
		if is {
			set(kind, metav1.ConditionTrue, why)
		} else {
			meta.RemoveStatusCondition(&conditions, kind)
		}
	}
	ready, because := readiness(seen, why)
	set(v1alpha1.ConditionReady, ready, because)
	renewable, because := renewability(seen, next, why)
	set(v1alpha1.ConditionRenewable, renewable, because)
	setOnlyTrue(v1alpha1.ConditionStalled, isStalled(seen, next))
	setOnlyTrue(v1alpha1.ConditionReconciling, isReconciling(seen, next))
	why = cause{v1alpha1.ReasonNamespacesUnreadable, selectorIgnored}
	setOnlyTrue(v1alpha1.ConditionSelectorIgnored, seen.selectorIgnored)
	why = cause{v1alpha1.ReasonMetadataNotAllowed, seen.domains.Ignored(seen.cred.Spec.Target)}
	setOnlyTrue(v1alpha1.ConditionMetadataIgnored, why.message != "")
	return conditions
}

// readiness: workloads have a token that is valid now.
func readiness(seen *observation, why cause) (metav1.ConditionStatus, cause) {
	stored := seen.record.Token
	switch {
	case stored == nil && !seen.isServedUnseen():
		return metav1.ConditionFalse, why
	case stored != nil && !seen.now.Before(stored.Expires):
		expired := "the access token expired at " + stored.Expires.UTC().Format(time.RFC3339)
		if !stored.Expires.After(stored.Obtained) {
			expired = "the API gave an access token that has no life left (expires_in 0)"
		}
		return metav1.ConditionFalse, cause{v1alpha1.ReasonTokenExpired, expired + "; " + why.message}
	case stored == nil, seen.publication() == plan.Current, seen.publication() == plan.Newer:
		return metav1.ConditionTrue, cause{v1alpha1.ReasonTokenPublished,
			fmt.Sprintf("Secret %s holds a valid access token", seen.cred.TargetName())}
	}
	return metav1.ConditionFalse, why
}

// isServedUnseen reports whether workloads have a valid token although the state cannot be read, because a Secret that
// is not the operator's has its name. The status has the token's expiry, and the target Secret has the token.
func (o *observation) isServedUnseen() bool {
	known := o.cred.Status.Token
	return o.unreadable && known != nil && o.now.Before(known.ExpirationTime.Time) &&
		o.workload.found && o.workload.ours && o.workload.serial == known.Serial
}

// servedUntil returns the expiry of a token that is known only from the status, or zero if the state can be read.
func (o *observation) servedUntil() time.Time {
	if !o.isServedUnseen() {
		return time.Time{}
	}
	return o.cred.Status.Token.ExpirationTime.Time
}

// renewability: the next refresh is expected to work without a person.
func renewability(seen *observation, next plan.Step, why cause) (metav1.ConditionStatus, cause) {
	switch {
	case isStalled(seen, next), next.Why == plan.Suspended, next.Why == plan.ReplyLost, next.Why == plan.Obstructed:
		return metav1.ConditionFalse, why
	case seen.denied, seen.isUnwritable(next):
		return metav1.ConditionFalse, why // nothing is spent that cannot be written down
	case seen.awaitsInput():
		return metav1.ConditionFalse, why
	case seen.record.Token == nil:
		return metav1.ConditionUnknown, why
	case !seen.facts.Chain.Stored && !seen.facts.Login.Renews() && !seen.facts.Login.Seed:
		return metav1.ConditionFalse, cause{v1alpha1.ReasonReauthorizationRequired, noMeans}
	}
	message := "the next refresh is expected to work" + seen.longLife()
	return metav1.ConditionTrue, cause{v1alpha1.ReasonRenewalExpected, message}
}

// longLife returns a warning about a token with a lifetime so long that the API may have given it in another unit than
// seconds.
func (o *observation) longLife() string {
	stored := o.record.Token
	if stored == nil || stored.Expires.Sub(stored.Obtained) <= token.LongLife {
		return ""
	}
	return "; the API says that the token lives for more than 30 days: " +
		"if that is wrong, set spec.refresh.maximumLifetime"
}

// awaitsInput reports whether the last exchange was refused for longer than a moment, or may not be repeated yet. Until
// something changes, the next exchange is expected to be refused too.
func (o *observation) awaitsInput() bool {
	if o.facts.Failure == nil {
		return false
	}
	stored := o.record.Failure
	return stored.Barred || stored.Class == failure.Input && stored.Probes > 0
}

// stalledBy are the outcomes that only a person can change.
var stalledBy = []plan.Why{plan.TargetTaken, plan.Refused, plan.NoMeans, plan.Stopped}

// isStalled reports whether a person can help. A missing credentials Secret may still be created.
func isStalled(seen *observation, next plan.Step) bool {
	return slices.Contains(stalledBy, next.Why) || seen.isWriteStalled(next) ||
		next.Why == plan.Obstructed && seen.obstacle.reason != v1alpha1.ReasonCredentialsNotFound
}

// retriedAfter are the outcomes that change by themselves.
var retriedAfter = []plan.Why{
	plan.BackingOff, plan.InFlight, plan.HostBusy, plan.ReplyLost, plan.Obstructed,
	plan.Undelivered, plan.Unwritable, plan.Unpublishable,
}

// isReconciling: work is under way, or will be tried again.
func isReconciling(seen *observation, next plan.Step) bool {
	if isStalled(seen, next) || next.Why == plan.Deleted {
		return false
	}
	return next.Do != plan.Wait || seen.failed != nil || slices.Contains(retriedAfter, next.Why)
}

// noMeans is what a person is asked to do when nothing else is left.
const (
	noMeans = "no refresh token is stored, and " + noLogin
	spent   = "the stored refresh token may be spent, so it is not presented again, and " + noLogin
	noLogin = "the credentials Secret holds no login that works without a person: " +
		"put a new refresh_token, or a username and password, into it"
)

// selectorIgnored is what a person is told whose selector has nothing to look at.
const selectorIgnored = "spec.allowedNamespaces.selector selects nothing: this operator may not read the labels of namespaces; " +
	"list them in spec.allowedNamespaces.names"

// causes are those that are always told in the same words.
var causes = map[plan.Why]cause{
	plan.Suspended: {v1alpha1.ReasonSuspended, "spec.suspend is true: no token is obtained or refreshed"},
	plan.InFlight:  {v1alpha1.ReasonProgressing, "an exchange begun by another process of the operator is waited for"},
	plan.HostBusy: {v1alpha1.ReasonRateLimited,
		"the turn at the token host has not come (--host-rate, the rate that its API documents, or --max-concurrent-exchanges)"},
}

// causeOf is why the next step is what it is.
func causeOf(seen *observation, next plan.Step) cause {
	if next.Why == plan.HostBusy && seen.hostSays != "" {
		return causeOfHost(seen)
	}
	if next.Why == plan.NoMeans {
		return cause{v1alpha1.ReasonReauthorizationRequired, noMeansMessage(seen)}
	}
	if told, ok := causes[next.Why]; ok {
		return told
	}
	if told, ok := heldBack(seen, next); ok {
		return told
	}
	switch {
	case next.Why == plan.TargetTaken:
		return cause{v1alpha1.ReasonTargetConflict,
			fmt.Sprintf("Secret %s exists and does not belong to this FluentCredential; it is left alone", seen.cred.TargetName())}
	case next.Why == plan.Obstructed:
		return cause(seen.obstacle)
	case next.Why == plan.Stopped, next.Why == plan.ReplyLost:
		return cause{v1alpha1.ReasonReplyLost, lostMessage(seen, next)}
	case seen.failed != nil:
		return causeOfWrite(seen, seen.failed)
	case seen.facts.Failure != nil:
		return cause{seen.record.Failure.Reason, seen.record.Failure.Message}
	}
	if next.Why == plan.Deleted {
		return cause{v1alpha1.ReasonProgressing, "it is being deleted"}
	}
	return cause{v1alpha1.ReasonProgressing, "a token is being obtained"}
}

// causeOfHost is the cause of a wait for a token host that fails: the credential's own failure, if there is one, so that the
// condition stays the same from one request to the next.
func causeOfHost(seen *observation) cause {
	if seen.facts.Failure != nil {
		return cause{seen.record.Failure.Reason, seen.record.Failure.Message}
	}
	return cause{v1alpha1.ReasonProviderUnavailable,
		"the token host does not answer this namespace (" + seen.hostSays + "); one request at a time is sent until it does"}
}

// noMeansMessage reports what happened to the refresh token, in the API's words if the API ended it.
func noMeansMessage(seen *observation) string {
	message := noMeans
	stored := seen.record.Failure
	switch {
	case seen.facts.Chain.Foreign:
		return seen.foreignMessage()
	case seen.record.Chain != nil:
		message = spent
	}
	if stored != nil && (stored.Verdict == token.RefusedDead || seen.record.Chain != nil) {
		message += "; " + stored.Message
	}
	return message
}

func lostMessage(seen *observation, next plan.Step) string {
	lost := "a refresh token was sent, and whether it was spent is not known"
	if failure := seen.record.Failure; failure != nil {
		lost += " (" + failure.Message + ")"
	}
	if next.Why == plan.Stopped {
		return lost + "; onLostReply is Stop: set the rotate annotation, or put a new refresh_token into the credentials Secret"
	}
	return lost + "; it is presented once more before the access token expires"
}
