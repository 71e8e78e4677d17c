package printable

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

func TestForms(t *testing.T) {
	tests := map[string]struct{ why, text, line, visible string }{
		"a plain text":          {"nothing to do", "shop/orders is Ready", "shop/orders is Ready", "shop/orders is Ready"},
		"letters of the world":  {"they are read", "pässwörd 密码 é", "pässwörd 密码 é", "pässwörd 密码 é"},
		"a combining mark":      {"a part of a letter", "e\u0301", "e\u0301", "e\u0301"},
		"an escape sequence":    {"it recolors a terminal", "a\x1b[31mb", "a[31mb", `a\u001b[31mb`},
		"a title":               {"OSC sets the title", "\x1b]0;x\x07", "]0;x", `\u001b]0;x\u0007`},
		"an 8-bit sequence":     {"CSI in one character", "a\u009b2J", "a2J", `a\u009b2J`},
		"a line end":            {"it forges a line", "a\nb", "a b", `a\nb`},
		"a carriage return":     {"it overwrites the line", "a\rb", "a b", `a\rb`},
		"a tab":                 {"it begins a cell", "a\tb", "a b", `a\tb`},
		"a vertical tab":        {"likewise", "a\vb\f", "a b ", `a\u000bb\u000c`},
		"a backspace":           {"it hides a character", "ab\b", "ab", `ab\u0008`},
		"DEL":                   {"likewise", "ab\x7f", "ab", `ab\u007f`},
		"a line separator":      {"some terminals break there", "a\u2028b\u0085c", "a b c", `a\u2028b\u0085c`},
		"another direction":     {"it reverses what follows", "a\u202eb\u2066", "ab", `a\u202eb\u2066`},
		"no width":              {"two names look alike", "a\u200bb\u200d\ufeff", "ab", `a\u200bb\u200d\ufeff`},
		"a variation selector":  {"likewise", "a\ufe0f\U000e0100", "a", `a\ufe0f\udb40\udd00`},
		"a tag":                 {"hidden text", "a\U000e0041", "a", `a\udb40\udc41`},
		"a filler":              {"a letter without a glyph", "a\u3164\u115f\u034f", "a", `a\u3164\u115f\u034f`},
		"a blank":               {"a symbol without a glyph", "a\u2800", "a", `a\u2800`},
		"a hard space":          {"it looks like a space", "a\u00a0b", "a b", `a\u00a0b`},
		"no UTF-8":              {"an invalid byte", "a\xffb", "a\ufffdb", `a\ufffdb`},
		"half a character":      {"a text that was cut", "a\xe5\xaf", "a\ufffd\ufffd", `a\ufffd\ufffd`},
		"a replacement":         {"a character like any other", "a\ufffdb", "a\ufffdb", "a\ufffdb"},
		"a zero byte":           {"it ends a text in C", "a\x00b", "ab", `a\u0000b`},
		"private use":           {"its glyph is unknown", "a\ue000", "a", `a\ue000`},
		"a tab of a tabwriter":  {"its escape character", "\xffa\tb\xff", "\ufffda b\ufffd", `\ufffda\tb\ufffd`},
		"a backslash of theirs": {"it is no escape of ours", `a\u001b`, `a\u001b`, `a\u001b`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Line(test.text); got != test.line {
				t.Errorf("%s: Line is %q, want %q", test.why, got, test.line)
			}
			if got := Visible(test.text); got != test.visible {
				t.Errorf("%s: Visible is %q, want %q", test.why, got, test.visible)
			}
		})
	}
}

func TestLinesAndTabsStayInATextOfSeveralLines(t *testing.T) {
	if got, want := VisibleLines("a\tb\r\n\x1b[2Jc\n"), "a\tb\\r\n\\u001b[2Jc\n"; got != want {
		t.Errorf("VisibleLines is %q, want %q", got, want)
	}
}

// TestJSONKeepsItsMeaning: a program that reads the output gets what the cluster has.
func TestJSONKeepsItsMeaning(t *testing.T) {
	const text = "a\x1b[31m\u202eb\u009b\x7f\U000e0041\u200b密\n\t"
	encoded, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	var got string
	if err := json.Unmarshal([]byte(VisibleLines(string(encoded))), &got); err != nil {
		t.Fatal(err)
	}
	if got != text {
		t.Errorf("the document means %q, want %q", got, text)
	}
}

func TestCuts(t *testing.T) {
	tests := map[string]struct {
		why, text    string
		limit        int
		runes, bytes string
	}{
		"short":            {"it fits", "abc", 3, "abc", "abc"},
		"long":             {"it is cut", "abcdef", 5, "abcd…", "ab…"},
		"wide":             {"characters are not split", "密码密码", 3, "密码…", "…"},
		"in mid-character": {"likewise", "a密码密码", 6, "a密码密码", "a…"},
	}
	for name, test := range tests {
		if got := Cut(test.text, test.limit); got != test.runes {
			t.Errorf("%s: Cut is %q, want %q (%s)", name, got, test.runes, test.why)
		}
		if got := CutBytes(test.text, test.limit); got != test.bytes {
			t.Errorf("%s: CutBytes is %q, want %q (%s)", name, got, test.bytes, test.why)
		}
	}
}

func FuzzVisible(f *testing.F) {
	for _, seed := range []string{"", "plain", "a\x1b[31mb\n", "\xff\xfe", "密\xe5", "\u202e\u200b", "\xf0\x9f"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for form, got := range map[string]string{"Line": Line(text), "Visible": Visible(text)} {
			if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !Is(r) }) {
				t.Errorf("%s is %q", form, got)
			}
		}
		if again := Visible(Visible(text)); again != Visible(text) {
			t.Errorf("Visible of Visible is %q", again)
		}
		var out bytes.Buffer
		writer := NewWriter(&out)
		reader := iotest.OneByteReader(strings.NewReader(text))
		part := make([]byte, 1)
		for n, err := reader.Read(part); err == nil; n, err = reader.Read(part) {
			if _, err := writer.Write(part[:n]); err != nil {
				t.Fatal(err)
			}
		}
		if err := writer.Flush(); err != nil {
			t.Fatal(err)
		}
		if got, want := out.String(), VisibleLines(text); got != want {
			t.Errorf("byte by byte %q, at once %q", got, want)
		}
	})
}
