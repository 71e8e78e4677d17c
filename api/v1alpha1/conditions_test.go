package v1alpha1

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// reasons are those that conditions.go declares.
func reasons(t *testing.T) map[string]bool {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), "conditions.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	ast.Inspect(parsed, func(node ast.Node) bool {
		spec, isValue := node.(*ast.ValueSpec)
		if !isValue || !strings.HasPrefix(spec.Names[0].Name, "Reason") {
			return true
		}
		reason, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		found[reason] = true
		return true
	})
	return found
}

var (
	row  = regexp.MustCompile("(?m)^\\| `([A-Z][A-Za-z]+)` \\| ([^|]+) \\| ([^|]+) \\| ([^|]*)\\|$")
	link = regexp.MustCompile(`\]\(([^)#]+)\)`)
)

// TestEveryReasonIsExplained: docs/troubleshooting.md says of each reason what it means and what to do, and of nothing else.
func TestEveryReasonIsExplained(t *testing.T) {
	const docs = "../../docs"
	page, err := os.ReadFile(filepath.Join(docs, "troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	left := reasons(t)
	if len(left) < 20 {
		t.Fatalf("%d reasons were found, want all of them", len(left))
	}
	for _, match := range row.FindAllStringSubmatch(string(page), -1) {
		if !left[match[1]] {
			t.Errorf("%s is explained twice, or is no reason", match[1])
		}
		delete(left, match[1])
	}
	for reason := range left {
		t.Errorf("docs/troubleshooting.md does not explain %s", reason)
	}
	for _, match := range link.FindAllStringSubmatch(string(page), -1) {
		if _, err := os.Stat(filepath.Join(docs, match[1])); err != nil {
			t.Errorf("docs/troubleshooting.md leads nowhere: %v", err)
		}
	}
}
