package cli

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// urgency orders credentials: the smaller, the sooner somebody has to look.
type urgency int

const (
	down      urgency = iota // no valid token, and only a person can help
	missing                  // no valid token, and the operator is at it
	ending                   // a valid token, and the next refresh needs a person
	retrying                 // a valid token, and the next refresh is in trouble or late
	suspended                // a valid token, and nobody wants another
	fine
)

// needsPerson tells whether somebody has to look.
func (u urgency) needsPerson() bool { return u <= ending }

// late is how long after its time a refresh counts as late.
const late = 2 * time.Minute

// urgencyOf judges by the status and by the clock: an operator that is gone leaves a status that says nothing of it.
func urgencyOf(cred *v1alpha1.FluentCredential, now time.Time) urgency {
	stalled := isTrue(cred, v1alpha1.ConditionStalled)
	switch {
	case !hasValidToken(cred, now) && stalled:
		return down
	case !hasValidToken(cred, now):
		return missing
	case cred.Spec.Suspend:
		return suspended
	case meta.IsStatusConditionFalse(cred.Status.Conditions, v1alpha1.ConditionRenewable):
		return ending
	case isTrue(cred, v1alpha1.ConditionReconciling), cred.Status.Failures != nil, isLate(cred, now):
		return retrying
	}
	return fine
}

func isTrue(cred *v1alpha1.FluentCredential, condition string) bool {
	return meta.IsStatusConditionTrue(cred.Status.Conditions, condition)
}

func hasValidToken(cred *v1alpha1.FluentCredential, now time.Time) bool {
	return isTrue(cred, v1alpha1.ConditionReady) && !isExpired(cred, now)
}

func isExpired(cred *v1alpha1.FluentCredential, now time.Time) bool {
	return cred.Status.Token != nil && !now.Before(cred.Status.Token.ExpirationTime.Time)
}

func isLate(cred *v1alpha1.FluentCredential, now time.Time) bool {
	next := cred.Status.NextRefreshTime
	return next != nil && !cred.Spec.Suspend && now.Sub(next.Time) > late
}

// isNeglected tells whether a refresh was due so long ago, and nothing in the status says why it was not made.
func isNeglected(cred *v1alpha1.FluentCredential, now time.Time, long time.Duration) bool {
	next := cred.Status.NextRefreshTime
	explained := cred.Spec.Suspend || cred.Status.Failures != nil ||
		isTrue(cred, v1alpha1.ConditionReconciling) || isTrue(cred, v1alpha1.ConditionStalled) ||
		meta.IsStatusConditionFalse(cred.Status.Conditions, v1alpha1.ConditionRenewable)
	return next != nil && !explained && now.Sub(next.Time) > long
}

// byUrgency sorts the most urgent first, and of equals the one that expires first.
func byUrgency(creds []v1alpha1.FluentCredential, now time.Time) {
	slices.SortStableFunc(creds, func(a, b v1alpha1.FluentCredential) int {
		return cmp.Or(
			cmp.Compare(urgencyOf(&a, now), urgencyOf(&b, now)),
			expiryOf(&a).Compare(expiryOf(&b)),
			cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

// expiryOf is zero where there never was a token: nothing is more urgent.
func expiryOf(cred *v1alpha1.FluentCredential) time.Time {
	if cred.Status.Token == nil {
		return time.Time{}
	}
	return cred.Status.Token.ExpirationTime.Time
}

// cause is why a credential is as it is, in the operator's words, or in ours where the operator says nothing.
type cause struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// Reasons that the operator cannot give.
const (
	reasonUnobserved = "Unobserved" // the operator has not looked yet, or looks no more
	reasonDeleting   = "Deleting"
)

// causeOf prefers the condition that says most: what only a person can change, then what ends the next refresh, then what is tried.
func causeOf(cred *v1alpha1.FluentCredential, now time.Time) cause {
	if told, ok := unsaid(cred, now); ok {
		return told
	}
	conditions := cred.Status.Conditions
	for _, candidate := range []struct {
		kind   string
		status metav1.ConditionStatus
	}{
		{v1alpha1.ConditionStalled, metav1.ConditionTrue},
		{v1alpha1.ConditionRenewable, metav1.ConditionFalse},
		{v1alpha1.ConditionReconciling, metav1.ConditionTrue},
	} {
		if meta.IsStatusConditionPresentAndEqual(conditions, candidate.kind, candidate.status) {
			return told(meta.FindStatusCondition(conditions, candidate.kind))
		}
	}
	return told(meta.FindStatusCondition(conditions, v1alpha1.ConditionReady))
}

func told(condition *metav1.Condition) cause {
	return cause{Reason: condition.Reason, Message: condition.Message}
}

// unsaid is what the conditions cannot say: that nobody writes them.
func unsaid(cred *v1alpha1.FluentCredential, now time.Time) (cause, bool) {
	ready := meta.FindStatusCondition(cred.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case !cred.DeletionTimestamp.IsZero():
		return cause{reasonDeleting, "it is being deleted since " + stamp(*cred.DeletionTimestamp)}, true
	case ready == nil:
		return cause{reasonUnobserved, "no operator has looked at it yet"}, true
	case cred.Status.ObservedGeneration < cred.Generation:
		return cause{reasonUnobserved, "the operator has not looked at the newest spec yet"}, true
	case ready.Status == metav1.ConditionTrue && isExpired(cred, now):
		return cause{reasonUnobserved, "the token expired at " + stamp(cred.Status.Token.ExpirationTime) +
			", and the operator has not said so"}, true
	case isNeglected(cred, now, late):
		return cause{reasonUnobserved, "the refresh was due at " + stamp(*cred.Status.NextRefreshTime) +
			", and the operator has not tried"}, true
	}
	return cause{}, false
}

func stamp(at metav1.Time) string { return at.UTC().Format(time.RFC3339) }
