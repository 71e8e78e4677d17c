package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

const repository = "../.."

func load(t *testing.T) []mutation {
	t.Helper()
	all, err := loadMutations(tables)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestEveryMutationApplies holds the tables against today's source: the quoted lines are there exactly once, and the
// mutated files parse.
func TestEveryMutationApplies(t *testing.T) {
	for _, m := range load(t) {
		changed, err := m.applied(repository)
		if err != nil {
			t.Errorf("%s: %v", m.at, err)
			continue
		}
		for file, mutated := range changed {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if string(content) == string(mutated) {
				t.Errorf("%s: mutation %q leaves %s as it is", m.at, m.name, file)
			}
		}
	}
}

func TestTables(t *testing.T) {
	all := load(t)
	if len(all) < 40 {
		t.Errorf("there are %d mutations, want 40 or more", len(all))
	}
	quick := 0
	for _, m := range all {
		if m.quick {
			quick++
		}
		if !strings.HasSuffix(m.breaks, ".") {
			t.Errorf("%s: mutation %q does not say what it breaks in a sentence", m.at, m.name)
		}
		if strings.ContainsAny(m.name, ",|") {
			t.Errorf("%s: the name %q has a comma or a bar in it: --only and the table need them", m.at, m.name)
		}
		for _, dir := range m.tests {
			if tests, err := filepath.Glob(filepath.Join(repository, dir, "*_test.go")); err != nil || len(tests) == 0 {
				t.Errorf("%s: mutation %q affects the tests of %s, which has none", m.at, m.name, dir)
			}
		}
	}
	if quick < 4 || quick > 6 {
		t.Errorf("the sample of --quick has %d mutations, want about 5", quick)
	}
}

// TestMutationsTypeCheck compiles every mutated package against the packages that this build of the test has compiled.
func TestMutationsTypeCheck(t *testing.T) {
	checker := newChecker(t, repository)
	for _, m := range load(t) {
		changed, err := m.applied(repository)
		if err != nil {
			continue // TestEveryMutationApplies reports it
		}
		for _, dir := range m.dirs() {
			if err := checker.check(dir, changed); err != nil {
				t.Errorf("%s: mutation %q: %v", m.at, m.name, err)
			}
		}
	}
}

const source = `package p

type t struct{}

func (x *t) Do() int {
	if x == nil {
		return 1
	}
	return 1 + 1
}

func Do() int { return 3 }

const (
	one = 1
	two = 2
)
`

func TestAnEditFindsItsDeclaration(t *testing.T) {
	tests := []struct {
		name        string
		declaration string
		patch       string
		want        string // a part of the mutated source, or of the error
		fails       bool
	}{
		{"a method", "t.Do", "-return 1 + 1\n+\treturn 4", "\treturn 4\n}", false},
		{"another function of the name", "Do", "-func Do() int { return 3 }\n+func Do() int { return 5 }", "return 5", false},
		{"one constant of a group", "two", "-two = 2\n+\ttwo = 3", "two = 3", false},
		{"lines around it", "t.Do", "     if x == nil {\n-        return 1\n+\t\treturn 6", "\t\treturn 6\n\t}", false},
		{"only an addition", "t.Do", " if x == nil {\n+\t\tprintln()", "println()", false},
		{"lines that are not there", "t.Do", "-return 9\n+return 4", "are not there", true},
		{"lines of another declaration", "Do", "-return 1 + 1\n+return 4", "are not there", true},
		{"no such declaration", "t.Undo", "-return 1\n+return 4", "0 declarations", true},
		{"lines that are there twice", "t.Do", "-}\n+return 4", "more than once", true},
		{"no Go any more", "t.Do", "-return 1 + 1\n+return 1 +", "is no Go", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			if err := os.WriteFile(filepath.Join(root, "p.go"), []byte(source), 0o600); err != nil {
				t.Fatal(err)
			}
			table := "mutation: m\nbreaks: It.\nin: . " + test.declaration + "\n" + test.patch + "\n"
			all, err := parseTable("table", table)
			if err != nil {
				t.Fatal(err)
			}
			changed, err := all[0].applied(root)
			got := string(changed[filepath.Join(root, "p.go")])
			if test.fails {
				if err == nil {
					t.Fatalf("got no error, want one with %q", test.want)
				}
				got = err.Error()
			} else if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(got, test.want) {
				t.Errorf("got %s\nwant %q in it", got, test.want)
			}
		})
	}
}

