package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const providersPage = "docs/providers.md"

// suite is the tests of one directory.
type suite struct {
	tests    map[string]bool
	literals map[string]bool // the strings in it, of which some name parts of tests
}

// suites are by the last part of the directory's path.
func suites(t *testing.T) map[string]suite {
	t.Helper()
	all := map[string]suite{}
	walk(t, []string{"_test.go"}, func(name, text string) {
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		dir := path.Base(path.Dir(name))
		if all[dir].tests == nil {
			all[dir] = suite{map[string]bool{}, map[string]bool{}}
		}
		all[dir].read(file)
	})
	return all
}

func (s suite) read(file *ast.File) {
	ast.Inspect(file, func(node ast.Node) bool {
		switch found := node.(type) {
		case *ast.FuncDecl:
			if found.Recv == nil && strings.HasPrefix(found.Name.Name, "Test") || strings.HasPrefix(found.Name.Name, "Fuzz") {
				s.tests[found.Name.Name] = true
			}
		case *ast.BasicLit:
			if text, err := strconv.Unquote(found.Value); err == nil && found.Kind == token.STRING {
				s.literals[text] = true
			}
		}
		return true
	})
}

// has tells whether there is a test, and a part of it that is so named.
func (s suite) has(test string) bool {
	name, part, hasPart := strings.Cut(test, "/")
	return s.tests[name] && (!hasPart || s.literals[part])
}

// proof is a test that a page names, as directory.TestName or directory.TestName/part.
var proof = regexp.MustCompile("`([a-z0-9]+)\\.((?:Test|Fuzz)[A-Z][A-Za-z0-9_]*(?:/[^`]+)?)`")

// TestProofsExist: a test that a page calls a proof is in the repository.
func TestProofsExist(t *testing.T) {
	all := suites(t)
	walk(t, []string{".md"}, func(name, page string) {
		for _, match := range proof.FindAllStringSubmatch(page, -1) {
			if !all[match[1]].has(match[2]) {
				t.Errorf("%s names the test %s of %s, which does not exist", name, match[2], match[1])
			}
		}
	})
}

// TestEveryCellHasAProof: the table of providers is whole, and claims nothing that no test shows.
func TestEveryCellHasAProof(t *testing.T) {
	rows := table(t, "| provider |")
	want := []string{"provider", "password", "client credentials", "code", "refresh", "revocation", "error shapes", "lifetimes"}
	if strings.Join(rows[0], ",") != strings.Join(want, ",") {
		t.Fatalf("the columns are %q, want %q", rows[0], want)
	}
	missing := map[string]bool{"`fluent`": true, "`commerceLayer`": true, "`nordea`": true, "`oauth2`": true}
	for _, row := range rows[2:] {
		delete(missing, row[0])
		for n, cell := range row[1:] {
			if !proof.MatchString(cell) {
				t.Errorf("%s, %s: %q names no test that proves it", row[0], want[n+1], cell)
			}
		}
	}
	if len(missing) > 0 {
		t.Errorf("the table has no row for %v", missing)
	}
}

// table is the cells of the table on the page of providers that begins so.
func table(t *testing.T, begin string) [][]string {
	t.Helper()
	page, err := fs.ReadFile(repository(t), providersPage)
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(page), "\n"+begin)
	if !found {
		t.Fatalf("%s has no table that begins with %s", providersPage, begin)
	}
	body, _, _ := strings.Cut(begin+after, "\n\n")
	var rows [][]string
	for line := range strings.Lines(body) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for n := range cells {
			cells[n] = strings.TrimSpace(cells[n])
		}
		if len(rows) > 0 && len(cells) != len(rows[0]) {
			t.Fatalf("%d cells, want %d: %s", len(cells), len(rows[0]), line)
		}
		rows = append(rows, cells)
	}
	if len(rows) < 3 {
		t.Fatalf("the table that begins with %s is empty", begin)
	}
	return rows
}
