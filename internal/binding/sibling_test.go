package binding

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestSiblingMistakesOfEditorsAndTemplates: what does not belong into a value, and is not seen in an editor.
func TestSiblingMistakesOfEditorsAndTemplates(t *testing.T) {
	tests := map[string]struct{ value, want, why string }{
		"UTF-16, not ASCII":     {"s\x00\xfc\x00c\x00r\x00", "UTF-16", "one byte of two is zero all the same"},
		"UTF-32":                {"s\x00\x00\x00e\x00\x00\x00", "control character", "it is no UTF-8"},
		"space without a break": {"secret\u00a0", "ends with white space", "a web page has it"},
		"mark at the end":       {"secret\ufeff", "ends with white space", "two files were put together"},
		"no width, within":      {"sec\u200bret", "cannot be seen", "a chat breaks long words by it"},
		"quotes of typography":  {"“secret”", "quotation marks", "a word processor makes them"},
		"backticks":             {"`secret`", "quotation marks", "a chat makes them"},
		"no value":              {"<no value>", "placeholder", "what a template of Go prints for a key that is not there"},
		"not rendered":          {"{{ .Values.secret }}", "placeholder", "the manifest was applied without Helm"},
		"not replaced":          {"${SECRET}\n", "placeholder", "envsubst did not run"},
		"braces within":         {"a{{b}}c", "", "a password may have them"},
		"one backtick":          {"`", "", "a password may be that, and it is no pair"},
	}
	for name, test := range tests {
		got := Hints(&corev1.Secret{Data: map[string][]byte{"client_secret": []byte(test.value)}}, nil)
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, want %q (%s)", name, got, test.want, test.why)
		}
	}
}
