package alerting

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluent-credential/operator/hack/localcluster"
)

// recording says whether to write what was seen into the documentation.
var recording = flag.Bool("record", false, "write what was seen into docs/what-you-see.md and docs/img")

// A fault is one that was staged, as the documentation tells it.
type fault struct {
	Name, Title, Staged, Remedy string
	Fires                       []string // the alerts that tell of it, at least

	Get, Describe, Advice, Metrics string // what people see
	Alerts                         []told
}

type told struct{ Name, Summary, Description string }

var faults = []fault{
	{Name: "mistyped", Title: "A wrong password",
		Staged: "The credentials Secret holds a password that the API refuses.",
		Remedy: "Correct it; the new one is tried at once. The wrong one is not tried again for 20 minutes, so it locks nobody. [FluentCredentialInputRequired](runbooks/FluentCredentialInputRequired.md)",
		Fires:  []string{"FluentCredentialInputRequired", "FluentCredentialNotReady"}},
	{Name: "locked", Title: "A locked login",
		Staged: "Another client with an old password has locked the user; the password here is right.",
		Remedy: "Find the other client and stop it, then wait for the lock to pass, or use another user. [FluentCredentialLoginLocked](runbooks/FluentCredentialLoginLocked.md)",
		Fires:  []string{"FluentCredentialLoginLocked", "FluentCredentialNotReady"}},
	{Name: "carts", Title: "A dead provider",
		Staged: "The API's host refuses every connection, until the token expires.",
		Remedy: "Nothing, where the API comes back by itself: the refresh token is intact, and the operator retries. Otherwise look at DNS, network policies and the API's status page. [FluentCredentialProviderFailing](runbooks/FluentCredentialProviderFailing.md)",
		Fires:  []string{"FluentCredentialExpired", "FluentCredentialRefreshFailing"}},
	{Name: "lost", Title: "A lost reply",
		Staged: "The connection broke after the API had spent the refresh token, and before its reply arrived. There is a password, so the operator has logged in again.",
		Remedy: "Nothing here. Without a password: put a new `refresh_token` into the credentials Secret. [FluentCredentialReplyLost](runbooks/FluentCredentialReplyLost.md)",
		Fires:  []string{"FluentCredentialReplyLost"}},
	{Name: "foreign", Title: "A foreign target Secret",
		Staged: "A Secret with the name of the target exists already, and was made by another tool.",
		Remedy: "Choose another `spec.target.name`, or remove that Secret. It is never overwritten. [FluentCredentialStalled](runbooks/FluentCredentialStalled.md)",
		Fires:  []string{"FluentCredentialNotReady", "FluentCredentialStalled"}},
	{Name: "paused", Title: "Suspended, and forgotten",
		Staged: "`spec.suspend` is true. The token is good, and will not be renewed.",
		Remedy: "Set `spec.suspend` to false. [FluentCredentialExpiresSoon](runbooks/FluentCredentialExpiresSoon.md)",
		Fires:  []string{"FluentCredentialExpiresSoon"}},
}

var page = template.Must(template.New("").Parse(`# What you see when something is wrong

For six faults, what each of the places says where an admin looks. All of it was recorded by ` + "`make alerts-e2e ALERTFLAGS=-record`" + `, from the
operator's own binary under a real Prometheus, with tokens that live for 20 seconds; only the names of hosts were replaced. Without ` + "`-record`" + `
the same run holds that every place still says the same. What every reason means is in [troubleshooting.md](troubleshooting.md).
{{range .}}
## {{.Title}}

{{.Staged}}

` + "```console\n$ kubectl -n shop get fcred {{.Name}}\n{{.Get}}\n$ kubectl -n shop describe fcred {{.Name}}    # from its status on\n{{.Describe}}\n$ kubectl fluent status {{.Name}} -n shop    # from its cause on\n{{.Advice}}\n```" + `

The metrics:

` + "```text\n{{.Metrics}}\n```" + `

The alerts that fire:
{{range .Alerts}}
* **{{.Name}}**: {{.Summary}} {{.Description}}{{end}}

**What to do:** {{.Remedy}}
{{end}}`))

