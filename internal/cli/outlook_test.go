package cli

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	conditions "github.com/fluent-credential/operator/internal/condition"
	failures "github.com/fluent-credential/operator/internal/failure"
)

// failing is a credential whose last exchange failed with that class.
func failing(class failures.Class, retry time.Duration, given ...metav1.Condition) *v1alpha1.FluentCredential {
	cred := credential("shop", "orders", "https://api.example.com")
	cred.Status.Conditions = given
	if class != "" {
		cred.Status.Failures = &v1alpha1.FailureStatus{Count: 1, Class: string(class)}
	}
	if retry != 0 {
		cred.Status.Failures.RetryTime = new(metav1.NewTime(noon.Add(retry)))
	}
	return cred
}

var noon = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)

func TestOutlook(t *testing.T) {
	isStalled := func(reason string) metav1.Condition {
		return condition(v1alpha1.ConditionStalled, metav1.ConditionTrue, reason, "words")
	}
	tests := map[string]struct {
		why    string
		cred   *v1alpha1.FluentCredential
		reason string
		class  failures.Class
		says   []string
	}{
		"healthy": {
			why: "nothing fails", cred: failing("", 0),
			reason: v1alpha1.ReasonTokenPublished, class: "",
		},
		"suspended": {
			why: "it is meant to be so", cred: failing("", 0),
			reason: v1alpha1.ReasonSuspended, class: "",
		},
		"unreachable": {
			why: "it comes back", cred: failing(failures.Time, 5*time.Minute),
			reason: v1alpha1.ReasonProviderUnavailable, class: failures.Time,
			says: []string{"passes by itself", "The next try is at 2026-01-05T12:05:00Z."},
		},
		"due": {
			why: "the time has come", cred: failing(failures.Time, -time.Second),
			reason: v1alpha1.ReasonProviderUnavailable, class: failures.Time,
			says: []string{"The next try is at 2026-01-05T11:59:59Z."},
		},
		"rejected": {
			why: "it is probed", cred: failing(failures.Input, time.Hour),
			reason: v1alpha1.ReasonCredentialsRejected, class: failures.Input,
			says: []string{"the Secret orders-login", "Otherwise the next try is at 2026-01-05T13:00:00Z"},
		},
		"no login": {
			why: "there is nothing to probe with", cred: failing("", 0),
			reason: v1alpha1.ReasonCredentialsNotFound, class: failures.Input,
			says: []string{"the Secret orders-login", "Nothing is tried until then."},
		},
		"no login any more": {
			why: "the failure is an older one", cred: failing(failures.Time, time.Minute),
			reason: v1alpha1.ReasonCredentialsNotFound, class: failures.Input,
			says: []string{"Nothing is tried until then."},
		},
		"in use": {
			why: "the time is not that of an exchange", cred: failing(failures.Person, 5*time.Minute),
			reason: v1alpha1.ReasonLoginInUse, class: failures.Person,
			says: []string{"until a person acts"},
		},
		"guarded": {
			why: "the budget fills again", cred: failing(failures.Time, time.Hour),
			reason: v1alpha1.ReasonLoginLocked, class: failures.Time,
			says: []string{"13:00:00Z"},
		},
		"locked": {
			why: "the API says so", cred: failing(failures.Input, time.Hour),
			reason: v1alpha1.ReasonLoginLocked, class: failures.Input,
			says: []string{"13:00:00Z"},
		},
		"redirected": {
			why: "it is not stalled", cred: failing("", 0),
			reason: v1alpha1.ReasonEndpointNotAllowed, class: failures.Time,
		},
		"forbidden host": {
			why: "it is stalled", cred: failing("", 0, isStalled(v1alpha1.ReasonEndpointNotAllowed)),
			reason: v1alpha1.ReasonEndpointNotAllowed, class: failures.Person,
		},
		"reply lost, Stop": {
			why: "it is stalled", cred: failing(failures.Time, 0, isStalled(v1alpha1.ReasonReplyLost)),
			reason: v1alpha1.ReasonReplyLost, class: failures.Person,
		},
		"a quota, or a webhook": {
			why: "the status does not say which", cred: failing("", 0),
			reason: v1alpha1.ReasonPublishFailed, class: "",
			says: []string{"Class Time or Input", "the message says"},
		},
		"a policy": {
			why: "it is stalled", cred: failing("", 0, isStalled(v1alpha1.ReasonStateUnwritable)),
			reason: v1alpha1.ReasonStateUnwritable, class: "",
			says: []string{"Class Input or Person", "what has to change"},
		},
		"unknown reason": {
			why: "the class is known", cred: failing(failures.Time, time.Minute),
			reason: "SomethingNew", class: failures.Time,
			says: []string{"passes by itself"},
		},
		"unknown class": {
			why: "it is named", cred: failing("Weather", time.Minute),
			reason: "SomethingNew", class: "Weather",
			says: []string{"older than the operator"},
		},
		"of an older operator": {
			why: "it has no classes", cred: failing("", 0, isStalled(v1alpha1.ReasonCredentialsRejected)),
			reason: v1alpha1.ReasonCredentialsRejected, class: failures.Input,
		},
	}
	for name, test := range tests {
		got := outlookOf(test.cred, cause{Reason: test.reason})
		if got.Class != test.class {
			t.Errorf("%s: class %q, want %q: %s", name, got.Class, test.class, test.why)
		}
		for _, words := range test.says {
			if !strings.Contains(got.Text, words) {
				t.Errorf("%s: %q does not say %q: %s", name, got.Text, words, test.why)
			}
		}
		if test.class == "" && test.says == nil && got.Text != "" {
			t.Errorf("%s: %q: %s", name, got.Text, test.why)
		}
	}
}

