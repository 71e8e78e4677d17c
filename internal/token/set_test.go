package token

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"testing"
)

// TestGrantsAreAll: a grant that is declared and not listed would be judged by no table test.
func TestGrantsAreAll(t *testing.T) {
	file, err := parser.ParseFile(gotoken.NewFileSet(), "set.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	ast.Inspect(file, func(node ast.Node) bool {
		if spec, ok := node.(*ast.ValueSpec); ok {
			if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Grant" {
				declared += len(spec.Names)
			}
		}
		return true
	})
	if declared != len(Grants()) {
		t.Errorf("%d grants are declared, and %d listed", declared, len(Grants()))
	}
}

func TestScheme(t *testing.T) {
	tests := map[string]struct{ tokenType, want, why string }{
		"lower case":        {"bearer", "Bearer", "RFC 6750 writes it with a capital, and some APIs insist"},
		"upper case":        {"BEARER", "Bearer", "Nordea writes it so"},
		"with a suffix":     {"BearerToken", "Bearer", "some API gateways write it so"},
		"suffix, lower":     {"bearertoken", "Bearer", "it spells bearer"},
		"two words":         {"Bearer Token", "Bearer", "it spells bearer"},
		"snake case":        {"bearer_token", "Bearer", "it spells bearer"},
		"kebab case":        {"Bearer-Token", "Bearer", "it spells bearer"},
		"white space":       {" Bearer\t", "Bearer", "it spells bearer"},
		"colon":             {"Bearer:", "Bearer", "a colon is no part of a type"},
		"quoted":            {`"Bearer"`, "Bearer", "nothing of it is a type, and no type is Bearer"},
		"missing":           {"", "Bearer", "no other type is in use"},
		"another":           {"DPoP", "DPoP", "a type that is not known is kept"},
		"similar":           {"bearer2", "bearer2", "a type that is not known is kept"},
		"line break":        {"MAC\r\nX-Injected: 1", "MAC", "what follows would be a header of its own"},
		"begins with one":   {"\nMAC", "MAC", "white space around a type is none of it"},
		"only control":      {"\x00\x01", "Bearer", "nothing of it is a type"},
		"control in bearer": {"bear\x00er", "bear", "what is not a type is cut off, and the rest is not guessed at"},
		"beyond ASCII":      {"Bearer\u00a0Token", "Bearer", "a header has no such character"},
		"with credentials":  {"Basic dXNlcjpwYXNz", "Basic", "a blank ends a type"},
	}
	for name, test := range tests {
		if got := Scheme(test.tokenType); got != test.want {
			t.Errorf("%s: got %q, want %q, because %s", name, got, test.want, test.why)
		}
	}
}

// FuzzCleanType: whatever a reply says, a type can end no header, and cleaning it twice changes nothing.
func FuzzCleanType(f *testing.F) {
	f.Add("Bearer")
	f.Add("MAC\r\nX: y")
	f.Fuzz(func(t *testing.T, tokenType string) {
		clean := CleanType(tokenType)
		for _, r := range clean {
			if !isTokenChar(r) {
				t.Errorf("%q becomes %q", tokenType, clean)
			}
		}
		if len(clean) > maxType || CleanType(clean) != clean || Scheme(tokenType) == "" {
			t.Errorf("%q becomes %q", tokenType, clean)
		}
	})
}
