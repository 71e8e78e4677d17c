package condition

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fluent-credential/operator/internal/failure"
)

const docs = "../../docs"

// declared returns the reasons that the API declares.
func declared(t *testing.T) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), "../../api/v1alpha1/conditions.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	ast.Inspect(parsed, func(node ast.Node) bool {
		spec, isValue := node.(*ast.ValueSpec)
		if !isValue || !strings.HasPrefix(spec.Names[0].Name, "Reason") {
			return true
		}
		reason, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, reason)
		return true
	})
	slices.Sort(found)
	return found
}

// TestEveryReasonHasAClass: a reason that is added has to be classified, even if it is no failure.
func TestEveryReasonHasAClass(t *testing.T) {
	if diff := cmp.Diff(declared(t), Reasons()); diff != "" {
		t.Errorf("(-declared +classified)\n%s", diff)
	}
	for _, reason := range Reasons() {
		found, known := Classes(reason)
		for _, class := range found {
			if !slices.Contains(failure.Classes(), class) {
				t.Errorf("%s has the class %q, which does not exist", reason, class)
			}
		}
		if !known || len(slices.Compact(slices.Sorted(slices.Values(found)))) != len(found) {
			t.Errorf("%s: known %t, classes %v", reason, known, found)
		}
	}
	if found, known := Classes("OfANewerOperator"); known || len(found) > 0 {
		t.Errorf("a reason that does not exist has the classes %v", found)
	}
}

// explanation is a row of the table of reasons in docs/troubleshooting.md.
type explanation struct {
	classes                 []failure.Class
	meaning, byItself, todo string
}

var (
	row   = regexp.MustCompile("(?m)^\\| `([A-Z][A-Za-z]+)` " + strings.Repeat(`\| ([^|]+) `, 4) + `\| [^|]*\|$`)
	named = regexp.MustCompile("`([A-Za-z]+)`")
	link  = regexp.MustCompile(`\]\(([^)#]+)\)`)
)

// explained returns the rows of the page, by reason.
func explained(t *testing.T, page string) map[string]explanation {
	t.Helper()
	rows := map[string]explanation{}
	_, table, _ := strings.Cut(page, "\n## The reasons\n")
	for _, match := range row.FindAllStringSubmatch(table, -1) {
		if _, twice := rows[match[1]]; twice {
			t.Errorf("%s is explained twice", match[1])
		}
		entry := explanation{meaning: match[3], byItself: match[4], todo: match[5]}
		for _, name := range named.FindAllStringSubmatch(match[2], -1) {
			entry.classes = append(entry.classes, failure.Class(name[1]))
		}
		rows[match[1]] = entry
	}
	return rows
}

// TestEveryReasonIsExplained: docs/troubleshooting.md says of each reason its class, what it means, what the operator
// does by itself and what to do, and the class is the one that the code has.
func TestEveryReasonIsExplained(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(docs, "troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	rows := explained(t, page)
	for _, reason := range Reasons() {
		entry, found := rows[reason]
		if !found {
			t.Errorf("docs/troubleshooting.md does not explain %s", reason)
			continue
		}
		classes, _ := Classes(reason)
		if !slices.Equal(entry.classes, classes) {
			t.Errorf("docs/troubleshooting.md says that %s has the classes %v, the code says %v", reason, entry.classes, classes)
		}
		for _, cell := range []string{entry.meaning, entry.byItself, entry.todo} {
			if strings.TrimSpace(cell) == "" {
				t.Errorf("docs/troubleshooting.md has an empty cell for %s", reason)
			}
		}
		delete(rows, reason)
	}
	for reason := range rows {
		t.Errorf("docs/troubleshooting.md explains %s, which is no reason", reason)
	}
	_, chapter, _ := strings.Cut(page, "\n## The three classes\n")
	chapter, _, _ = strings.Cut(chapter, "\n## ")
	for _, class := range failure.Classes() {
		if !strings.Contains(chapter, "\n| `"+string(class)+"` |") {
			t.Errorf("docs/troubleshooting.md does not explain the class %s", class)
		}
	}
	for _, match := range link.FindAllStringSubmatch(page, -1) {
		if _, err := os.Stat(filepath.Join(docs, match[1])); err != nil {
			t.Errorf("docs/troubleshooting.md leads nowhere: %v", err)
		}
	}
}