// TestOutlookIsTotal: each class of each reason is said in words, and a failure of class Input says what it waits for.
func TestOutlookIsTotal(t *testing.T) {
	for _, reason := range conditions.Reasons() {
		classes, _ := conditions.Classes(reason)
		for _, class := range classes {
			seen := outlook{Class: class}
			text := placeholders(failing("", 0)).Replace(seen.words(reason))
			if !strings.HasPrefix(text, "Class "+string(class)+": ") || strings.ContainsAny(text, "{}") {
				t.Errorf("%s, class %s: %q", reason, class, text)
			}
			if class == failures.Input && inputs[reason] == "" {
				t.Errorf("nothing says what %s waits for", reason)
			}
		}
		for _, class := range append(failures.Classes(), "") {
			got := outlookOf(failing(class, 0), cause{Reason: reason})
			if (got.Text == "") != (len(classes) == 0) || got.Class != "" && !slices.Contains(classes, got.Class) {
				t.Errorf("%s with class %q in the status: %+v", reason, class, got)
			}
		}
	}
	for reason := range inputs {
		if classes, _ := conditions.Classes(reason); !slices.Contains(classes, failures.Input) {
			t.Errorf("%s does not wait for an input", reason)
		}
	}
	for _, class := range failures.Classes() {
		if text := (outlook{Class: class}).words(""); strings.Contains(text, "older than the operator") {
			t.Errorf("class %s has no words", class)
		}
	}
}

func TestOutlookOfAFluentToken(t *testing.T) {
	token := &v1alpha1.FluentToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: "web", Name: "orders"},
		Spec:       v1alpha1.FluentTokenSpec{CredentialRef: v1alpha1.CredentialReference{Namespace: "shop", Name: "orders"}},
	}
	for reason, want := range map[string]string{
		v1alpha1.ReasonTokenPublished:     "",
		v1alpha1.ReasonNotAllowed:         "until spec.allowedNamespaces of FluentCredential orders in namespace shop",
		v1alpha1.ReasonCredentialNotReady: "as soon as FluentCredential orders in namespace shop has one",
		v1alpha1.ReasonTokenExpired:       "as soon as FluentCredential orders in namespace shop has one",
		v1alpha1.ReasonTargetConflict:     "Class Person",
		v1alpha1.ReasonPublishFailed:      "Class Time or Input",
	} {
		if got := tokenOutlook(token, cause{Reason: reason}).Text; !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", reason, got, want)
		}
	}
}

// TestStatusSaysTheClass: on the screen and for a program.
func TestStatusSaysTheClass(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	refused := scene{conditions: []metav1.Condition{notReady, stalled}, failures: &v1alpha1.FailureStatus{
		Count: 4, LastTime: metav1.Now(), RetryTime: new(metav1.NewTime(time.Now().Add(time.Hour))), Class: "Input",
	}}
	refused.stage(t, namespace, "refused")
	got := must(t, exitAttention, "", "status", "refused", "-n", namespace).out
	contains(t, got, "What the operator does\n  Class Input: ", "the Secret refused-login")
	contains(t, got, "Otherwise the next try is at")
	var one story
	asked := must(t, exitAttention, "", "status", "refused", "-n", namespace, "-o", "json").out
	if err := json.Unmarshal([]byte(asked), &one); err != nil {
		t.Fatal(err)
	}
	if one.Class != failures.Input || one.NextTry == nil || one.Text == "" {
		t.Errorf("the story as JSON: %+v", one.outlook)
	}
	contains(t, must(t, 0, "", "list", "-n", namespace).out, "retry in 59m")
	waiting := scene{conditions: []metav1.Condition{
		condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonCredentialsNotFound, "no Secret"),
	}}
	waiting.stage(t, namespace, "waiting")
	contains(t, must(t, 0, "", "list", "-n", namespace).out, "waits for a change")
}
