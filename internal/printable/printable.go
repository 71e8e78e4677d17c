// Package printable decides which characters people may be shown, for conditions, events, logs and kubectl fluent alike.
//
// Names and messages come from clusters, files and token endpoints. A control character or an escape sequence in one
// moves the cursor of a terminal and forges lines, and a character without a width or one that changes the direction of
// the text makes two names look the same.
package printable

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Is reports whether a character is shown as it is. Of the characters that unicode.IsPrint accepts, it excludes those
// that have no glyph: fillers, joiners and variation selectors.
func Is(r rune) bool {
	return unicode.IsPrint(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) &&
		r != brailleBlank
}

// brailleBlank is a symbol that looks like a space.
const brailleBlank = '\u2800'

// Rune returns how a character is shown in a text from which unprintable characters are removed, or -1 if it is not
// shown. White space, also a line end, is shown as a space.
func Rune(r rune) rune {
	switch {
	case unicode.IsSpace(r):
		return ' '
	case Is(r):
		return r
	}
	return -1
}

// Line returns the text in one line, without the characters that are not printable.
func Line(text string) string { return strings.Map(Rune, text) }

// Cut returns the text if it has at most limit runes, otherwise its first runes and an ellipsis, limit runes in all.
func Cut(text string, limit int) string {
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return string([]rune(text)[:max(0, limit-1)]) + "…"
}

// CutBytes returns the text if it has at most limit bytes, otherwise its beginning and an ellipsis, at most limit bytes
// in all. It does not split a character.
func CutBytes(text string, limit int) string {
	const mark = "…"
	if len(text) <= limit {
		return text
	}
	end := max(0, limit-len(mark))
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + mark
}

// Visible returns the text in one line, with every character that is not printable as the escape that JSON has for it:
// an object whose name holds one does not look like another.
func Visible(text string) string { return visible(text, "") }

// VisibleLines is Visible for a text of several lines: line ends and tabs stay as they are.
func VisibleLines(text string) string { return visible(text, "\n\t") }

func visible(text, kept string) string {
	if strings.IndexFunc(text, func(r rune) bool { return !isKept(r, kept) }) < 0 && utf8.ValidString(text) {
		return text
	}
	var out strings.Builder
	for i, r := range text {
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)) {
			out.WriteString(escaped(utf8.RuneError)) // a byte that is not UTF-8
			continue
		}
		if isKept(r, kept) {
			out.WriteRune(r)
			continue
		}
		out.WriteString(escaped(r))
	}
	return out.String()
}

func isKept(r rune, kept string) bool { return Is(r) || strings.ContainsRune(kept, r) }

// escaped returns the escape of a character in JSON (RFC 8259 section 7): in a document in JSON it means the same
// character.
func escaped(r rune) string {
	switch r {
	case '\n':
		return `\n`
	case '\r':
		return `\r`
	case '\t':
		return `\t`
	}
	var out strings.Builder
	for _, unit := range utf16.Encode([]rune{r}) {
		fmt.Fprintf(&out, `\u%04x`, unit)
	}
	return out.String()
}

// Writer passes on what is written to it as VisibleLines returns it. It is safe for concurrent use.
type Writer struct {
	to   io.Writer
	mu   sync.Mutex
	held []byte // the beginning of a character whose rest is not written yet
}

// NewWriter returns a Writer that writes to another one.
func NewWriter(to io.Writer) *Writer { return &Writer{to: to} }

// Write writes the text. It keeps back the beginning of a character at the end until the next call.
func (w *Writer) Write(text []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := slices.Concat(w.held, text)
	whole := len(all)
	for n := 1; n < utf8.UTFMax && n <= len(all); n++ {
		if tail := all[len(all)-n:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				whole -= n
			}
			break
		}
	}
	w.held = append([]byte(nil), all[whole:]...)
	if _, err := io.WriteString(w.to, VisibleLines(string(all[:whole]))); err != nil {
		return 0, err
	}
	return len(text), nil
}

// Flush writes what was kept back.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	rest := VisibleLines(string(w.held))
	w.held = nil
	_, err := io.WriteString(w.to, rest)
	return err
}

// To returns the writer that the Writer writes to.
func (w *Writer) To() io.Writer { return w.to }
