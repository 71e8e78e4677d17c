// Package redact makes the words of others fit to be shown: what an API, an admission policy, a quota, a certificate check or a disk says
// reaches conditions, events and logs only through it.
package redact

import (
	"encoding/json"
	"html"
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"github.com/fluent-credential/operator/internal/token"
)

const (
	// leastScrubbed: a shorter secret would tear holes into ordinary words.
	leastScrubbed = 4
	// leastPart is how much of a longer secret's beginning is taken for the secret: some servers cut short what they repeat.
	leastPart = 12
)

// MaxText is how much of another's words is kept, in runes.
const MaxText = 200

// Words returns the text in one printable line of at most MaxText runes, without the secrets in any encoding in which they are sent.
//
// It scrubs before and after it drops what cannot be printed: either can bring a secret to light, or hide one. Cutting comes last, since a
// secret that is cut short may not be found any more.
func Words(text string, secrets ...token.Secret) string {
	known := spellings(secrets)
	return cut(scrub(printable(scrub(text, known)), known))
}

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return -1
	}, text)
}

func cut(text string) string {
	runes := []rune(text)
	if len(runes) <= MaxText {
		return text
	}
	return string(runes[:MaxText]) + "…"
}

// scrub takes secrets out of a text.
func scrub(text string, known []string) string {
	var out strings.Builder
	for text != "" {
		if told := longestTold(text, known); told > 0 {
			out.WriteString(token.Secret{}.String())
			text = text[told:]
			continue
		}
		out.WriteByte(text[0])
		text = text[1:]
	}
	return out.String()
}

// longestTold is how much of the text's beginning is a secret, in the spelling that matches furthest.
func longestTold(text string, known []string) int {
	longest := 0
	for _, value := range known {
		if n := sharedPrefix(text, value); n >= min(len(value), leastPart) {
			longest = max(longest, n)
		}
	}
	return longest
}

func sharedPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// spellings are the ways in which a server may repeat the secrets.
func spellings(secrets []token.Secret) []string {
	var known []string
	for _, secret := range secrets {
		if value := secret.Reveal(); len(value) >= leastScrubbed {
			known = append(known, value, html.EscapeString(value), inJSON(value))
			known = append(known, escapes(url.QueryEscape(value))...)
			known = append(known, escapes(url.PathEscape(value))...)
		}
	}
	return known
}

func inJSON(value string) string {
	encoded, _ := json.Marshal(value) // a string always encodes
	return string(encoded[1 : len(encoded)-1])
}

var percentEncoded = regexp.MustCompile("%[0-9A-F]{2}")

// escapes are a percent-encoded value with digits in either case (RFC 3986 section 2.1).
func escapes(value string) []string {
	return []string{value, percentEncoded.ReplaceAllStringFunc(value, strings.ToLower)}
}
