package redact

import (
	"bytes"
	"html"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/fluent-credential/operator/internal/printable"
)

// view is a text after some decoding. Its byte i was decoded from the bytes from[i] to to[i] of the text that is shown.
type view struct {
	text     []byte
	from, to []int
}

func viewOf(text string) *view {
	v := newView(len(text))
	for i := range len(text) {
		v.text = append(v.text, text[i])
		v.from = append(v.from, i)
		v.to = append(v.to, i+1)
	}
	return v
}

func newView(size int) *view {
	return &view{text: make([]byte, 0, size), from: make([]int, 0, size), to: make([]int, 0, size)}
}

// put adds a text decoded from the bytes first to last of another view.
func (v *view) put(decoded string, source *view, first, last int) {
	for i := range len(decoded) {
		v.text = append(v.text, decoded[i])
		v.from = append(v.from, source.from[first])
		v.to = append(v.to, source.to[last])
	}
}

// fold returns a view in the form in which it is compared. Unprintable characters are left out, as in the text that is
// shown, and a plus sign counts as the space that it represents in a form.
func fold(v *view) *view {
	folded := newView(len(v.text))
	for i := 0; i < len(v.text); {
		r, size := utf8.DecodeRune(v.text[i:])
		if r = printable.Rune(r); r == '+' {
			r = ' '
		}
		if r >= 0 {
			folded.put(string(r), v, i, i+size-1)
		}
		i += size
	}
	return folded
}

// withoutSpaces returns a view without its spaces. A text can be split anywhere, such as by a line break.
func withoutSpaces(v *view) *view {
	joined := newView(len(v.text))
	for i, char := range v.text {
		if char == ' ' || char == '\t' || char == '\n' || char == '\r' {
			continue
		}
		joined.put(string(v.text[i:i+1]), v, i, i)
	}
	return joined
}

// An escape decodes the beginning of a text, and returns the decoded length; zero if the text begins with no escape.
type escape func(text []byte) (decoded string, size int)

var escapes = []escape{percent, backslash, entity}

// readings returns a text and its decodings: each escape applied to it, and each escape applied to the results.
func readings(plain *view) []*view {
	found := []*view{plain}
	last := found
	for range maxNesting {
		var next []*view
		for _, v := range last {
			for _, escape := range escapes {
				if decoded, changed := unescaped(v, escape); changed {
					next = append(next, decoded)
				}
			}
		}
		found, last = append(found, next...), next
	}
	return found
}

// maxNesting is the maximum number of nested encodings that are decoded.
const maxNesting = 2

func unescaped(v *view, decode escape) (decoded *view, changed bool) {
	decoded = newView(len(v.text))
	for i := 0; i < len(v.text); {
		text, size := decode(v.text[i:])
		if size == 0 {
			decoded.put(string(v.text[i:i+1]), v, i, i)
			i++
			continue
		}
		decoded.put(text, v, i, i+size-1)
		i += size
		changed = true
	}
	return decoded, changed
}

// percent decodes the encoding of URLs and forms (RFC 3986 section 2.1).
func percent(text []byte) (string, int) {
	if len(text) < 3 || text[0] != '%' {
		return "", 0
	}
	value, err := strconv.ParseUint(string(text[1:3]), 16, 8)
	if err != nil {
		return "", 0
	}
	return string([]byte{byte(value)}), 3
}

// backslash decodes the escapes of JSON (RFC 8259 section 7), and those of JavaScript and of many logs.
func backslash(text []byte) (string, int) {
	if len(text) < 2 || text[0] != '\\' {
		return "", 0
	}
	switch text[1] {
	case 'u':
		return codeUnits(text)
	case 'x':
		if value, err := strconv.ParseUint(string(text[2:min(4, len(text))]), 16, 8); err == nil && len(text) >= 4 {
			return string([]byte{byte(value)}), 4
		}
		return "", 0
	}
	if i := bytes.IndexByte([]byte("bfnrt"), text[1]); i >= 0 {
		return "\b\f\n\r\t"[i : i+1], 2
	}
	if text[1] < utf8.RuneSelf {
		return string(text[1:2]), 2
	}
	return "", 0
}

// codeUnits decodes \uXXXX, or two of them that form one character.
func codeUnits(text []byte) (string, int) {
	first, ok := codeUnit(text)
	if !ok {
		return "", 0
	}
	if second, ok := codeUnit(text[6:]); ok && utf16.IsSurrogate(first) {
		if r := utf16.DecodeRune(first, second); r != utf8.RuneError {
			return string(r), 12
		}
	}
	return string(first), 6
}

func codeUnit(text []byte) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	value, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(value), err == nil
}

// longestEntity is CounterClockwiseContourIntegral with its ampersand and its semicolon.
const longestEntity = 33

// entity decodes a character reference of HTML: named, decimal or hexadecimal.
func entity(text []byte) (string, int) {
	if len(text) == 0 || text[0] != '&' {
		return "", 0
	}
	end := bytes.IndexByte(text[:min(len(text), longestEntity)], ';')
	if end < 0 {
		return "", 0
	}
	reference := string(text[:end+1])
	decoded := html.UnescapeString(reference)
	if decoded == reference || bytes.IndexByte(text[1:end], '&') >= 0 {
		return "", 0
	}
	return decoded, end + 1
}
