package binding

import (
	"bytes"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// entryNames are the entries of a credentials Secret, in the order in which messages name them.
var entryNames = []string{
	v1alpha1.UsernameKey, v1alpha1.PasswordKey, v1alpha1.ClientIDKey, v1alpha1.ClientSecretKey,
	v1alpha1.RefreshTokenKey, v1alpha1.CodeKey, v1alpha1.RedirectURIKey,
}

// Oddity is a likely mistake of an editor or a shell in an entry of a credentials Secret. It never contains the value.
type Oddity struct {
	Entry string // the name, as in the Secret
	What  string // continues a sentence that begins with the entry
	Sure  bool   // the oddity is never intended
}

// Oddities returns the likely mistakes in the entries of a credentials Secret.
func Oddities(secret *corev1.Secret, keys map[string]v1alpha1.SecretKey) []Oddity {
	var found []Oddity
	var seen []string
	for _, entry := range entryNames {
		name := KeyName(keys, entry)
		if slices.Contains(seen, name) {
			continue
		}
		seen = append(seen, name)
		if odd := oddity(secret.Data[name]); odd.What != "" {
			odd.Entry = name
			found = append(found, odd)
		}
	}
	return found
}

// Hints returns the Oddities as one sentence for a condition, or an empty string if there are none. It is only a hint:
// the entries are sent unchanged, except for the line ends that LoginOf removes.
func Hints(secret *corev1.Secret, keys map[string]v1alpha1.SecretKey) string {
	var found []string
	for _, odd := range Oddities(secret, keys) {
		found = append(found, "entry "+odd.Entry+" of Secret "+secret.Name+" "+odd.What)
	}
	return strings.Join(found, "; ")
}

var (
	bomUTF8  = []byte("\xef\xbb\xbf")
	bomUTF16 = [][]byte{[]byte("\xff\xfe"), []byte("\xfe\xff")}
)

// oddity returns the first likely mistake in a value.
func oddity(value []byte) Oddity {
	begins := func(mark []byte) bool { return bytes.HasPrefix(value, mark) }
	text := strings.TrimRight(string(value), "\r\n")
	switch {
	case begins(bomUTF8):
		return Oddity{What: "begins with a byte order mark", Sure: true}
	case slices.ContainsFunc(bomUTF16, begins), isWide(value):
		return Oddity{What: "is in UTF-16, not in UTF-8", Sure: true}
	case !utf8.Valid(value):
		return Oddity{What: "is not valid UTF-8"}
	case strings.IndexFunc(text, isControl) >= 0:
		return Oddity{What: "holds a control character"}
	case strings.TrimFunc(text, isBlank) == "" && text != "":
		return Oddity{What: "holds nothing but white space"}
	case strings.TrimLeftFunc(text, isBlank) != text:
		return Oddity{What: "begins with white space"}
	case strings.TrimRightFunc(text, isBlank) != text:
		return Oddity{What: "ends with white space"}
	case isQuoted(text):
		return Oddity{What: "stands in quotation marks"}
	case strings.IndexFunc(text, isInvisible) >= 0:
		return Oddity{What: "holds a character that cannot be seen"}
	case isPlaceholder(text):
		return Oddity{What: "is a placeholder that nothing was put in for"}
	}
	return Oddity{}
}

// isWide reports whether every other byte of a text is zero, as in the UTF-16 form of an ASCII text.
func isWide(value []byte) bool {
	if len(value) < 4 || len(value)%2 != 0 {
		return false
	}
	var even, odd int
	for i, b := range value {
		switch {
		case b != 0:
		case i%2 == 0:
			even++
		default:
			odd++
		}
	}
	return even == 0 && odd == len(value)/2 || odd == 0 && even == len(value)/2
}

// isControl reports whether a character is a control character. A tab and a line end within a value count as intended.
func isControl(r rune) bool { return unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r' }

// isBlank reports whether a character is white space or has no width: word processors and web pages leave such
// characters at the ends.
func isBlank(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }

func isQuoted(text string) bool {
	for _, pair := range []string{`""`, "''", "``", "“”", "„“", "‘’", "«»"} {
		first, last := pair[:len(pair)/2], pair[len(pair)/2:]
		if len(text) >= len(pair) && strings.HasPrefix(text, first) && strings.HasSuffix(text, last) {
			return true
		}
	}
	return false
}

func isInvisible(r rune) bool { return unicode.Is(unicode.Cf, r) }

// isPlaceholder reports whether a whole value is what a template or a shell leaves where it knows no value.
func isPlaceholder(text string) bool {
	between := func(first, last string) bool { return strings.HasPrefix(text, first) && strings.HasSuffix(text, last) }
	return text == "<no value>" || between("{{", "}}") || between("${", "}")
}
