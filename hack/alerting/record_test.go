package alerting

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/fluent-credential/operator/hack/localcluster"
)

// recording says whether to write what was seen into the documentation.
var recording = flag.Bool("record", false, "write what was seen into docs/what-you-see.md and docs/img")

// A fault is one that was staged, as the documentation tells it.
type fault struct {
	Name, Title, Staged, Remedy string

	Get, Describe, Metrics string // what people see
	Alerts                 []told
}

type told struct{ Name, Summary, Description string }

var faults = []fault{
	{Name: "mistyped", Title: "A wrong password",
		Staged: "The credentials Secret holds a password that the API refuses.",
		Remedy: "Correct it; the new one is tried at once. The wrong one is not tried again for 20 minutes, so it locks nobody. [FluentCredentialStalled](runbooks/FluentCredentialStalled.md)"},
	{Name: "locked", Title: "A locked login",
		Staged: "Another client with an old password has locked the user; the password here is right.",
		Remedy: "Find the other client and stop it, then wait for the lock to pass, or use another user. [FluentCredentialLoginLocked](runbooks/FluentCredentialLoginLocked.md)"},
	{Name: "carts", Title: "A dead provider",
		Staged: "The API's host refuses every connection, until the token expires.",
		Remedy: "Nothing, where the API comes back by itself: the refresh token is intact, and it is tried ever again. Else look at DNS, network policies and the API's status page. [FluentCredentialProviderFailing](runbooks/FluentCredentialProviderFailing.md)"},
	{Name: "lost", Title: "A lost reply",
		Staged: "The connection broke after the API had spent the refresh token, and before its reply arrived. There is a password, so the operator has logged in anew.",
		Remedy: "Nothing here. Without a password: put a new `refresh_token` into the credentials Secret. [FluentCredentialReplyLost](runbooks/FluentCredentialReplyLost.md)"},
	{Name: "foreign", Title: "A foreign target Secret",
		Staged: "A Secret of the target's name is there already, and was made by somebody else.",
		Remedy: "Choose another `spec.target.name`, or remove that Secret. It is never overwritten. [FluentCredentialStalled](runbooks/FluentCredentialStalled.md)"},
	{Name: "paused", Title: "Suspended, and forgotten",
		Staged: "`spec.suspend` is true. The token is good, and nobody will renew it.",
		Remedy: "Set `spec.suspend` to false. [FluentCredentialExpiresSoon](runbooks/FluentCredentialExpiresSoon.md)"},
}

var page = template.Must(template.New("").Parse(`# What you see when something is wrong

For six faults, what each of the places says where an admin looks. All of it was recorded by ` + "`make alerts-e2e ALERTFLAGS=-record`" + `, from the
operator's own binary under a real Prometheus, with tokens that live for 20 seconds; only the names of hosts were replaced. What every reason
means is in [troubleshooting.md](troubleshooting.md).
{{range .}}
## {{.Title}}

{{.Staged}}

` + "```console\n$ kubectl -n shop get fcred {{.Name}}\n{{.Get}}\n$ kubectl -n shop describe fcred {{.Name}}    # from its status on\n{{.Describe}}\n```" + `

The metrics:

` + "```text\n{{.Metrics}}\n```" + `

The alerts that fire:
{{range .Alerts}}
* **{{.Name}}**: {{.Summary}} {{.Description}}{{end}}

**What to do:** {{.Remedy}}
{{end}}`))

// record asks every place about every fault, holds that each tells of it, and writes it down where that is wanted.
func (s *stage) record() {
	s.t.Helper()
	seen := slices.Clone(faults)
	for i := range seen {
		s.look(&seen[i])
		if len(seen[i].Alerts) == 0 {
			s.t.Errorf("no alert fires about %s", seen[i].Name)
		}
	}
	if !*recording {
		return
	}
	file, err := os.Create(filepath.Join(root, "docs", "what-you-see.md"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // a page that is cut off is seen
	if err := page.Execute(file, seen); err != nil {
		s.t.Fatal(err)
	}
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

// alertsAbout are the alerts that fire about a credential.
func (s *stage) alertsAbout(name string) []told {
	s.t.Helper()
	type active struct {
		Alerts []struct {
			Labels, Annotations map[string]string
			State               string
		}
	}
	var about []told
	for _, alert := range ask[active](s.t, s.prometheus, "alerts", url.Values{}).Alerts {
		if alert.State == "firing" && alert.Labels["name"] == name {
			about = append(about, told{alert.Labels["alertname"], alert.Annotations["summary"], alert.Annotations["description"]})
		}
	}
	slices.SortFunc(about, func(a, b told) int { return strings.Compare(a.Name, b.Name) })
	return about
}
