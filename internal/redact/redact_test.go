package redact

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/fluent-credential/operator/internal/printable"
	"github.com/fluent-credential/operator/internal/token"
)

const password = `pass-w&rd "with" <signs>/%41+é`

func hidden(values ...string) []token.Secret {
	var secrets []token.Secret
	for _, value := range values {
		secrets = append(secrets, token.NewSecret(value))
	}
	return secrets
}

// spellings are the ways in which a secret is sent, or repeated by a server.
var spellings = map[string]func(string) string{
	"plain":             func(s string) string { return s },
	"form":              url.QueryEscape,
	"path":              url.PathEscape,
	"percent, all":      func(s string) string { return each(s, "%%%02X") },
	"percent, lower":    func(s string) string { return each(s, "%%%02x") },
	"JSON":              inJSON,
	"JSON, slashes":     func(s string) string { return strings.ReplaceAll(inJSON(s), "/", `\/`) },
	"JSON, all":         func(s string) string { return units(s, `\u%04x`) },
	"JSON, all, upper":  func(s string) string { return units(s, `\u%04X`) },
	"JavaScript":        func(s string) string { return each(s, `\x%02x`) },
	"HTML":              html.EscapeString,
	"HTML, decimal":     func(s string) string { return runes(s, "&#%d;") },
	"HTML, hexadecimal": func(s string) string { return runes(s, "&#x%x;") },
	"HTML, upper":       func(s string) string { return runes(s, "&#X%X;") },
	"HTML, named": func(s string) string {
		return strings.NewReplacer("+", "&plus;", "/", "&sol;", "é", "&eacute;").Replace(s)
	},
	"base64":           func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64, raw":      func(s string) string { return base64.RawStdEncoding.EncodeToString([]byte(s)) },
	"base64, URL":      func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) },
	"base64, URL, raw": func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
	"Basic":            func(s string) string { return base64.StdEncoding.EncodeToString([]byte("client:" + s)) },
	"Basic, shifted":   func(s string) string { return base64.StdEncoding.EncodeToString([]byte("client1:" + s + "x")) },
	"Basic, form":      func(s string) string { return base64.StdEncoding.EncodeToString([]byte("c:" + url.QueryEscape(s))) },
	"hexadecimal":      func(s string) string { return hex.EncodeToString([]byte(s)) },
	"spaces between":   func(s string) string { return strings.Join(strings.Split(s, ""), " ") },
	"a line break":     func(s string) string { return s[:len(s)/2] + "\n\t" + s[len(s)/2:] },
	"base64, wrapped": func(s string) string {
		encoded := base64.StdEncoding.EncodeToString([]byte(s))
		line := min(10, len(encoded))
		return encoded[:line] + "\r\n" + encoded[line:]
	},
	"hexadecimal, up": func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
}

func each(text, format string) string {
	var out strings.Builder
	for i := range len(text) {
		fmt.Fprintf(&out, format, text[i])
	}
	return out.String()
}

func runes(text, format string) string {
	var out strings.Builder
	for _, r := range text {
		fmt.Fprintf(&out, format, r)
	}
	return out.String()
}

func units(text, format string) string {
	encoded, _ := json.Marshal(text)
	var decoded string
	_ = json.Unmarshal(encoded, &decoded)
	return runes(decoded, format)
}

func inJSON(text string) string {
	encoded, _ := json.Marshal(text)
	return string(encoded[1 : len(encoded)-1])
}

func TestEverySpellingIsFound(t *testing.T) {
	values := map[string]string{
		"with signs": password, "shortest": "8letters", "letters": "xlUuQ5e-h9Y2pRw5G4Du4fAdRfk", "beyond ASCII": "größtes Geheimnis",
		"a sign in each place": `a%41\u0041&#65;+`,
	}
	for what, secret := range values {
		for name, spell := range spellings {
			for _, around := range []string{"", " ", "a", "aa", "aaa", "=", "/", "é"} {
				spelled := spell(secret)
				got := Words("before "+around+spelled+around+" after", hidden(secret)...)
				if strings.Contains(got, spelled) || strings.Contains(got, secret) || !strings.Contains(got, "[redacted]") {
					t.Errorf("%s, %s, between %q: %q became %q", what, name, around, spelled, got)
				}
				if !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") {
					t.Errorf("%s, %s: the words around are gone: %q", what, name, got)
				}
			}
		}
	}
}