func TestATableIsChecked(t *testing.T) {
	tests := map[string]string{
		"breaks: It.":                               "begins with",
		"mutation: m\n-x":                           `follows a line "in:`,
		"mutation: m\nwhy: x":                       "is not known",
		"mutation: m\nnonsense":                     "neither a field",
		"mutation: m\nbreaks: It.":                  "changes nothing",
		"mutation: m\nin: p f\n-x\n+y":              "does not say",
		"mutation: m\nbreaks: It.\nin: p f\n-x\n+x": "changes nothing",
		"mutation: m\nbreaks: It.\nin: p":           "does not name",
	}
	for table, want := range tests {
		if _, err := parseTable("table", table); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q in it", table, err, want)
		}
	}
	one := "mutation: m\nbreaks: It.\nin: p f\n-x\n+y\n"
	files := fstest.MapFS{"mutations/a.txt": {Data: []byte(one)}, "mutations/b.txt": {Data: []byte(one)}}
	if _, err := loadMutations(files); err == nil || !strings.Contains(err.Error(), "a.txt:1 already") {
		t.Errorf("got %v for two mutations of one name", err)
	}
}

func TestAnExecutionNamesWhatFailed(t *testing.T) {
	tests := []struct {
		name   string
		seeds  bool
		output string
		want   string
	}{
		{"nothing", false, "PASS", ""},
		{"a test", false, "--- FAIL: TestA (0.00s)\n    a_test.go:1: no", "TestA"},
		{"a subtest", false, "--- FAIL: TestA (0.00s)\n    --- FAIL: TestA/b (0.00s)\n        --- FAIL: TestA/b/c (0.00s)", "TestA/b/c"},
		{"the first of two", false, "--- FAIL: TestA (0.00s)\n--- FAIL: TestB (0.00s)", "TestA"},
		{"a seed", true, "seed 7: I1 it is claimed\n--- FAIL: TestCensus (0.00s)", "seed 7: I1 it is claimed"},
		{"a panic", false, "panic: index out of range\n\ngoroutine 1", "panic: index out of range"},
		{"a seed in the log of a test", false, "seed 7: it is fine\nPASS", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := execution{seeds: test.seeds}
			found := sighting{ran: true}
			for line := range strings.SplitSeq(test.output, "\n") {
				e.look(line, &found)
			}
			if found.killer != test.want {
				t.Errorf("got %q, want %q", found.killer, test.want)
			}
		})
	}
}

func TestLastLineAndVerdict(t *testing.T) {
	killed := result{mutation: mutation{name: "a"}, simulation: "seed 1: I1"}
	byUnit := result{mutation: mutation{name: "b"}, unit: "controllers TestB"}
	survivor := result{mutation: mutation{name: "c", at: "x.txt:3"}}
	tests := []struct {
		name    string
		results []result
		all     bool
		line    string
		fails   bool
	}{
		{"all by the simulation", []result{killed, killed}, true, "mutants: 2, simulation 2, all 2", false},
		{"too few by the simulation", []result{killed, byUnit}, true, "mutants: 2, simulation 1, all 2", true},
		{"a sample", []result{killed, byUnit}, false, "mutants: 2, simulation 1, all 2", false},
		{"a survivor", []result{killed, survivor}, false, "mutants: 2, simulation 1, all 1", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.line, lastLine(test.results)); diff != "" {
				t.Error(diff)
			}
			if err := verdict(test.results, test.all); (err != nil) != test.fails {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestMarkdown(t *testing.T) {
	file := filepath.Join(t.TempDir(), "doc.md")
	if err := os.WriteFile(file, []byte("before\n"+tableBegins+"old\n"+tableEnds+"\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	killed := result{mutation: mutation{name: "a", breaks: "It."}, simulation: "seed 1: I1 | x"}
	if err := writeMarkdown(file, []result{killed}); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := "before\n" + tableBegins + "| mutation | what it breaks | simulation | other tests |\n|---|---|---|---|\n" +
		"| a | It. | seed 1: I1 \\| x | – |\n\n`mutants: 1, simulation 1, all 1`\n" + tableEnds + "\nafter\n"
	if diff := cmp.Diff(want, string(content)); diff != "" {
		t.Error(diff)
	}
}
