package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"mvdan.cc/sh/v3/syntax"
)

// command is one that a page shows.
type command struct {
	text   string // without comments
	shown  bool   // the page says what it prints
	prints string // that
}

// languages are those that a page may call a block of code. Only sh and console have commands.
var languages = []string{"sh", "console", "yaml", "promql", "text", "go"}

// commands are those of a page, from top to bottom.
func commands(page string) (all []command, problems []string) {
	for _, part := range blocks(page) {
		switch {
		case !part.code:
			continue
		case !slices.Contains(languages, part.lang):
			problems = append(problems, "a block of code is called "+part.lang+", which is none of "+strings.Join(languages, ", ")+":\n"+part.text)
		case part.lang == "console":
			all = append(all, ofConsole(part.text)...)
		case part.lang == "sh":
			found, err := ofShell(part.text)
			if err != nil {
				problems = append(problems, err.Error()+":\n"+part.text)
			}
			all = append(all, found...)
		}
	}
	return all, problems
}

// ofConsole are the commands of a session: each after a prompt, and before what it prints.
func ofConsole(text string) (all []command) {
	for line := range strings.Lines(text) {
		if said, ok := strings.CutPrefix(line, "$ "); ok {
			all = append(all, command{text: strings.TrimSpace(strings.Split(said, "    # ")[0]), shown: true})
		} else if len(all) > 0 {
			all[len(all)-1].prints += line
		}
	}
	return all
}

// ofShell are the statements of a script.
func ofShell(text string) (all []command, err error) {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
	if err != nil {
		return nil, err
	}
	for _, statement := range file.Stmts {
		all = append(all, command{text: strings.TrimRight(text[statement.Pos().Offset():end(text, statement)], "; ")})
	}
	return all, nil
}

// end is where a statement ends: the text of a here-document, and the line that closes it, included.
func end(text string, statement *syntax.Stmt) int {
	last := int(statement.End().Offset())
	syntax.Walk(statement, func(node syntax.Node) bool {
		if redirection, ok := node.(*syntax.Redirect); ok && redirection.Hdoc != nil {
			last = max(last, int(redirection.Hdoc.End().Offset()))
			if line := strings.IndexByte(text[last:], '\n'); line >= 0 {
				last += line
			}
		}
		return true
	})
	return last
}

// pages are those that have commands, by their path.
func pages(t *testing.T) map[string][]command {
	t.Helper()
	all := map[string][]command{}
	walk(t, []string{".md"}, func(name, text string) {
		found, problems := commands(text)
		for _, problem := range problems {
			t.Errorf("%s: %s", name, problem)
		}
		if len(found) > 0 {
			all[name] = found
		}
	})
	return all
}

// TestEveryCommandIsDecided: a command is run by the story of its page, or the table says why it is not, and what runs it instead.
func TestEveryCommandIsDecided(t *testing.T) {
	told := map[string]bool{}
	for _, story := range stories {
		for _, page := range story.pages {
			told[page] = true
		}
	}
	all := pages(t)
	for page, shown := range all {
		for _, command := range shown {
			if _, excused := excuse(page, command); !excused && !told[page] {
				t.Errorf("%s: nobody has decided how this is tested; give the page a story, or the command a row of elsewhere:\n%s", page, command.text)
			}
		}
		delete(told, page)
	}
	for page := range told {
		t.Errorf("a story follows %s, which has no commands", page)
	}
}

// TestElsewhere: the table of what is not run here is no longer than it has to be, and what it names is there.
func TestElsewhere(t *testing.T) {
	all, known := pages(t), suites(t)
	ci, err := os.ReadFile(filepath.Join(root, ".ci", "run"))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range elsewhere {
		if !row.used(all) {
			t.Errorf("no page shows %s any more", row.command)
		}
		if row.why == "" || row.proof == "" {
			t.Errorf("%s: say why it is not run here, and what shows that it works", row.command)
		}
		if step, ok := strings.CutPrefix(row.proof, "CI: "); ok && !strings.Contains(string(ci), step) {
			t.Errorf("%s: .ci/run has no %q", row.command, step)
		}
		if match := regexp.MustCompile(`^([a-z0-9]+)\.(Test.*)$`).FindStringSubmatch(row.proof); match != nil && !known[match[1]].has(match[2]) {
			t.Errorf("%s: the test %s does not exist", row.command, row.proof)
		}
	}
}

var targets = regexp.MustCompile(`(?:^|[;&|]\s*)make ([a-z][a-z0-9-]*)`)

// TestMakeTargetsExist: a target that a page names is one of the Makefile.
func TestMakeTargetsExist(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for page, shown := range pages(t) {
		for _, command := range shown {
			for _, match := range targets.FindAllStringSubmatch(command.text, -1) {
				if !strings.Contains(string(makefile), "\n"+match[1]+": ") && !strings.Contains(string(makefile), "\n"+match[1]+":\n") {
					t.Errorf("%s: the Makefile has no target %s", page, match[1])
				}
			}
		}
	}
}

func TestCommandsAreFound(t *testing.T) {
	page := "```sh\n# a comment\none -a   # another\ntwo 'x\ny' |\n  three\ncat <<'EOF' | four\nhere # is text\nEOF\nfive; six\n```\n" +
		"  ```sh\n  seven \\\n    eight\n  ```\n```console\n$ nine    # a comment\nten\n  eleven\n$ twelve\n```\n```yaml\nno: command\n```\n```perl\nno\n```\n"
	found, problems := commands(page)
	want := []command{
		{text: "one -a"}, {text: "two 'x\ny' |\n  three"}, {text: "cat <<'EOF' | four\nhere # is text\nEOF"}, {text: "five"}, {text: "six"},
		{text: "seven \\\n    eight"}, {text: "nine", shown: true, prints: "ten\n  eleven\n"}, {text: "twelve", shown: true},
	}
	if diff := cmp.Diff(want, found, cmp.AllowUnexported(command{})); diff != "" {
		t.Error(diff)
	}
	if len(problems) != 1 {
		t.Errorf("problems: %q", problems)
	}
}