// record asks every place about every fault, and holds that each tells of it as the documentation says; or writes that down.
func (s *stage) record() {
	s.t.Helper()
	seen := slices.Clone(faults)
	for i := range seen {
		for _, alert := range seen[i].Fires {
			s.awaitFiring(alert, namespace+"/"+seen[i].Name)
		}
		s.look(&seen[i])
	}
	path := filepath.Join(root, "docs", "what-you-see.md")
	if !*recording {
		s.compare(path, seen)
		return
	}
	file, err := os.Create(path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // a page that is cut off is seen
	if err := page.Execute(file, seen); err != nil {
		s.t.Fatal(err)
	}
}

// compare holds the page to what was seen: for each fault the same lines, however often, whatever the times and the numbers.
func (s *stage) compare(path string, seen []fault) {
	s.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range seen {
		fault := &seen[i]
		_, chapter, found := strings.Cut(string(text), "\n## "+fault.Title+"\n")
		chapter, _, _ = strings.Cut(chapter, "\nThe alerts that fire:")
		if !found {
			s.t.Errorf("%s has no chapter %q", path, fault.Title)
		}
		if diff := s.settle(chapter, fault); diff != "" {
			s.t.Errorf("%s says otherwise (-page +seen); \"make alerts-e2e ALERTFLAGS=-record\" writes it again:\n%s", fault.Title, diff)
		}
	}
}

// settle looks at a fault again until it looks as its chapter says, for half a minute at most: which of several credentials the
// operator sends a request for next is not determined. It returns the difference that stays.
func (s *stage) settle(chapter string, fault *fault) string {
	s.t.Helper()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for end := time.Now().Add(30 * time.Second); ; <-ticker.C {
		var now strings.Builder
		if err := page.Execute(&now, []any{fault}); err != nil {
			s.t.Fatal(err)
		}
		_, is, _ := strings.Cut(now.String(), "\n## "+fault.Title+"\n")
		is, _, _ = strings.Cut(is, "\nThe alerts that fire:")
		diff := cmp.Diff(gist(chapter), gist(is))
		if diff == "" || time.Now().After(end) {
			return diff
		}
		s.look(fault)
	}
}

var (
	again  = regexp.MustCompile(`\(x\d+ over [^)]*\)`) // of an event that came more than once
	number = regexp.MustCompile(`\d+(\.\d+)?(e\+\d+)?`)
	unit   = regexp.MustCompile(`#(ms|µs|[smhd])(#(ms|[smhd]))*\b`)
	space  = regexp.MustCompile(`[ \t]+|-{2,}`)
)

// gist is the lines of a text, each once, without numbers, times and the widths of columns.
func gist(text string) map[string]bool {
	lines := map[string]bool{}
	for line := range strings.Lines(text) {
		line = number.ReplaceAllString(again.ReplaceAllString(line, ""), "#")
		line = strings.TrimSpace(space.ReplaceAllString(unit.ReplaceAllString(line, "#"), " "))
		lines[line] = true
	}
	return lines
}

var (
	loopback = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	revision = regexp.MustCompile(`(?m)^ *(Observed Generation|Observed generation):.*\n`)
)

// look asks every place about one fault.
func (s *stage) look(fault *fault) {
	s.t.Helper()
	clean := func(text string) string {
		return strings.TrimRight(loopback.ReplaceAllString(revision.ReplaceAllString(text, ""), "auth.example.com"), "\n ")
	}
	fault.Get = clean(s.kubectl("get", "fcred", fault.Name))
	_, status, found := strings.Cut(s.kubectl("describe", "fcred", fault.Name), "\nStatus:\n")
	if !found {
		s.t.Fatalf("kubectl describe does not tell the status of %s", fault.Name)
	}
	fault.Describe = clean("Status:\n" + status)
	_, advice, found := strings.Cut(s.advice(fault.Name), "\nCause\n")
	if !found {
		s.t.Fatalf("kubectl fluent status does not tell the cause of %s", fault.Name)
	}
	fault.Advice = clean("Cause\n" + advice)
	exposed, err := localcluster.Get(s.t.Context(), "http://"+s.metrics+"/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(exposed)) {
		if strings.Contains(line, fmt.Sprintf("name=%q,namespace=%q", fault.Name, namespace)) {
			lines = append(lines, line)
		}
	}
	fault.Metrics = clean(strings.Join(lines, ""))
	fault.Alerts = s.alertsAbout(fault.Name)
}

// advice is what kubectl fluent says about a credential. Its exit code says whether a person is needed, which is no error here.
func (s *stage) advice(name string) string {
	s.t.Helper()
	plugin := must[string](s.t)(localcluster.Binary("kubectl-fluent"))
	out, err := localcluster.Run(s.t.Context(), s.environment(), plugin, "status", name, "-n", namespace)
	if exit := (&exec.ExitError{}); err != nil && !errors.As(err, &exit) || !strings.Contains(out, name) {
		s.t.Fatalf("kubectl fluent status %s: %v\n%s", name, err, out)
	}
	return out
}

// alertsAbout are the alerts that fire about a credential.
func (s *stage) alertsAbout(name string) []told {
	s.t.Helper()
	var about []told
	for _, alert := range alerts(s.t, s.prometheus) {
		if alert.Labels["name"] == name {
			about = append(about, told{alert.Labels["alertname"], alert.Annotations["summary"], alert.Annotations["description"]})
		}
	}
	slices.SortFunc(about, func(a, b told) int { return strings.Compare(a.Name, b.Name) })
	return about
}
