package controllers

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/binding"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/printable"
)

// The parts of the status that are copied, not judged.

func tokenStatus(seen *observation) *v1alpha1.TokenStatus {
	stored := seen.record.Token
	if stored == nil {
		return seen.cred.Status.Token // what was last known of it: its serial is a floor for the next one
	}
	return &v1alpha1.TokenStatus{
		Serial: max(seen.record.Serial, seen.statusSerial()), Grant: string(stored.Grant), Type: cut(stored.Type), Scope: cut(stored.Scope),
		ObtainedTime: *timeOf(stored.Obtained), ExpirationTime: *timeOf(stored.Expires),
	}
}

func identityStatus(seen *observation) *v1alpha1.Identity {
	stored := seen.record.Token
	if stored == nil {
		return nil
	}
	who := stored.Identity
	identity := v1alpha1.Identity{
		Account: binding.AccountOf(seen.cred.Spec.Provider), RetailerID: cut(who.RetailerID),
		FirstName: cut(who.FirstName), LastName: cut(who.LastName), OwnerID: cut(who.OwnerID), OwnerType: cut(who.OwnerType),
	}
	for _, role := range who.Roles[:min(len(who.Roles), maxRoles)] {
		identity.Roles = append(identity.Roles, cut(role))
	}
	return &identity
}

// What an API tells of itself is kept short in the status.
const (
	maxRoles = 32
	maxText  = 256
)

func cut(text string) string { return printable.Cut(printable.Line(text), maxText) }

func failureStatus(seen *observation) *v1alpha1.FailureStatus {
	if seen.facts.Failure == nil {
		return nil
	}
	failed := seen.record.Failure
	return &v1alpha1.FailureStatus{
		Count: int32(min(failed.Count, 1<<30)), LastTime: *timeOf(failed.Last),
		RetryTime: timeOf(seen.facts.Failure.RetryAt), Class: string(failed.Class),
	}
}

// summaryOf is the line that kubectl get prints: the reason of Ready, or of Renewable where that is False.
func summaryOf(seen *observation, conditions []metav1.Condition) *v1alpha1.StatusSummary {
	deciding := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	if renewable := meta.FindStatusCondition(conditions, v1alpha1.ConditionRenewable); renewable.Status == metav1.ConditionFalse {
		deciding = renewable
	}
	summary := &v1alpha1.StatusSummary{Reason: deciding.Reason, Message: deciding.Message}
	if seen.api != nil {
		summary.Provider = seen.api.Name()
	}
	return summary
}

// handled is the mark of the rotate annotation that was acted on last: the state's, or the one that the status keeps where the
// state was lost.
func handled(seen *observation) string {
	if seen.record.Rotate != "" {
		return custody.RotateMark(seen.record.Rotate)
	}
	return custody.RotateMark(seen.cred.Status.LastHandledRotateAt)
}

// timeOf cuts a time to whole seconds, as Kubernetes stores it, so that a status compares equal to what was read back.
func timeOf(at time.Time) *metav1.Time {
	if at.IsZero() {
		return nil
	}
	return &metav1.Time{Time: at.Truncate(time.Second)}
}
