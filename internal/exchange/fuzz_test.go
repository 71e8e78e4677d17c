package exchange

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/redact"
	"github.com/fluent-credential/operator/internal/token"
)

// FuzzProblem: whatever an API says, and wherever it repeats what was sent, what is shown of it is one short line without secrets.
func FuzzProblem(f *testing.F) {
	f.Fuzz(func(t *testing.T, status int, before, secret, after string) {
		mark := token.Secret{}.String()
		if utf8.RuneCountInString(secret) < 4 || strings.ContainsAny(secret, "[]") || strings.Contains(mark, secret) {
			return // too short to be found, or to be found in the mark that stands for it
		}
		secretRunes := string([]rune(secret)) // what a reader would see of it
		for _, said := range repeating(status, before, secret, after) {
			answer := oauth2(t, "https://acme.example/token", provider.Form).Read(token.RefreshToken, said)
			shown := presentable(answer.Problem, []token.Secret{token.NewSecret(secret)})
			for _, text := range []string{shown.Code, shown.Description} {
				if strings.Contains(text, secretRunes) && text != redact.Withheld {
					t.Errorf("%q holds the secret %q", text, secret)
				}
				if utf8.RuneCountInString(text) > redact.MaxText+1 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Errorf("%q is not one short printable line", text)
				}
			}
		}
	})
}

// repeating are the ways for a server to repeat a secret.
func repeating(status int, before, secret, after string) []provider.Reply {
	text := before + secret + after
	standard, _ := json.Marshal(map[string]string{"error": text, "error_description": text}) // strings always encode
	return []provider.Reply{
		{Status: status, Header: http.Header{}, Body: standard},
		{Status: status, Header: http.Header{"Content-Type": {text}}, Body: []byte(text)},
		{Status: 307, Header: http.Header{"Location": {"https://" + text}}},
		{Status: 302, Header: http.Header{"Location": {"https://" + before + "/?" + secret}}},
	}
}

// FuzzReadReply: whatever comes over the wire, the reply that is read is a final one within the bounds, and an error repeats nothing.
func FuzzReadReply(f *testing.F) {
	told := []string{
		"the reply is larger than 256 KiB", "the header of the reply is larger than 64 KiB", "the reply is not valid HTTP",
		"the connection was closed before the reply was complete", "coding is damaged or incomplete", "which was not asked for",
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		request := &http.Request{Method: http.MethodPost}
		reply, err := readReply(bytes.NewReader(wire), request)
		switch {
		case err != nil && !slices.ContainsFunc(told, func(part string) bool { return strings.Contains(faultOf(midRead, err).words(), part) }):
			t.Errorf("%v is told as %q", err, faultOf(midRead, err).words())
		case err != nil && faultOf(midRead, err).verdict() != token.Unknown:
			t.Errorf("%v is %s", err, faultOf(midRead, err).verdict())
		case err == nil && (reply.Status < 200 || len(reply.Body) > MaxReply):
			t.Errorf("status %d with %d bytes was read from %d", reply.Status, len(reply.Body), len(wire))
		}
	})
}

// FuzzPattern holds the patterns of hosts against regular expressions that are made of them.
func FuzzPattern(f *testing.F) {
	f.Fuzz(func(t *testing.T, pattern, host string) {
		if !isDomainName(host) || !utf8.ValidString(pattern) || strings.Count(pattern, "*") > 4 {
			return
		}
		got := Policy{AllowedHosts: []string{pattern}}.named(host)
		if want := expression(canonical(pattern)).MatchString(strings.ToLower(strings.TrimSuffix(host, "."))); got != want {
			t.Errorf("%q matches %q: %t, want %t", pattern, host, got, want)
		}
		if upper := (Policy{AllowedHosts: []string{pattern}}).named(strings.ToUpper(host)); upper != got {
			t.Errorf("%q matches %q by its case", pattern, host)
		}
	})
}

func expression(pattern string) *regexp.Regexp {
	domain, anyDepth := strings.CutPrefix(pattern, "*.")
	quoted := strings.ReplaceAll(regexp.QuoteMeta(domain), `\*`, `[^.]*`)
	if anyDepth {
		quoted = `([^.]+\.)+` + quoted
	}
	return regexp.MustCompile(`\A` + quoted + `\z`)
}

// FuzzEndpoint: whatever is spelled, an endpoint that passes is https on a name of DNS or on a public address, and what is let
// through by its URL is let through when it is connected to.
func FuzzEndpoint(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		endpoint, err := url.Parse(text)
		if err != nil || (Policy{}).Check(endpoint) != nil {
			return
		}
		host := endpoint.Hostname()
		if endpoint.Scheme != "https" || endpoint.User != nil || host == "" {
			t.Errorf("%q passes", text)
		}
		address, err := netip.ParseAddr(host)
		if err != nil {
			if net.ParseIP(host) != nil || strings.Trim(host, digits+".") == "" {
				t.Errorf("%q passes for a name", text)
			}
			return
		}
		if bare := address.Unmap().WithZone(""); !bare.IsGlobalUnicast() || bare.IsPrivate() || bare.IsLoopback() {
			t.Errorf("%q passes", text)
		}
		if err := (Policy{}).control(host)("tcp", net.JoinHostPort(address.String(), "443"), nil); err != nil {
			t.Errorf("%q passes, and is not connected to: %v", text, err)
		}
	})
}
