// Package redact makes the words of others fit to be shown: what an API, an admission policy, a quota, a certificate
// check or a disk says reaches conditions, events and logs only through it.
//
// It does not list the spellings of a secret. It decodes the text in every way in which a request or an echo of it is
// encoded, looks for parts of the secrets in each result, and replaces the characters of the text that they came
// from.
package redact

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fluent-credential/operator/internal/token"
)

const (
	// leastSecret is the length from which on a secret is cut out of a text. A shorter one would tear holes into
	// ordinary words, and the holes would give it away, so that it suppresses the text.
	leastSecret = 8
	// leastWord is the length from which on a short secret suppresses a text that has it anywhere; a shorter one has to
	// be a word of it.
	leastWord = 4
	// leastPart is how much of a longer secret is taken for the secret: some servers cut short what they repeat.
	leastPart = 12
)

const (
	// MaxText is how much of another's words is kept, in runes.
	MaxText = 400
	// maxRead bounds how much of a text is looked at, in bytes.
	maxRead = 4 << 10
	// overlap is looked at beyond maxRead, so that a part of a secret that lies across the bound is found.
	overlap = 1 << 10
)

// Withheld stands for a text that has a short secret in it. It is always the same, so that it shows nothing of a
// secret that is a part of it.
const Withheld = "[withheld: it may repeat a short secret]"

// Words returns the text in one printable line of at most MaxText runes and an ellipsis, without the secrets.
//
// A secret of 8 characters or more is replaced, and so are 12 characters in a row of a longer one, in plain and in
// percent-encoding, form encoding, JSON and JavaScript escapes, HTML entities, base64, hexadecimal, and any two of
// these one in the other. A text that contains a shorter secret is withheld as a whole; one of 3 characters or less
// has to be a word of its own, since it is a part of most texts.
func Words(text string, secrets ...token.Secret) string {
	known := indexOf(secrets)
	line, limit := printable(text)
	more := limit < len(line)
	for range maxPasses {
		found := known.find(line)
		if found.short {
			return Withheld
		}
		line = replace(line, found.part, limit)
		if !found.any {
			return cut(line, more)
		}
		limit = len(line)
	}
	return Withheld
}

// maxPasses bounds the repetition: what a replacement leaves behind is looked at like any other text, because the
// characters on both sides of it, or the replacement itself, can spell a secret.
const maxPasses = 3

// printable returns the beginning of a text in one line, and how much of it is shown. What cannot be printed is
// dropped first: it could keep two parts of a secret apart.
func printable(text string) (line string, limit int) {
	if len(text) <= maxRead+overlap {
		line = strings.Map(printed, text)
		return line, len(line)
	}
	line = strings.Map(printed, text[:maxRead+overlap])
	limit = max(0, len(line)-overlap)
	for limit > 0 && !utf8.RuneStart(line[limit]) {
		limit--
	}
	return line, limit
}

// printed is how a character is shown; -1 if it is not.
func printed(r rune) rune {
	switch {
	case unicode.IsSpace(r):
		return ' '
	case unicode.IsPrint(r):
		return r
	}
	return -1
}

// replace puts a mark into the place of each part that is marked and begins before the limit, and drops the text from
// there on.
func replace(text string, part []bool, limit int) string {
	var out strings.Builder
	for i := range limit {
		switch {
		case !part[i]:
			out.WriteByte(text[i])
		case i == 0 || !part[i-1]:
			out.WriteString(token.Secret{}.String())
		}
	}
	return out.String()
}

func cut(text string, more bool) string {
	runes := []rune(text)
	if len(runes) > MaxText {
		runes, more = runes[:MaxText], true
	}
	if more {
		return string(runes) + "…"
	}
	return string(runes)
}
