package simulation

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// tail ends every secret of a run: characters that each encoding writes in another way.
const tail = `.k9Q/u+3=v&2<"w7x`

// secretOf makes a secret of a run.
func secretOf(name string) string { return mark + "-" + name + tail }

// spellings are how a server repeats what it was sent.
var spellings = []func(string) string{
	func(secret string) string { return secret },
	url.QueryEscape,
	url.PathEscape,
	func(secret string) string { return url.QueryEscape(url.QueryEscape(secret)) },
	func(secret string) string { return base64.StdEncoding.EncodeToString([]byte(secret)) },
	func(secret string) string { return base64.RawURLEncoding.EncodeToString([]byte("user:" + secret)) },
	func(secret string) string { return hex.EncodeToString([]byte(secret)) },
	html.EscapeString,
	func(secret string) string { return strings.Join(strings.SplitAfter(secret, ""), " ") },
	func(secret string) string { return secret[:9] + "\n\t" + secret[9:] },
	unicodeEscaped,
	func(secret string) string { return secret[:16] },
	func(secret string) string { return secret[len(secret)-14:] },
	func(secret string) string { return fmt.Sprintf("grant=x&refresh_token=%s&y=%q", secret, secret) },
}

func unicodeEscaped(secret string) string {
	var escaped strings.Builder
	for _, char := range secret {
		fmt.Fprintf(&escaped, `\u%04x`, char)
	}
	return escaped.String()
}

// echo is a text that repeats one of the secrets of a request. Of one that the client never had, it could know nothing.
func (s *tokenServer) echo(asked question) string {
	var known []string
	for _, secret := range []string{asked.secret, asked.refresh, asked.password} {
		if len(secret) >= 20 {
			known = append(known, secret)
		}
	}
	if len(known) == 0 {
		return "no"
	}
	secret := known[s.world.dice.among("echo", len(known))]
	return spellings[s.world.dice.among("echo", len(spellings))](secret)
}

// refuse refuses a request, and may repeat what was sent.
func (s *tokenServer) refuse(asked question, code string) []byte {
	if !s.world.setup.echoes {
		return refusal(code)
	}
	text := s.echo(asked)
	quoted, _ := json.Marshal(text)
	body := fmt.Sprintf(`{"error":%q,"error_description":%s}`, code, quoted)
	status := http.StatusBadRequest
	header := http.Header{}
	switch s.world.dice.among("echo", 10) {
	case 0:
		body = fmt.Sprintf(`{"error":%q,"error_description":"no","error_uri":%s,"detail":{"message":%s}}`, code, quoted, quoted)
	case 1:
		body = fmt.Sprintf(`{"error":%q,%s:"unknown parameter"}`, code, quoted)
	case 2:
		header.Set("X-Echo", strings.Join(strings.Fields(text), " "))
		header.Set("WWW-Authenticate", fmt.Sprintf(`Bearer error=%q, error_description=%q`, code, text))
	case 3:
		body = fmt.Sprintf(`{"error":{"code":400,"status":%q,"message":%s}}`, code, quoted)
	case 4: // an unknown error
		body = fmt.Sprintf(`{"error":%s}`, quoted)
	case 5: // what a firewall answers
		if asked.claim != nil {
			asked.claim.lose("the API answered with a page")
		}
		body = "<html><body>" + html.EscapeString(text) + "</body></html>"
	case 6: // an error inside a 200
		status = http.StatusOK
	case 7:
		body = fmt.Sprintf(`{"error":%q,"error_description":%s}`, code, strings.ReplaceAll(string(quoted), "/", `\/`))
	}
	return replyWith(status, body, header)
}

// extras are members of a granted reply that repeat it.
func (s *tokenServer) extras(tokens pair) string {
	if !s.world.setup.echoes || tokens.refresh == "" {
		return ""
	}
	spelled, _ := json.Marshal(spellings[s.world.dice.among("echo", len(spellings))](tokens.refresh))
	return fmt.Sprintf(`,"note":%s,"request":{"refresh_token":%s}`, spelled, spelled)
}

var (
	escapes = regexp.MustCompile(`\\+u([0-9a-fA-F]{4})`)
	runs    = regexp.MustCompile(`[A-Za-z0-9+/_-]{10,}`)
	spaces  = regexp.MustCompile(`[\s\\]+|\\[nrt]`)
)

// readings are the texts that a text may stand for.
func readings(text string, depth int) []string {
	found := []string{text}
	if depth == 0 {
		return found
	}
	plain := escapes.ReplaceAllStringFunc(text, func(escape string) string {
		char, _ := hex.DecodeString(escape[len(escape)-4:])
		return string(rune(int(char[0])<<8 | int(char[1])))
	})
	next := []string{plain, html.UnescapeString(text), spaces.ReplaceAllString(text, ""), strings.NewReplacer(`\n`, "", `\t`, "").Replace(text)}
	if unescaped, err := url.QueryUnescape(text); err == nil {
		next = append(next, unescaped)
	}
	for _, run := range runs.FindAllString(text, -1) {
		for shift := range min(4, len(run)) {
			next = append(next, binary(run[shift:])...)
		}
	}
	for _, other := range next {
		if other != text {
			found = append(found, readings(other, depth-1)...)
		}
	}
	return found
}

func binary(run string) []string {
	var found []string
	whole := run[:len(run)/4*4]
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if decoded, err := encoding.DecodeString(whole); err == nil {
			found = append(found, string(decoded))
		}
	}
	if decoded, err := hex.DecodeString(run[:len(run)/2*2]); err == nil {
		found = append(found, string(decoded))
	}
	return found
}

// leaks reports whether a text holds a secret, or twelve characters of one, in any spelling.
func leaks(text string) bool {
	for _, plain := range readings(text, 2) {
		if strings.Contains(plain, mark) {
			return true
		}
		for at := range len(tail) - 12 + 1 {
			if strings.Contains(plain, tail[at:at+12]) {
				return true
			}
		}
	}
	return false
}

// TestLeaksAreSeen shows that the oracle recognizes each spelling.
func TestLeaksAreSeen(t *testing.T) {
	for i, spell := range spellings {
		quoted, _ := json.Marshal(spell(secretOf("R12")))
		for _, text := range []string{"refused: " + spell(secretOf("R12")) + " is not valid", `{"message":` + string(quoted) + `}`} {
			if !leaks(text) {
				t.Errorf("spelling %d is not seen: %s", i, text)
			}
		}
	}
	for _, text := range []string{
		"Obtained token 12 by refresh_token", "id4f2ab3d9e1c24c7f8a0b1c2d3e4f506", "the operator was stopped while a reply was on its way",
	} {
		if leaks(text) {
			t.Errorf("a secret is seen in %s", text)
		}
	}
}
