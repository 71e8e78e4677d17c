package cli

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// TestTimelineOfOneSecond: a login that is made and refused within a second is told in the order in which it happened.
func TestTimelineOfOneSecond(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC))
	cred := &v1alpha1.FluentCredential{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: at}}
	cred.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, LastTransitionTime: at}}
	cred.Status.History = []v1alpha1.ExchangeStatus{ // the newest first, as the operator keeps it
		{Time: at, Serial: 1, Grant: "password", Verdict: "LoginRefused", Reason: v1alpha1.ReasonCredentialsRejected},
		{Time: at, Serial: 1, Grant: "refresh_token", Verdict: "RefusedDead", Reason: v1alpha1.ReasonRefreshTokenRejected},
		{Time: at, Serial: 1, Grant: "password", Verdict: "Granted"},
	}
	var told []string
	for _, each := range timelineOf(cred, nil, at.Time) {
		told = append(told, each.Message)
	}
	want := []string{
		"created", "token 1 obtained by password", "exchange by refresh_token failed: RefusedDead, RefreshTokenRejected",
		"exchange by password failed: LoginRefused, CredentialsRejected", "Stalled became True",
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
}
