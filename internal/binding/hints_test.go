package binding

import (
	"strings"
	"testing"
	"unicode/utf16"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// wide is a text in UTF-16, little endian or big endian.
func wide(text string, little bool) string {
	var encoded []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		low, high := byte(unit), byte(unit>>8)
		if little {
			encoded = append(encoded, low, high)
		} else {
			encoded = append(encoded, high, low)
		}
	}
	return string(encoded)
}

func TestHints(t *testing.T) {
	const value = "s3cr3t-value"
	tests := map[string]struct{ why, value, want string }{
		"plain":                {"as it should be", value, ""},
		"nothing":              {"that is said elsewhere", "", ""},
		"a line end":           {"LoginOf takes it away", value + "\r\n", ""},
		"a line end within":    {"a key in PEM has them", value + "\n" + value + "\n", ""},
		"letters of the world": {"a password may have them", "pässwörd-密码", ""},
		"a space within":       {"a password may have it", "two words", ""},
		"a byte order mark":    {"an editor of Windows writes it", "\ufeff" + value, "begins with a byte order mark"},
		"a mark and nothing":   {"a file that was saved empty", "\ufeff", "begins with a byte order mark"},
		"UTF-16 with a mark": {
			"PowerShell's redirection writes it",
			"\xff\xfe" + wide(value, true), "is in UTF-16, not in UTF-8",
		},
		"big endian with a mark":  {"rare, and the same", "\xfe\xff" + wide(value, false), "is in UTF-16, not in UTF-8"},
		"UTF-16 without a mark":   {"every other byte is zero", wide(value, true), "is in UTF-16, not in UTF-8"},
		"big endian without":      {"every other byte is zero", wide(value, false), "is in UTF-16, not in UTF-8"},
		"Latin-1":                 {"an old editor's", "p\xe4ssword", "is not valid UTF-8"},
		"a zero byte":             {"no API takes it", value + "\x00", "holds a control character"},
		"an escape":               {"a terminal's", "\x1b[0m" + value, "holds a control character"},
		"a space at the end":      {"a slip of the hand", value + " ", "ends with white space"},
		"a space before the end":  {"the line end goes, the space stays", value + " \n", "ends with white space"},
		"a space at the start":    {"a slip of the hand", " " + value, "begins with white space"},
		"a line end at the start": {"it is sent", "\n" + value, "begins with white space"},
		"spaces alone":            {"as good as nothing", "  ", "holds nothing but white space"},
		"a hard space":            {"a web page's", value + "\u00a0", "ends with white space"},
		"a space without width":   {"a chat's", value + "\u200b", "ends with white space"},
		"quotation marks":         {"the shell's, which were not taken away", `"` + value + `"`, "stands in quotation marks"},
		"single ones":             {"likewise", "'" + value + "'", "stands in quotation marks"},
		"one quotation mark":      {"a password may have it", `"` + value, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			secret := &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Name: "orders-login"},
				Data:       map[string][]byte{"APP": []byte(test.value), "unused": []byte("\ufeff")},
			}
			got := Hints(secret, map[string]v1alpha1.SecretKey{"client_secret": "APP"})
			want := test.want
			if want != "" {
				want = "entry APP of Secret orders-login " + want
			}
			if got != want {
				t.Errorf("%s: says %q, want %q", test.why, got, want)
			}
			if strings.Contains(got, value) {
				t.Error("the value is in the text")
			}
		})
	}
}

func TestHintsNameEachEntryOnce(t *testing.T) {
	data := map[string][]byte{"a": []byte(" x"), "password": []byte("y ")}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Data: data}
	got := Hints(secret, map[string]v1alpha1.SecretKey{"username": "a", "client_id": "a"})
	const want = "entry a of Secret s begins with white space; entry password of Secret s ends with white space"
	if got != want {
		t.Errorf("says %q, want %q", got, want)
	}
}

func TestRefused(t *testing.T) {
	tests := map[string]struct {
		why, name string
		kind      corev1.SecretType
		want      bool
	}{
		"a login":                   {"as in the documentation", "orders-login", corev1.SecretTypeOpaque, false},
		"no type":                   {"a manifest that is not applied yet", "orders-login", "", false},
		"basic auth":                {"a type of Kubernetes for logins", "orders-login", corev1.SecretTypeBasicAuth, false},
		"a state":                   {"another credential's tokens", "x", v1alpha1.StateSecretType, true},
		"a login guard":             {"it has records of logins", "x", v1alpha1.GuardSecretType, true},
		"a type to come":            {"the group is the operator's", "x", "auth.fluent-credential.dev/y", true},
		"a group that begins alike": {"it belongs to another project", "x", "auth.fluent-credential.development/y", false},
		"a service account's token": {"it opens the cluster", "x", corev1.SecretTypeServiceAccountToken, true},
		"the journal's key":         {"it opens the journal", v1alpha1.JournalKeySecret, corev1.SecretTypeOpaque, true},
	}
	for name, test := range tests {
		got := Refused(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: test.name}, Type: test.kind})
		if (got != "") != test.want {
			t.Errorf("%s: %q (%s)", name, got, test.why)
		}
	}
}