// TestTwoSpellingsOneInTheOther: a server that logs what it was sent, and repeats its log.
func TestTwoSpellingsOneInTheOther(t *testing.T) {
	for inner, first := range spellings {
		for outer, second := range spellings {
			if _, isBinary := map[string]bool{}[outer]; isBinary || strings.HasPrefix(outer, "ba") || strings.HasPrefix(outer, "Ba") || strings.HasPrefix(outer, "hex") {
				continue // what is within base64 is one secret, or a pair that is form-encoded
			}
			spelled := second(first(password))
			if got := Words("said: "+spelled, hidden(password)...); strings.Contains(got, spelled) || !strings.Contains(got, "[redacted]") {
				t.Errorf("%s in %s: %q became %q", inner, outer, spelled, got)
			}
		}
	}
}

func TestWords(t *testing.T) {
	const long = "refresh-before/2YotnFZFEjr1zCsicMWpAA=="
	tests := map[string]struct {
		secrets    []string
		said, want string
		why        string
	}{
		"nothing to hide":         {nil, "Bad credentials", "Bad credentials", "there are no secrets"},
		"another token":           {[]string{long}, "refused: 2YotnFZFEjr1 of 1", "refused: [redacted] of 1", "twelve characters of the middle are a part of it"},
		"eleven of the middle":    {[]string{long}, "refused: YotnFZFEjr1", "refused: YotnFZFEjr1", "less is not known for a part of it"},
		"the first twelve":        {[]string{long}, "refused: " + long[:12] + "...", "refused: [redacted]...", "some servers cut short what they repeat"},
		"the last twelve":         {[]string{long}, "refused: ..." + long[len(long)-12:], "refused: ...[redacted]", "some servers show the end"},
		"side by side":            {[]string{long}, long + long, "[redacted]", "no character of either is left"},
		"one in another":          {[]string{"secret-key", "my-secret-key-2"}, "my-secret-key-2, secret-key", "[redacted], [redacted]", "the longer one is a secret too"},
		"of two parts":            {[]string{long}, long[:8] + "\u200b\x00" + long[8:], "[redacted]", "what is not shown must not hide it"},
		"with control characters": {[]string{"one\x00two\tthree"}, "one\x00two\tthree and onetwo three", "[redacted] and [redacted]", "both would be shown as the same"},
		"the mark":                {[]string{"redacted", "other-secret"}, "other-secret", Withheld, "the mark would show the first secret"},
		"both of ours":            {[]string{"redacted", "withheld"}, "redacted", Withheld, "a text of ours that is always the same shows nothing"},
		"seven characters":        {[]string{"hunter2"}, "the password hunter2 is wrong", Withheld, "a hole of seven characters would give it away"},
		"seven, in a word":        {[]string{"hunter2"}, "pw=xhunter2x", Withheld, "a server may put anything around it"},
		"seven, in base64":        {[]string{"hunter2"}, "Basic " + base64.StdEncoding.EncodeToString([]byte("me:hunter2")), Withheld, "it is told all the same"},
		"seven, in a form":        {[]string{"a&b=c+d"}, "password=a%26b%3dc%2Bd", Withheld, "it is told all the same"},
		"not in it":               {[]string{"hunter2"}, "the password is wrong", "the password is wrong", "the words help"},
		"three characters":        {[]string{"abc"}, "password (abc) is wrong", Withheld, "it is a word of its own"},
		"three, in a word":        {[]string{"abc"}, "the abcissa is wrong", "the abcissa is wrong", "three letters are in many words, and say nothing there"},
		"three, later":            {[]string{"abc"}, "abcabc abc", Withheld, "the second one is a word of its own"},
		"one character":           {[]string{"x"}, "next: x", Withheld, "it is a word of its own"},
		"six of two bytes":        {[]string{"пароль"}, "пароль", Withheld, "six characters are short, whatever their bytes"},
		"an empty one":            {[]string{"", "\x00"}, "said", "said", "no character of it could be shown"},
		"a terminal's":            {nil, "a\x1b[31mb\u202ec\x00d\r\ne", "a[31mbcd  e", "a terminal must not obey it"},
		"not UTF-8":               {nil, "a\xffb", "a\ufffdb", "a message is text"},
		"long":                    {nil, strings.Repeat("é", MaxText+100), strings.Repeat("é", MaxText) + "…", "a message has a sane length"},
		"a long token":            {[]string{strings.Repeat("0123456789abcdef", 500)}, "refused: " + strings.Repeat("0123456789abcdef", 500) + " is not ours", "refused: [redacted]…", "its end is beyond what is read"},
		"an array of spaces":      {[]string{"eight  spaces"}, "eight++spaces", "[redacted]", "in a form a plus is a space"},
		"half an escape":          {[]string{long}, url.QueryEscape(long) + "%", "[redacted]%", "what comes after it is not a part of it"},
		"half a surrogate":        {[]string{long}, `\ud83d` + long + `\ud83d\u0041\ud83d`, `\ud83d[redacted]\ud83d\u0041\ud83d`, "it is no character"},
	}
	for name, test := range tests {
		if got := Words(test.said, hidden(test.secrets...)...); got != test.want {
			t.Errorf("%s: got %q, want %q: %s", name, got, test.want, test.why)
		}
	}
}

