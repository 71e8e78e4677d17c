package controllers

import (
	"errors"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/distribution"
	"github.com/fluent-credential/operator/internal/plan"
	"github.com/fluent-credential/operator/internal/projection"
)

// tokenScene is a FluentToken with everything in order, to be spoiled by a test.
func tokenScene() *tokenObservation {
	cred := &v1alpha1.FluentCredential{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders", UID: "cred"}}
	token := fluentToken("web", cred)
	token.UID, token.Generation, token.Finalizers = "token", 3, []string{v1alpha1.ReleaseFinalizer}
	return &tokenObservation{
		now: start, token: token, cred: cred, held: []string{"orders-token"},
		known: &consumer{
			source: "cred", generation: 3, expires: start.Add(time.Minute), published: publication{name: "orders-token", serial: 17, resourceVersion: "5"},
		},
		record:   &custody.Record{State: custody.State{Serial: 17, Token: &custody.Token{Expires: start.Add(time.Minute)}}},
		workload: workload{found: true, ours: true, current: true, serial: 17, source: "cred"},
	}
}

// tokenSituations are what a FluentToken can be in, and what is said of it.
var tokenSituations = map[string]struct {
	why     string
	spoil   func(*tokenObservation)
	reason  string
	says    string
	ready   bool
	stalled bool
	serial  int64 // in the status; zero: none
}{
	"all is well": {"the Secret holds a valid token", func(*tokenObservation) {}, v1alpha1.ReasonTokenPublished, "Secret orders-token", true, false, 17},
	"no consent": {"nothing is told", func(o *tokenObservation) { o.cred, o.record, o.held = nil, nil, nil },
		v1alpha1.ReasonNotAllowed, "FluentCredential shop/orders does not exist, or", false, false, 0},
	"no consent, and the Secret will not go": {"the answer is the same", func(o *tokenObservation) {
		o.cred, o.record, o.failed = nil, nil, errors.New("no")
	}, v1alpha1.ReasonNotAllowed, "FluentCredential shop/orders does not exist, or", false, false, 0},
	"no token yet": {"the credential is at work", func(o *tokenObservation) {
		o.record, o.workload, o.held, o.known = &custody.Record{}, workload{}, nil, &consumer{}
	}, v1alpha1.ReasonCredentialNotReady, "shop/orders has no access token yet", false, false, 0},
	"expired": {"when it did", func(o *tokenObservation) { o.record.Token.Expires = start }, v1alpha1.ReasonTokenExpired, "2026-", false, false, 17},
	"taken": {"whose it is not", func(o *tokenObservation) {
		o.workload, o.held, o.known = workload{found: true}, nil, &consumer{}
	}, v1alpha1.ReasonTargetConflict, "does not belong to this FluentToken", false, true, 0},
	"a template": {"what is wrong with it", func(o *tokenObservation) { o.obstacle = obstacle{v1alpha1.ReasonTemplateInvalid, "target.data: key"} }, v1alpha1.ReasonTemplateInvalid, "target.data: key", false, true, 17},
	"refused": {"what the Kubernetes API says; the old token is still there", func(o *tokenObservation) {
		o.record.Serial, o.failed = 18, errors.New("no")
		o.workload.current, o.workload.wanted = false, &projection.Workload{Serial: 18}
	}, v1alpha1.ReasonPublishFailed, "no", false, false, 17},
	"another replica is ahead": {"its token is valid", func(o *tokenObservation) {
		o.workload.serial, o.workload.current, o.known = 18, false, &consumer{}
	}, v1alpha1.ReasonTokenPublished, "Secret orders-token", true, false, 18},
}

// statusOfToken is the status of a scene that was spoiled.
func statusOfToken(spoil func(*tokenObservation)) v1alpha1.FluentTokenStatus {
	seen := tokenScene()
	spoil(seen)
	(&TokenReconciler{}).refresh(seen)
	return tokenStatusOf(seen, distribution.Next(seen.facts, seen.now))
}

func TestUnitTokenStatus(t *testing.T) {
	for name, test := range tokenSituations {
		t.Run(name, func(t *testing.T) {
			status := statusOfToken(test.spoil)
			ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
			if ready.Reason != test.reason {
				t.Errorf("reason %s, want %s: %s", ready.Reason, test.reason, test.why)
			}
			if (ready.Status == metav1.ConditionTrue) != test.ready || !strings.Contains(ready.Message, test.says) {
				t.Errorf("Ready %s: %q, want %t and %q", ready.Status, ready.Message, test.ready, test.says)
			}
			if meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionStalled) != test.stalled ||
				meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReconciling) == (test.stalled || test.ready) {
				t.Errorf("%+v: want stalled %t, and under way where it is neither stalled nor ready", status.Conditions, test.stalled)
			}
			var serial int64
			if status.Token != nil {
				serial = status.Token.Serial
			}
			if serial != test.serial {
				t.Errorf("serial %d in the status, want %d: %s", serial, test.serial, test.why)
			}
		})
	}
}

// TestUnitSecretThatDoesNotGoIsTold: Ready tells of the token, and Reconciling of what is refused.
func TestUnitSecretThatDoesNotGoIsTold(t *testing.T) {
	for name, spoil := range map[string]func(*tokenObservation){
		v1alpha1.ReasonNotAllowed:     func(o *tokenObservation) { o.cred, o.record, o.failed = nil, nil, errors.New("no") },
		v1alpha1.ReasonTokenPublished: func(o *tokenObservation) { o.held, o.failed = append(o.held, "former"), errors.New("no") },
	} {
		conditions := statusOfToken(spoil).Conditions
		ready, reconciling := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady), meta.FindStatusCondition(conditions, v1alpha1.ConditionReconciling)
		if ready.Reason != name || reconciling == nil || reconciling.Reason != v1alpha1.ReasonPublishFailed {
			t.Errorf("%s: %+v", name, conditions)
		}
	}
}

// TestUnitPublicationAgainstASerial: what is compared is the serial first, then the content.
func TestUnitPublicationAgainstASerial(t *testing.T) {
	for name, test := range map[string]struct {
		workload workload
		want     plan.Publication
	}{
		"somebody else's": {workload{found: true}, plan.Taken},
		"a newer one":     {workload{found: true, ours: true, serial: 18, current: true}, plan.Newer},
		"the same":        {workload{found: true, ours: true, serial: 17, current: true}, plan.Current},
		"none wanted":     {workload{}, ""},
	} {
		if got := test.workload.against(17); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
