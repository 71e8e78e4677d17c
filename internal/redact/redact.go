// Package redact makes text from other systems fit to be shown. The messages of an API, an admission policy, a quota, a
// certificate check or a disk reach conditions, events and logs only through it.
//
// It does not list the spellings of a secret. It decodes the text in every way in which a request or an echo of it is
// encoded, searches each result for parts of the secrets, and replaces the characters of the text that they were
// decoded from.
package redact

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/fluent-credential/operator/internal/printable"
	"github.com/fluent-credential/operator/internal/token"
)

const (
	// leastSecret is the minimum length of a secret that is cut out of a text. Cutting out a shorter one would damage
	// ordinary words, and the gaps would reveal it, so a shorter secret suppresses the text.
	leastSecret = 8
	// leastWord is the minimum length of a short secret that suppresses a text that contains it anywhere. A shorter
	// secret suppresses a text only as a whole word.
	leastWord = 4
	// leastPart is the length of a part of a longer secret that counts as the secret: some servers truncate what they
	// repeat.
	leastPart = 12
)

const (
	// MaxText is the length in runes to which a text is cut.
	MaxText = 400
	// maxRead bounds the part of a text that is examined, in bytes.
	maxRead = 4 << 10
	// overlap is examined beyond maxRead, to find a part of a secret that lies across the bound.
	overlap = 1 << 10
)

// Withheld replaces a text that contains a short secret. It is always the same, so it reveals nothing of a secret that
// is a part of it.
const Withheld = "[withheld: it may repeat a short secret]"

// Words returns the text in one printable line of at most MaxText runes and an ellipsis, without the secrets.
//
// A secret of 8 characters or more is replaced, and so are 12 characters in a row of a longer one, in plain and in
// percent-encoding, form encoding, JSON and JavaScript escapes, HTML entities, base64, hexadecimal, and any two of
// these one in the other. Spaces and line breaks between its characters do not hide it. A text that contains a shorter
// secret is withheld as a whole; one of 3 characters or less has to be a word of its own, since it is a part of most
// texts.
func Words(text string, secrets ...token.Secret) string {
	known := indexOf(secrets)
	line, limit := shown(text)
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

// Finder returns a function that reports whether a text repeats one of the secrets, in plain or in one of the encodings
// that Words knows. Secrets of less than 8 characters do not count: they are parts of ordinary words.
func Finder(secrets ...token.Secret) func(text string) bool {
	known := indexOf(secrets)
	return func(text string) bool {
		if len(text) < leastSecret {
			return false
		}
		return slices.Contains(known.find(printable.Line(text)).part, true)
	}
}

// maxPasses bounds the repetition. The result of a replacement is examined like any other text, because the characters
// on both sides of it, or the replacement itself, can spell a secret.
const maxPasses = 3

// shown returns the beginning of a text in one line, and how much of it is shown. Unprintable characters are
// dropped first: one could keep two parts of a secret apart.
func shown(text string) (line string, limit int) {
	if len(text) <= maxRead+overlap {
		line = printable.Line(text)
		return line, len(line)
	}
	line = printable.Line(text[:maxRead+overlap])
	limit = max(0, len(line)-overlap)
	for limit > 0 && !utf8.RuneStart(line[limit]) {
		limit--
	}
	return line, limit
}

// replace replaces each marked part that begins before the limit with a mark, and drops the text after the limit.
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
		runes = runes[:MaxText]
		more = true
	}
	if more {
		return string(runes) + "…"
	}
	return string(runes)
}
