package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

func TestStatusOfEachUrgency(t *testing.T) {
	t.Parallel()
	namespace := stageAll(t)
	tests := map[string]struct {
		why  string
		code int
		says []string
	}{
		"fine":      {"nothing to do", 0, []string{"TokenPublished: ", "Nothing: the token is renewed by itself.", "plan", "refresh is due", "token expires"}},
		"retrying":  {"the operator is at it", 0, []string{"ProviderUnavailable: connection refused", "kubectl fluent check retrying -n"}},
		"ending":    {"the token still works, for now", exitAttention, []string{"ReauthorizationRequired", "kubectl fluent login ending -n"}},
		"stopped":   {"a late refresh that is explained", exitAttention, []string{"ReauthorizationRequired: no refresh token is stored"}},
		"suspended": {"somebody wants it so", 0, []string{"Suspended", "kubectl fluent resume suspended -n"}},
		"down":      {"nothing works", exitAttention, []string{"CredentialsRejected: invalid_grant: Bad credentials", "Correct the Secret down-login", "token expired"}},
		"unseen":    {"nobody looked", exitAttention, []string{"Unobserved: no operator has looked at it yet", "kubectl fluent doctor"}},
		"vanished":  {"the status says all is well, and the clock says no", exitAttention, []string{"and the operator has not said so", "kubectl fluent doctor"}},
	}
	for name, test := range tests {
		got := must(t, test.code, "", "status", name, "-n", namespace)
		contains(t, got.out, append(test.says, namespace+"/"+name, "Timeline", "created", "Cause", "What to do")...)
		if t.Failed() {
			t.Fatalf("%s: %s", name, test.why)
		}
	}
}

func TestStatusForms(t *testing.T) {
	t.Parallel()
	namespace := stageAll(t)
	var one story
	if err := json.Unmarshal([]byte(must(t, exitAttention, "", "status", "ending", "-n", namespace, "-o", "json").out), &one); err != nil {
		t.Fatal(err)
	}
	if one.Name != "ending" || !one.Valid || !one.NeedsPerson || one.Cause.Reason != v1alpha1.ReasonReauthorizationRequired || one.Advice == "" {
		t.Errorf("the story as JSON: %+v", one)
	}
	var two []story
	if err := json.Unmarshal([]byte(must(t, 0, "", "status", "fine", "suspended", "-n", namespace, "-o", "json").out), &two); err != nil || len(two) != 2 {
		t.Errorf("%d stories, %v", len(two), err)
	}
	contains(t, must(t, 0, "", "status", "fine", "-n", namespace, "-o", "yaml").out, "name: fine", "needsPerson: false")
	must(t, exitUsage, "", "status", "fine", "-n", namespace, "-o", "wide")
	must(t, exitUsage, "", "status", "-n", namespace)
}

// TestStatusTellsTheStory: what the real operator wrote, events included, in the order of time.
func TestStatusTellsTheStory(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, nil), newNamespace(t)
	startOperator(t, namespace)
	wrong := fullLogin()
	wrong["password"] = "wrong-" + password
	create(t, loginSecret(namespace, "orders-login", wrong))
	cred := credential(namespace, "orders", sim.URL)
	create(t, cred)
	eventually(t, cred, "rejected", hasReason(v1alpha1.ReasonCredentialsRejected))
	terminal := onTerminal(t, nil, "status", "orders", "-n", namespace)
	terminal.ends(exitAttention)
	contains(t, terminal.text(), "Cause", "CredentialsRejected", "Correct the Secret orders-login", "after 20 minutes", string(red))

	eventually(t, cred, "event", func(*v1alpha1.FluentCredential) bool { // it may take a moment longer than the status
		events, err := eventsOf(t.Context(), live, reread(t, cred))
		return err == nil && len(events) > 0
	})
	told := must(t, exitAttention, "", "status", "orders", "-n", namespace).out
	timeline := told[strings.Index(told, "Timeline"):strings.Index(told, "Cause")]
	contains(t, timeline, "created", "exchange by password failed: LoginRefused, CredentialsRejected", "Warning", "exchange is tried again")
	if strings.Index(timeline, "created") > strings.Index(timeline, "exchange is tried again") {
		t.Errorf("the timeline is not in order:\n%s", timeline)
	}
	if strings.Contains(told, password) {
		t.Error("the password is told")
	}
}
