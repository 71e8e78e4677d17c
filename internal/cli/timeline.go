package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// moment is a line of the timeline: what happened, or what is to come.
type moment struct {
	Time    metav1.Time `json:"time"`
	Kind    string      `json:"kind"` // status, Normal or Warning (an event), or plan (to come)
	Message string      `json:"message"`
}

// Kinds of moments beside those of events.
const (
	fromStatus = "status"
	planned    = "plan"
)

// timelineOf is what the status and the events tell, the oldest first. The status knows whole seconds only: of one second, exchanges come in
// their order, and then what became of the conditions.
func timelineOf(cred *v1alpha1.FluentCredential, events []corev1.Event, now time.Time) []moment {
	moments := append(pastOf(cred), aheadOf(cred, now)...)
	for i := range events {
		moments = append(moments, momentOf(&events[i]))
	}
	slices.SortStableFunc(moments, func(a, b moment) int {
		return cmp.Or(a.Time.Compare(b.Time.Time), cmp.Compare(a.Kind, b.Kind))
	})
	return moments
}

func pastOf(cred *v1alpha1.FluentCredential) []moment {
	moments := append([]moment{{cred.CreationTimestamp, fromStatus, "created"}}, exchangesOf(cred)...)
	for _, condition := range cred.Status.Conditions {
		moments = append(moments, moment{condition.LastTransitionTime, fromStatus,
			fmt.Sprintf("%s became %s", condition.Type, condition.Status)})
	}
	return moments
}

// exchangesOf are the last exchanges, the oldest first; of an operator that keeps no history, what else tells of them.
func exchangesOf(cred *v1alpha1.FluentCredential) []moment {
	var moments []moment
	for _, each := range slices.Backward(cred.Status.History) {
		moments = append(moments, moment{each.Time, fromStatus, toldOf(each)})
	}
	if len(moments) > 0 {
		return moments
	}
	if known := cred.Status.Token; known != nil {
		moments = append(moments, moment{known.ObtainedTime, fromStatus, fmt.Sprintf("token %d obtained by %s", known.Serial, known.Grant)})
	}
	if failures := cred.Status.Failures; failures != nil {
		moments = append(moments, moment{failures.LastTime, fromStatus, fmt.Sprintf("exchange failed (%d in a row)", failures.Count)})
	}
	return moments
}

func toldOf(each v1alpha1.ExchangeStatus) string {
	what := fmt.Sprintf("token %d obtained by %s", each.Serial, each.Grant)
	if each.Verdict != "Granted" {
		what = fmt.Sprintf("exchange by %s failed: %s, %s", each.Grant, each.Verdict, each.Reason)
	}
	if each.Duration != nil {
		what += " in " + each.Duration.Round(time.Millisecond).String()
	}
	return what
}

// aheadOf is what is planned; a plan whose time has passed is told by the cause instead.
func aheadOf(cred *v1alpha1.FluentCredential, now time.Time) []moment {
	var moments []moment
	add := func(at *metav1.Time, what string) {
		if at != nil && at.After(now) {
			moments = append(moments, moment{*at, planned, what})
		}
	}
	if failures := cred.Status.Failures; failures != nil && !cred.Spec.Suspend {
		add(failures.RetryTime, "exchange is tried again")
	}
	add(cred.Status.NextRefreshTime, "refresh is due")
	if known := cred.Status.Token; known != nil {
		add(&known.ExpirationTime, "token expires")
		if !known.ExpirationTime.After(now) {
			moments = append(moments, moment{known.ExpirationTime, fromStatus, "token expired"})
		}
	}
	return moments
}

func momentOf(event *corev1.Event) moment {
	message := event.Reason + ": " + event.Message
	if count := timesOf(event); count > 1 {
		message += fmt.Sprintf(" (%d times)", count)
	}
	return moment{lastTimeOf(event), event.Type, message}
}

// timesOf and lastTimeOf read both forms of an event: the older core one, and that of events.k8s.io.
func timesOf(event *corev1.Event) int32 {
	if event.Series != nil {
		return event.Series.Count
	}
	return event.Count
}

func lastTimeOf(event *corev1.Event) metav1.Time {
	switch {
	case event.Series != nil:
		return metav1.Time{Time: event.Series.LastObservedTime.Time}
	case !event.LastTimestamp.IsZero():
		return event.LastTimestamp
	case !event.EventTime.IsZero():
		return metav1.Time{Time: event.EventTime.Time}
	}
	return event.CreationTimestamp
}

// eventsOf are the events of one object; Kubernetes keeps them for an hour.
func eventsOf(ctx context.Context, from client.Reader, cred *v1alpha1.FluentCredential) ([]corev1.Event, error) {
	var list corev1.EventList
	of := fields.OneTermEqualSelector("involvedObject.uid", string(cred.UID))
	err := from.List(ctx, &list, client.InNamespace(cred.Namespace), client.MatchingFieldsSelector{Selector: of})
	return list.Items, err
}
