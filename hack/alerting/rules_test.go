package alerting

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/metrics"
)

// Paths of programs that "make alerts-test" and "make alerts-e2e" build. Without one, the tests that need it are skipped.
var (
	promtool   = flag.String("promtool", "", "path of promtool")
	prometheus = flag.String("prometheus", "", "path of prometheus")
)

const (
	root       = "../.."
	rulesPath  = root + "/config/prometheus/rules.yaml"
	runbooks   = root + "/docs/runbooks"
	runbookURL = "https://github.com/fluent-credential/operator/blob/main/docs/runbooks/"
)

// prometheusRule is what is read of a PrometheusRule; its spec is a rule file of Prometheus.
type prometheusRule struct {
	Spec ruleFile `json:"spec"`
}

type ruleFile struct {
	Groups []group `json:"groups"`
}

type group struct {
	Name  string `json:"name"`
	Rules []rule `json:"rules"`
}

type rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// readRules reads what is installed in clusters; nothing in it may be unknown to this test.
func readRules(t *testing.T) ruleFile {
	t.Helper()
	text, err := os.ReadFile(rulesPath)
	if err != nil {
		t.Fatal(err)
	}
	var read prometheusRule
	if err := yaml.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	return read.Spec
}

func (f ruleFile) alerts() []rule {
	var all []rule
	for _, group := range f.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

// write writes a rule file of Prometheus.
func (f ruleFile) write(t *testing.T, path string) {
	t.Helper()
	text, err := yaml.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRulesWithPromtool(t *testing.T) {
	if *promtool == "" {
		t.Skip("no -promtool: \"make alerts-test\" runs it")
	}
	dir := t.TempDir()
	readRules(t).write(t, filepath.Join(dir, "rules.yaml"))
	cases, err := os.ReadFile("testdata/rules_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "rules_test.yaml"), cases, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"}, {"test", "rules", "rules_test.yaml"},
	} {
		command := exec.CommandContext(t.Context(), *promtool, args...)
		command.Dir = dir
		out, err := command.CombinedOutput()
		t.Logf("promtool %s\n%s", strings.Join(args, " "), out)
		if err != nil {
			t.Errorf("promtool %s: %v", strings.Join(args, " "), err)
		}
	}
	for _, alert := range readRules(t).alerts() {
		if !strings.Contains(string(cases), alert.Alert) {
			t.Errorf("%s has no unit test", alert.Alert)
		}
	}
}

// sections are what every runbook has.
var sections = []string{
	"\n## What it means\n", "\n**Class:** ", "\n## How to look\n", "\n## What the operator does by itself\n",
	"\n## What to do\n", "\n## How it ends\n",
}

func TestEachAlertHasARunbookAndEachRunbookAnAlert(t *testing.T) {
	pages, err := filepath.Glob(runbooks + "/Fluent*.md")
	if err != nil {
		t.Fatal(err)
	}
	index, err := os.ReadFile(runbooks + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, alert := range readRules(t).alerts() {
		page := filepath.Join(runbooks, alert.Alert+".md")
		pages = slices.DeleteFunc(pages, func(path string) bool { return path == page })
		text, err := os.ReadFile(page)
		if err != nil {
			t.Errorf("%s: %v", alert.Alert, err)
			continue
		}
		for _, section := range append([]string{"# " + alert.Alert + "\n"}, sections...) {
			if !strings.Contains(string(text), section) {
				t.Errorf("%s does not have %q", page, strings.TrimSpace(section))
			}
		}
		mustNameClasses(t, page, string(text))
		if got, want := alert.Annotations["runbook_url"], runbookURL+alert.Alert+".md"; got != want {
			t.Errorf("%s sends people to %s, want %s", alert.Alert, got, want)
		}
		if !strings.Contains(string(index), "]("+alert.Alert+".md)") {
			t.Errorf("docs/runbooks/README.md does not lead to %s", alert.Alert)
		}
		if alert.Annotations["summary"] == "" || alert.Annotations["description"] == "" || alert.Labels["severity"] == "" {
			t.Errorf("%s lacks a summary, a description or a severity", alert.Alert)
		}
	}
	if len(pages) > 0 {
		t.Errorf("there is no alert for %v", pages)
	}
}

// mustNameClasses holds that the line on the class names classes that exist, or says that there is none.
func mustNameClasses(t *testing.T, page, text string) {
	t.Helper()
	_, line, _ := strings.Cut(text, "\n**Class:** ")
	sentence, _, _ := strings.Cut(line, ".")
	found := false
	for _, class := range failure.Classes() {
		found = found || strings.Contains(sentence, "`"+string(class)+"`")
	}
	if !found && !strings.HasPrefix(sentence, "none") {
		t.Errorf("%s names no class: %s", page, sentence)
	}
}

// TestEachClassHasAnAlert: a class that is added needs an alert that reads it, or the condition that it sets.
func TestEachClassHasAnAlert(t *testing.T) {
	alerts := map[failure.Class]string{
		failure.Time:   "FluentCredentialRefreshFailing",
		failure.Input:  "FluentCredentialInputRequired",
		failure.Person: "FluentCredentialStalled",
	}
	index, err := os.ReadFile(runbooks + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, class := range failure.Classes() {
		alert := alerts[class]
		known := slices.ContainsFunc(readRules(t).alerts(), func(rule rule) bool { return rule.Alert == alert })
		if !known {
			t.Errorf("class %s has no alert", class)
		}
		if !strings.Contains(string(index), alert+" for `"+string(class)+"`") {
			t.Errorf("docs/runbooks/README.md does not say which alert class %s has", class)
		}
	}
}

var metricName = regexp.MustCompile(`\bfluent_credential_[a-z_]+`)

// unknownMetrics are the names in an expression that the operator does not expose.
func unknownMetrics(expression string) []string {
	known := map[string]bool{}
	for _, definition := range metrics.Definitions() {
		known[definition.Name] = true
		if definition.Kind == metrics.Histogram {
			known[definition.Name+"_bucket"], known[definition.Name+"_sum"], known[definition.Name+"_count"] = true, true, true
		}
	}
	return slices.DeleteFunc(metricName.FindAllString(expression, -1), func(name string) bool { return known[name] })
}

func TestAlertsReadWhatIsThere(t *testing.T) {
	if unknown := unknownMetrics(`rate(fluent_credential_no_such_thing[5m])`); len(unknown) != 1 {
		t.Fatalf("a metric that does not exist is not found: %v", unknown)
	}
	for _, alert := range readRules(t).alerts() {
		if unknown := unknownMetrics(alert.Expr); len(unknown) > 0 {
			t.Errorf("%s reads %v, which the operator does not expose", alert.Alert, unknown)
		}
	}
}
