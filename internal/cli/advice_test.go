package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// reasons are all constants of the API's closed set, read from its source: a reason that is added there has to be added here.
func reasons(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", "api", "v1alpha1", "conditions.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if ok && strings.HasPrefix(spec.Names[0].Name, "Reason") {
			value, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			found[value] = spec.Names[0].Name
		}
		return true
	})
	return found
}

func TestEveryReasonHasAdvice(t *testing.T) {
	known := reasons(t)
	if len(known) < 20 {
		t.Fatalf("only %d reasons were found: %v", len(known), known)
	}
	for reason, name := range known {
		if advice[reason] == "" {
			t.Errorf("there is no advice for %s", name)
		}
	}
	for reason := range advice {
		if known[reason] == "" && reason != reasonUnobserved && reason != reasonDeleting {
			t.Errorf("there is advice for %s, which is no reason", reason)
		}
	}
}

func TestAdviceNamesTheObject(t *testing.T) {
	cred := credential("shop", "orders", "https://api.example.com")
	for reason := range advice {
		if text := adviceFor(reason, cred); strings.ContainsAny(text, "{}") {
			t.Errorf("the advice for %s has a word left to fill in: %s", reason, text)
		}
	}
	for reason, want := range map[string]string{
		v1alpha1.ReasonReauthorizationRequired: "kubectl fluent login orders -n shop",
		v1alpha1.ReasonTargetConflict:          "orders-token",
		v1alpha1.ReasonCredentialsNotFound:     "orders-login",
		"SomethingNew":                         "older than the operator",
	} {
		if text := adviceFor(reason, cred); !strings.Contains(text, want) {
			t.Errorf("the advice for %s is %q, without %q", reason, text, want)
		}
	}
}
