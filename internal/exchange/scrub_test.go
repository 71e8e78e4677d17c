package exchange

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
	"unicode/utf8"

	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/redact"
	"github.com/fluent-credential/operator/internal/token"
)

// secrets are those of the login, and the tokens that a reply may bring.
var secrets = []token.Secret{
	login.Password, login.ClientSecret, login.Refresh, login.Code, token.NewSecret("access-after"), token.NewSecret("refresh-after"),
}

// TestNothingTells formats everything that an exchange hands out, in every way, after every fault.
func TestNothingTells(t *testing.T) {
	for name, c := range faults() {
		for _, style := range []provider.ParameterStyle{provider.Form, provider.JSON, provider.Query} {
			t.Run(name+" "+string(style), func(t *testing.T) {
				t.Parallel()
				server := listen(t, c.serve)
				api := oauth2(t, server.url(), style)
				asked := request(t, api)
				answer := exchanged(t, c.dialer(), api, asked)
				for _, printed := range append(printings(answer), printings(asked)...) {
					if told := teller(printed); told != "" {
						t.Errorf("%s is told: %s", told, redact.Words(printed))
					}
				}
			})
		}
	}
}

func TestRefusalsTellNothing(t *testing.T) {
	for _, endpoint := range []string{"https://login.invalid/token", "https://127.0.0.1:1/token", "http://127.0.0.1:1/token", "http://10.0.0.1/"} {
		api := oauth2(t, endpoint, provider.Query)
		for _, policy := range []Policy{{}, developing, {AllowedHosts: []string{"example.com"}}} {
			answer := exchanged(t, Dialer{Policy: policy, DialTimeout: patience / 100}, api, request(t, api))
			for _, printed := range printings(answer) {
				if told := teller(printed); told != "" {
					t.Errorf("%s is told: %s", told, redact.Words(printed))
				}
			}
		}
	}
}

// printings are a value in every spelling that a log or a status may give it.
func printings(value any) []string {
	encoded, err := json.Marshal(value)
	if err != nil {
		encoded = []byte(err.Error())
	}
	printed := []string{string(encoded), fmt.Sprint(value), fmt.Errorf("because of %v", value).Error()}
	// Only %p gets past a Formatter, and only for what is no pointer; vet refuses that.
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%e", "%U", "%T"} {
		printed = append(printed, fmt.Sprintf(verb, value))
	}
	return printed
}

// teller is the secret that a text holds in some spelling; empty where it holds none.
func teller(text string) string {
	text = strings.ToLower(text)
	for _, secret := range secrets {
		value := secret.Reveal()
		for _, spelling := range []string{
			value, url.QueryEscape(value), url.PathEscape(value), html.EscapeString(value), inJSON(value), fmt.Sprintf("%q", value),
			hex.EncodeToString([]byte(value)), base64.StdEncoding.EncodeToString([]byte(value)), value[:12],
		} {
			if strings.Contains(text, strings.ToLower(spelling)) {
				return value
			}
		}
	}
	return ""
}

