package cli

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// stageAll creates one credential of each urgency.
func stageAll(t *testing.T) string {
	t.Helper()
	namespace := newNamespace(t)
	for name, each := range scenes {
		each.stage(t, namespace, name)
	}
	return namespace
}

// mostUrgentFirst is the order of the scenes.
var mostUrgentFirst = []string{"down", "unseen", "vanished", "ending", "stopped", "retrying", "suspended", "fine"}

func TestListByUrgency(t *testing.T) {
	t.Parallel()
	namespace := stageAll(t)
	lines := strings.Split(strings.TrimSpace(must(t, 0, "", "list", "-n", namespace).out), "\n")
	var names []string
	for _, line := range lines[1:] {
		names = append(names, strings.Fields(line)[0])
	}
	if diff := cmp.Diff(mostUrgentFirst, names); diff != "" {
		t.Errorf("the order (-want +got):\n%s", diff)
	}
	if header := strings.Join(strings.Fields(lines[0]), " "); header != "NAME READY STATUS TIME LEFT NEXT REFRESH SECRET" {
		t.Errorf("the header is %q", header)
	}
	for name, want := range map[string]string{
		"down":      `False +CredentialsRejected +expired 60m ago`,
		"unseen":    `False +Unobserved +- +- +unseen-token`,
		"vanished":  `False +Unobserved +expired [6-9]\ds ago +due 10m ago`,
		"ending":    `True +ReauthorizationRequired +(179m|2h59m|3h)`,
		"stopped":   `True +ReauthorizationRequired +(299m|4h59m|5h) +needs manual action`,
		"suspended": `True +Suspended +9m\d+s +suspended`,
		"fine":      `True +TokenPublished +59m +in 39m`,
	} {
		if !regexp.MustCompile(`(?m)^` + name + ` +` + want).MatchString(strings.Join(lines, "\n")) {
			t.Errorf("%s is not told as %s in\n%s", name, want, strings.Join(lines, "\n"))
		}
	}
}

func TestListForms(t *testing.T) {
	t.Parallel()
	namespace := stageAll(t)
	in := []string{"list", "-n", namespace}

	wide := must(t, 0, "", append(in, "-o", "wide")...).out
	contains(t, wide, "MESSAGE", "invalid_grant: Bad credentials", "refresh_token", "fluent")
	named := must(t, 0, "", append(in, "-o", "name")...).out
	contains(t, named, "fluentcredential.auth.fluent-credential.dev/down\n")
	contains(t, must(t, 0, "", append(in, "-o", "yaml")...).out, "kind: FluentCredential", "name: down")
	if bare := must(t, 0, "", append(in, "--no-headers")...).out; strings.Contains(bare, "NAME") {
		t.Errorf("there are headers in\n%s", bare)
	}
	var list v1alpha1.FluentCredentialList
	if err := json.Unmarshal([]byte(must(t, 0, "", append(in, "-o", "json")...).out), &list); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, item := range list.Items {
		names = append(names, item.Name)
	}
	if diff := cmp.Diff(mostUrgentFirst, names); diff != "" {
		t.Errorf("the order of JSON (-want +got):\n%s", diff)
	}
	everywhere := must(t, 0, "", "list", "-A").out
	contains(t, everywhere, "NAMESPACE", namespace)
	contains(t, must(t, 2, "", append(in, "-o", "xml")...).err, "unable to match a printer")
}

func TestListSelects(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	scenes["fine"].stage(t, namespace, "fine")
	contains(t, must(t, 0, "", "list", "-n", namespace, "-l", "team=orders").out, "fine")
	empty := must(t, 0, "", "list", "-n", namespace, "-l", "team=other")
	if empty.out != "" || !strings.Contains(empty.err, "No FluentCredentials found.") {
		t.Errorf("nothing is told as %q, %q", empty.out, empty.err)
	}
	must(t, 0, "", "list", "-n", namespace, "--exit-code")
	scenes["down"].stage(t, namespace, "down")
	must(t, 0, "", "list", "-n", namespace)
	must(t, exitAttention, "", "list", "-n", namespace, "--exit-code")
	must(t, 0, "", "list", "-n", namespace, "fcred/fine", "--exit-code")
	must(t, exitUsage, "", "list", "-n", namespace, "-l", "team in")
	must(t, exitUsage, "", "list", "-n", namespace, "fine", "-A")
	contains(t, must(t, exitFailed, "", "list", "-n", namespace, "nothing").err, `"nothing" not found`, "kubectl fluent list -A")
}

// TestColourOnATerminalOnly: the same command, once on a terminal and once in a pipe.
func TestColourOnATerminalOnly(t *testing.T) {
	t.Parallel()
	namespace := stageAll(t)
	if piped := must(t, 0, "", "list", "-n", namespace).out; strings.Contains(piped, "\x1b") {
		t.Errorf("there is colour in a pipe: %q", piped)
	}
	shown := onTerminal(t, nil, "list", "-n", namespace)
	shown.ends(0)
	for name, want := range map[string]colour{"down": red, "vanished": red, "ending": yellow, "retrying": yellow, "suspended": cyan} {
		if !strings.Contains(shown.text(), string(want)+name) {
			t.Errorf("%s has not the colour %q in\n%q", name, want, shown.text())
		}
	}
	if !strings.Contains(shown.text(), "\nfine ") {
		t.Errorf("fine is coloured in\n%q", shown.text())
	}
	for _, off := range []string{"NO_COLOR=1", "TERM=dumb"} {
		grey := onTerminal(t, []string{off}, "list", "-n", namespace)
		grey.ends(0)
		if strings.Contains(grey.text(), "\x1b") {
			t.Errorf("there is colour with %s: %q", off, grey.text())
		}
	}
}

func TestFromNow(t *testing.T) {
	now := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	for want, at := range map[string]time.Time{"in 10m": now.Add(10 * time.Minute), "5m ago": now.Add(-5 * time.Minute), "0s ago": now} {
		if got := fromNow(at, now, "in ", ""); got != want {
			t.Errorf("%s is told as %q, want %q", at.Sub(now), got, want)
		}
	}
}