// TestASecretAcrossTheBoundIsFound: what is read of a long text ends somewhere, and a secret may begin right before it.
func TestASecretAcrossTheBoundIsFound(t *testing.T) {
	const secret = "0123456789abcdefghij"
	for _, spell := range spellings {
		spelled := spell(secret)
		fill := hidden(strings.Repeat("0", 100))
		for at := maxRead - len(spelled); at <= maxRead; at += 5 {
			text := strings.Repeat("0", at) + spelled + strings.Repeat("\n", 2*overlap)
			got := Words(text, append(fill, token.NewSecret(secret))...)
			if mustNotTell(t, got, secret); !strings.Contains(got, "[redacted]") || strings.HasSuffix(spelled, strings.TrimRight(got, "…")) {
				t.Fatalf("%q at %d became %q", spelled, at, got)
			}
		}
	}
}

// TestWordsAreQuick: an author of manifests, or a server, must not be able to hold a worker.
func TestWordsAreQuick(t *testing.T) {
	secrets := hidden(strings.Repeat("%41&amp;\\u0041", 300), "refresh-before/2YotnFZFEjr1zCsicMWpAA==", password, strings.Repeat("a", 2000), "abc")
	texts := map[string]string{
		"escapes": strings.Repeat(`%25&#37;\u0025`, 5000), "base64": strings.Repeat("QUFB", 16<<10), "same": strings.Repeat("a", 64<<10),
		"ampersands": strings.Repeat("&", 64<<10), "backslashes": strings.Repeat(`\`, 64<<10), "almost": strings.Repeat("refresh-bef", 6<<10),
	}
	for name, text := range texts {
		const most = time.Second // milliseconds on an idle machine
		start := time.Now()
		Words(text, secrets...)
		if took := time.Since(start); took > most {
			t.Errorf("%s: %s for %d bytes", name, took, len(text))
		}
	}
}

func BenchmarkWords(b *testing.B) {
	secrets := hidden(strings.Repeat("0123456789", 200), password, "client-secret/with=signs")
	for name, text := range map[string]string{
		"plain": strings.Repeat("Bad credentials. ", 4<<10), "escaped": strings.Repeat(`%25&#37;\u0025`, 5000), "base64": strings.Repeat("QUFB", 16<<10),
		"short": "Invalid refresh token: 2YotnFZFEjr1zCsicMWpAA",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				Words(text, secrets...)
			}
		})
	}
}

// FuzzWords: whatever comes before and after a secret, and however it is spelled, the result is one printable line of
// bounded length that has neither the secret nor twelve characters of it.
func FuzzWords(f *testing.F) {
	f.Add("refused: ", password, " is wrong", uint8(0), uint8(1))
	f.Add("%4", "1bcdefgh", "&am", uint8(0), uint8(0))
	f.Add("[redac", "ted][redacted]", "ted]", uint8(3), uint8(7))
	f.Add("a", "hunter2", "", uint8(9), uint8(9))
	names := make([]string, 0, len(spellings))
	for name := range spellings {
		names = append(names, name)
	}
	slices.Sort(names)
	f.Fuzz(func(t *testing.T, before, secret, after string, first, second uint8) {
		inner, outer := spellings[names[int(first)%len(names)]], spellings[names[int(second)%len(names)]]
		for _, text := range []string{before + secret + after, before + inner(secret) + after, outer(before + inner(secret) + after)} {
			mustNotTell(t, Words(text, token.NewSecret(secret)), secret)
		}
	})
}

func mustNotTell(t *testing.T, got, secret string) {
	t.Helper()
	if utf8.RuneCountInString(got) > MaxText+1 || !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("%q is not one printable line", got)
	}
	shown := []rune(printable.Line(secret))
	if len(shown) < leastWord || got == Withheld {
		return // it counts as a word of its own only, or what is shown is ours
	}
	for i := range max(1, len(shown)-leastPart+1) {
		if part := string(shown[i:min(len(shown), i+leastPart)]); strings.Contains(got, part) {
			t.Errorf("%q has %q of %q", got, part, secret)
		}
	}
}
