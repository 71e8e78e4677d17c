package failure

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"
)

// TestClassesAndSubjectsAreAll: a class or a subject that is declared and not listed would be in no table test, in no
// metric and in no page of the documentation.
func TestClassesAndSubjectsAreAll(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "failure.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string][]string{}
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		kind, isTyped := spec.Type.(*ast.Ident)
		if literal, isLiteral := spec.Values[0].(*ast.BasicLit); isTyped && isLiteral {
			value, _ := strconv.Unquote(literal.Value)
			declared[kind.Name] = append(declared[kind.Name], value)
		}
		return true
	})
	listed := map[string][]string{}
	for _, class := range Classes() {
		listed["Class"] = append(listed["Class"], string(class))
	}
	for _, subject := range Subjects() {
		listed["Subject"] = append(listed["Subject"], string(subject))
	}
	for kind, want := range declared {
		if !slices.Equal(listed[kind], want) {
			t.Errorf("%s: %q are listed, %q are declared", kind, listed[kind], want)
		}
	}
	if len(declared) != 2 {
		t.Errorf("declared: %v", declared)
	}
}
