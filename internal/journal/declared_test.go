package journal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"
)

// TestOperationsAndTroublesAreAll: TestClassifyIsTotal goes over those that are listed.
func TestOperationsAndTroublesAreAll(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "failure.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string]int{}
	ast.Inspect(file, func(node ast.Node) bool {
		if spec, ok := node.(*ast.ValueSpec); ok {
			if kind, isTyped := spec.Type.(*ast.Ident); isTyped {
				declared[kind.Name] += len(spec.Names)
			}
		}
		return true
	})
	meant := map[Meaning]bool{}
	for _, meaning := range meanings {
		meant[meaning] = true
	}
	listed := map[string]int{"Operation": len(Operations()), "Trouble": len(Troubles()), "Meaning": len(meant)}
	for kind, count := range declared {
		if listed[kind] != count {
			t.Errorf("%s: %d are declared, and %d listed", kind, count, listed[kind])
		}
	}
	if len(declared) != len(listed) {
		t.Errorf("declared: %v", declared)
	}
}