// Some servers repeat what they refuse.
func TestEchoIsScrubbed(t *testing.T) {
	refresh, password := login.Refresh.Reveal(), login.Password.Reveal()
	padding := strings.Repeat("é", redact.MaxText-10)
	cases := map[string]struct {
		said, want string
		why        string
	}{
		"as it is":            {"Invalid refresh token: " + refresh, "Invalid refresh token: [redacted]", "this is how legacy Spring says it"},
		"twice":               {refresh + " is not " + refresh, "[redacted] is not [redacted]", "every one counts"},
		"side by side":        {refresh + refresh, "[redacted]", "every one counts"},
		"in a query":          {"/token?refresh_token=" + url.QueryEscape(refresh) + "&a=b", "/token?refresh_token=[redacted]&a=b", "a server may repeat the URL"},
		"in a query, lower":   {strings.ToLower("%2f") + " " + lowerEscapes(url.QueryEscape(refresh)), "%2f [redacted]", "hexadecimal digits have no case"},
		"in a path":           {url.PathEscape(password), "[redacted]", "a server may repeat the URL"},
		"in HTML":             {"<b>" + html.EscapeString(password) + "</b>", "<b>[redacted]</b>", "a framework may escape it"},
		"in JSON":             {`{"password":"` + inJSON(password) + `"}`, `{"password":"[redacted]"}`, "a server may repeat the body"},
		"cut by the server":   {"refused: " + refresh[:20] + "...", "refused: [redacted]...", "the beginning of a token is part of a token"},
		"cut at the end":      {"refused: " + refresh[:12], "refused: [redacted]", "the beginning of a token is part of a token"},
		"cut in mid escape":   {url.QueryEscape(password)[:20], "[redacted]%", "the beginning of a password is part of a password"},
		"cut by us":           {padding + refresh, padding + "[redacted]", "what is left of a token after the cut would not be found"},
		"beyond the cut":      {padding + "0123456789" + refresh, padding + "0123456789…", "the cut is where it is without a secret"},
		"astride the cut":     {padding + "01234" + refresh, padding + "01234[reda…", "what is cut is not the secret any more"},
		"a space with no end": {refresh[:8] + "\u200b" + refresh[8:], "[redacted]", "what cannot be printed is dropped, and must not hide a secret"},
		"on two lines":        {"refused:\r\n\t" + refresh, "refused:   [redacted]", "a message is one line"},
		"another token":       {"refused: 3YotnFZFEjr1", "refused: 3YotnFZFEjr1", "it is not ours"},
		"plain":               {"Bad credentials", "Bad credentials", "there is nothing to hide"},
		"control characters":  {"a\x1b[31mb\u202ec\x00d", "a[31mbcd", "a terminal must not obey it"},
		"long":                {strings.Repeat("x", redact.MaxText+100), strings.Repeat("x", redact.MaxText) + "…", "a message has a sane length"},
		"long, not ASCII":     {strings.Repeat("é", redact.MaxText+100), strings.Repeat("é", redact.MaxText) + "…", "a message is cut between characters"},
		"not UTF-8":           {"a\xffb", "a\ufffdb", "a message is text"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := presentable(provider.Problem{Code: c.said, Description: c.said}, secrets)
			if got.Description != c.want || got.Code != c.want {
				t.Errorf("got %q and %q, want %q, because %s", got.Code, got.Description, c.want, c.why)
			}
			if !utf8.ValidString(got.Description) {
				t.Errorf("%q is not UTF-8", got.Description)
			}
		})
	}
}

// TestADefinedCodeIsShown: the reason of a condition depends on it, and a standard's word says nothing of a password that is the same.
func TestADefinedCodeIsShown(t *testing.T) {
	for _, code := range []string{"invalid_client", provider.Redirect, provider.InvalidReply, "access_denied"} {
		if got := presentable(provider.Problem{Code: code}, []token.Secret{token.NewSecret(code)}).Code; got != code {
			t.Errorf("%s is shown as %q", code, got)
		}
	}
	if got := presentable(provider.Problem{Code: "AUTH-17-other"}, []token.Secret{token.NewSecret("AUTH-17-other")}).Code; got != "[redacted]" {
		t.Errorf("a code of the API's own is shown as %q", got)
	}
}

// The whole way: a server that repeats the refresh token, and the client's credentials as it got them.
func TestEchoingServer(t *testing.T) {
	for _, client := range []provider.ClientAuthentication{provider.ClientBody, provider.ClientBasic} {
		server := listen(t, func(p *peer) {
			got := p.read()
			body, _ := json.Marshal(map[string]string{
				"error": "invalid_grant", "error_description": "used " + login.Refresh.Reveal() + " by " + got.Header.Get("Authorization"),
			})
			p.say(reply("400 Bad Request", string(body)))
		})
		api, err := provider.NewOAuth2(provider.OAuth2{TokenURL: server.url(), ClientAuthentication: client})
		if err != nil {
			t.Fatal(err)
		}
		got := exchanged(t, Dialer{Policy: developing}, api, request(t, api))
		if got.Verdict != token.RefusedDead || got.Problem.Status != http.StatusBadRequest {
			t.Errorf("%s: got %+v", client, outcomeOf(got))
		}
		want := map[provider.ClientAuthentication]string{
			provider.ClientBody: "used [redacted] by ", provider.ClientBasic: "used [redacted] by Basic [redacted]",
		}[client]
		if got.Problem.Description != want {
			t.Errorf("%s: got %q, want %q", client, got.Problem.Description, want)
		}
	}
}

func inJSON(value string) string {
	encoded, _ := json.Marshal(value)
	return string(encoded[1 : len(encoded)-1])
}

// lowerEscapes writes the hexadecimal digits of percent-encoding in lower case.
func lowerEscapes(text string) string {
	return regexp.MustCompile("%[0-9A-F]{2}").ReplaceAllStringFunc(text, strings.ToLower)
}
