package redact

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fluent-credential/operator/internal/token"
)

// index finds the secrets in a text.
type index struct {
	parts  parts
	joined parts    // of the secrets without spaces, for texts that are split
	short  []string // secrets that suppress a text
}

// parts are secrets, and leastPart bytes in a row of longer ones, by their length in bytes.
type parts map[int]map[string]struct{}

func indexOf(secrets []token.Secret) *index {
	x := &index{parts: parts{}, joined: parts{}}
	for _, secret := range secrets {
		view := fold(viewOf(secret.Reveal()))
		folded := string(view.text)
		switch length := utf8.RuneCountInString(folded); {
		case length == 0:
		case length < leastSecret:
			x.short = append(x.short, folded)
		default:
			x.parts.add(folded)
			if joined := string(withoutSpaces(view).text); utf8.RuneCountInString(joined) >= leastSecret {
				x.joined.add(joined)
			}
		}
	}
	return x
}

func (p parts) add(secret string) {
	size := min(len(secret), leastPart)
	if p[size] == nil {
		p[size] = make(map[string]struct{}, len(secret))
	}
	for i := range len(secret) - size + 1 {
		p[size][secret[i:i+size]] = struct{}{}
	}
}

// findings are the secrets found in a text.
type findings struct {
	part  []bool // by byte of the text
	any   bool
	short bool // a secret that suppresses it
}

// find searches for the secrets in every text that the given text may represent.
func (x *index) find(text string) findings {
	found := findings{part: make([]bool, len(text))}
	if len(x.parts) == 0 && len(x.short) == 0 {
		return found
	}
	whole := viewOf(text)
	for _, plain := range readings(whole) {
		folded := x.mark(plain, &found)
		found.short = found.short || x.suppresses(folded, 1)
		for _, decoded := range binaries(plain) {
			folded := x.mark(decoded, &found)
			found.short = found.short || x.suppresses(folded, leastWord)
		}
	}
	if joined := withoutSpaces(whole); len(joined.text) < len(whole.text) { // spaces hide escapes and encodings, too
		for _, plain := range readings(joined) {
			x.mark(plain, &found)
			for _, decoded := range binaries(plain) {
				x.mark(decoded, &found)
			}
		}
	}
	found.any = found.short || slices.Contains(found.part, true)
	return found
}

// mark marks the bytes of the text that the secrets in a view were decoded from. It returns the folded view.
func (x *index) mark(v *view, found *findings) *view {
	folded := fold(v)
	x.parts.mark(folded, found)
	x.joined.mark(withoutSpaces(folded), found)
	return folded
}

// mark marks the bytes of the text that the parts of secrets in a view were decoded from.
func (p parts) mark(v *view, found *findings) {
	for size, known := range p {
		for i := range len(v.text) - size + 1 {
			if _, is := known[string(v.text[i:i+size])]; !is {
				continue
			}
			for at := v.from[i]; at < v.to[i+size-1]; at++ {
				found.part[at] = true
			}
		}
	}
}

// suppresses reports whether a view holds a short secret of at least that length.
func (x *index) suppresses(v *view, least int) bool {
	text := string(v.text)
	return slices.ContainsFunc(x.short, func(secret string) bool {
		switch length := utf8.RuneCountInString(secret); {
		case length < least:
			return false
		case length < leastWord:
			return hasWord(text, secret)
		}
		return strings.Contains(text, secret)
	})
}

// hasWord reports whether a text contains a word with no letter or digit on either side.
func hasWord(text, word string) bool {
	for from := 0; ; {
		at := strings.Index(text[from:], word)
		if at < 0 {
			return false
		}
		start := from + at
		end := start + len(word)
		before, _ := utf8.DecodeLastRuneInString(text[:start])
		after, _ := utf8.DecodeRuneInString(text[end:])
		if (start == 0 || !isWordly(before)) && (end == len(text) || !isWordly(after)) {
			return true
		}
		from = start + 1
	}
}

func isWordly(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
