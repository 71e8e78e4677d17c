package docs

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what commands print into the pages that show it")

// reader follows a page: it runs what the page shows, from top to bottom.
type reader struct {
	*stage
	page  string
	left  []command
	names *strings.Replacer // of what stands for a name in the page
	found map[string]string // what the page should say in the place of what it says
}

// read opens a page. Names are pairs of a placeholder and what stands in its place.
func (s *stage) read(page string, names ...string) *reader {
	s.t.Helper()
	if known := s.pages[page]; known != nil {
		known.names = strings.NewReplacer(names...)
		return known
	}
	text, err := fs.ReadFile(repository(s.t), page)
	if err != nil {
		s.t.Fatal(err)
	}
	shown, _ := commands(string(text))
	r := &reader{stage: s, page: page, left: shown, names: strings.NewReplacer(names...), found: map[string]string{}}
	s.pages[page] = r
	return r
}

// to runs what is shown up to the command that begins so, and returns what that one printed. It may end with one of the codes; none given: 0.
func (r *reader) to(begin string, codes ...int) string {
	r.t.Helper()
	for len(r.left) > 0 {
		next := r.left[0]
		r.left = r.left[1:]
		if strings.HasPrefix(next.text, begin) {
			return r.do(next, codes...)
		}
		if _, excused := excuse(r.page, next); !excused {
			r.do(next)
		}
	}
	r.t.Fatalf("%s: there is no command (any more) that begins with %q", r.page, begin)
	return ""
}

// rest runs what is left.
func (r *reader) rest() {
	r.t.Helper()
	for len(r.left) > 0 {
		r.to(r.left[0].text)
	}
}

// do runs one command, and compares what it prints with what the page says.
func (r *reader) do(shown command, codes ...int) string {
	r.t.Helper()
	if _, excused := excuse(r.page, shown); excused {
		return ""
	}
	r.t.Logf("%s: %s", r.page, shown.text)
	out, code := r.run(r.names.Replace(shown.text))
	if len(codes) == 0 {
		codes = []int{0}
	}
	wanted := false
	for _, allowed := range codes {
		wanted = wanted || code == allowed
	}
	if !wanted {
		r.t.Errorf("%s: exit code %d, want %v\n%s\n%s", r.page, code, codes, shown.text, out)
	}
	if shown.shown {
		r.compare(shown, out)
	}
	return out
}

// looks are commands that change nothing. What they show may come a moment later: an event, for one.
var looks = regexp.MustCompile(`^kubectl (-n \S+ )?get |^kubectl fluent (list|status) `)

func (r *reader) compare(shown command, out string) {
	r.t.Helper()
	diff := cmp.Diff(timeless(shown.prints), timeless(out))
	for began := time.Now(); diff != "" && !*update && looks.MatchString(shown.text) && time.Since(began) < moment; {
		out, _ = r.run(r.names.Replace(shown.text))
		diff = cmp.Diff(timeless(shown.prints), timeless(out))
	}
	switch {
	case *update:
		r.found["$ "+shown.text+"\n"+shown.prints] = "$ " + shown.text + "\n" + strings.TrimRight(out, "\n") + "\n"
	case diff != "":
		r.t.Errorf("%s: %s prints otherwise than the page says (-page +printed); \"go test ./hack/docs -run TestStories -update\" writes it down:\n%s", r.page, shown.text, diff)
	}
}

// moment is how long a command that only looks is given to show what the page shows.
const moment = 10 * time.Second

// close holds that the whole page was followed, and writes down what was found where that is wanted.
func (r *reader) close() {
	r.t.Helper()
	for _, left := range r.left {
		if _, excused := excuse(r.page, left); !excused {
			r.t.Errorf("%s: the story ends before\n%s", r.page, left.text)
		}
	}
	path := filepath.Join(root, r.page)
	text, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	now := string(text)
	for was, is := range r.found {
		now = strings.Replace(now, was, is, 1)
	}
	if now != string(text) {
		if err := os.WriteFile(path, []byte(now), 0o644); err != nil { //nolint:gosec // as it was
			r.t.Fatal(err)
		}
	}
}

var (
	momentary = regexp.MustCompile(`\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d+)?( ?Z| \+0000 UTC)?|\b\d{2}:\d{2}:\d{2}\b|\d{4}-\d{2}-\d{2}`)
	lasting   = regexp.MustCompile(`\b(\d+(\.\d+)?(ms|µs|ns|[smhd]))+\b`)
	rules     = regexp.MustCompile(`-{2,}`)
	gaps      = regexp.MustCompile(`[ \t]+`)
)

// timeless is a text without what differs from one run to the next: times and durations, the widths of columns and the order of moments
// that follow from them, and the steps of a progress, of which a quick run has fewer.
func timeless(text string) string {
	text = lasting.ReplaceAllString(momentary.ReplaceAllString(text, "<time>"), "<duration>")
	text = gaps.ReplaceAllString(rules.ReplaceAllString(text, "--"), " ")
	var lines []string
	moments := 0 // the last lines, as many, begin with a time
	for line := range strings.Lines(strings.TrimSpace(text)) {
		line = strings.TrimSuffix(strings.TrimSpace(line), " in <duration>")
		if strings.Contains(line, " … ") {
			continue
		}
		lines = append(lines, line)
		if moments++; !strings.HasPrefix(line, "<time>") {
			moments = 0
		}
		slices.Sort(lines[len(lines)-moments:])
	}
	return strings.Join(lines, "\n")
}

// story is how some pages are followed, on a cluster of their own.
type story struct {
	pages []string
	tell  func(*stage)
}

// TestStories follows the documentation: every command that a page shows is run against a real API server, with the operator at work, and
// what the page says it prints is what it prints.
func TestStories(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts control planes")
	}
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere, programs do not take the certificates that they trust from SSL_CERT_FILE")
	}
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			for _, page := range story.pages {
				s.read(page)
			}
			story.tell(s)
			for _, page := range s.pages {
				page.close()
			}
		})
	}
}

func TestTimeless(t *testing.T) {
	same := []string{
		"NAME     AGE\norders   3m12s at 2026-01-05T10:30:00Z  ----  \n 10:30:01 b in 8ms\n 10:30:02 a\norders … waiting\n",
		"NAME   AGE\norders 8h at 2027-11-05T10:30:00.123Z --\n11:31:02 a\n11:31:02 b",
	}
	if diff := cmp.Diff(timeless(same[0]), timeless(same[1])); diff != "" {
		t.Error(diff)
	}
	for _, pair := range [][2]string{{"SERIAL 1", "SERIAL 2"}, {"read 4 mails", "read 5 mails"}, {"a\nb", "b\na"}} {
		if timeless(pair[0]) == timeless(pair[1]) {
			t.Errorf("%q and %q are no different", pair[0], pair[1])
		}
	}
}
