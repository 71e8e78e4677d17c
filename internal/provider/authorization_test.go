package provider

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/fluent-credential/operator/internal/token"
)

func TestAuthorizationCode(t *testing.T) {
	const code = "a-code-that-is-never-told"
	tests := map[string]struct {
		why      string
		ask      Authorization
		answer   string
		problem  string // empty: the code is found
		redirect string
	}{
		"bare":                {"the API shows the code on a page", Authorization{}, " " + code + "\n", "", ""},
		"URL":                 {"the address line of the browser", Authorization{}, "https://app.example/back?code=" + code + "&state=s", "", "https://app.example/back"},
		"URL, known redirect": {"what the Secret says wins", Authorization{RedirectURI: "https://other/"}, "https://app.example/back?code=" + code, "", "https://other/"},
		"right state":         {"it answers our request", Authorization{State: "s"}, "https://app.example/?state=s&code=" + code, "", "https://app.example/"},
		"wrong state":         {"it answers another request", Authorization{State: "s"}, "https://app.example/?state=x&code=" + code, "state is not the one", "https://app.example/"},
		"no state":            {"the same", Authorization{State: "s"}, "https://app.example/?code=" + code, "state is not the one", "https://app.example/"},
		"bare, with a state":  {"the state cannot be seen", Authorization{State: "s"}, code, "give the whole URL", ""},
		"bare, out of band":   {"there is no address to be sent to", Authorization{State: "s", RedirectURI: "urn:ietf:wg:oauth:2.0:oob"}, code, "", "urn:ietf:wg:oauth:2.0:oob"},
		"query alone":         {"copied without the address", Authorization{}, "?code=" + code, "", ""},
		"refused":             {"the user said no", Authorization{}, "https://app.example/?error=access_denied&error_description=No", "access_denied No", "https://app.example/"},
		"no code":             {"another page", Authorization{}, "https://app.example/", "has no code", "https://app.example/"},
		"nothing":             {"just the Enter key", Authorization{}, "\n", "there is no code", ""},
		"broken":              {"half of it", Authorization{}, "https://app.example/%zz?code=" + code, "cannot be read", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := test.ask.Code(token.NewSecret(test.answer))
			if test.problem == "" && (err != nil || got.Reveal() != code) {
				t.Errorf("no code (%v): %s", err, test.why)
			}
			if test.problem != "" && (err == nil || !strings.Contains(err.Error(), test.problem)) {
				t.Errorf("error %v, want %q: %s", err, test.problem, test.why)
			}
			if err != nil && strings.Contains(err.Error(), code) {
				t.Errorf("the error tells the code: %v", err)
			}
			if test.ask.RedirectURI != test.redirect {
				t.Errorf("redirect URI %q, want %q: %s", test.ask.RedirectURI, test.redirect, test.why)
			}
		})
	}
}

func TestAuthorizationRefusedIsKnown(t *testing.T) {
	_, err := (&Authorization{}).Code(token.NewSecret("https://app.example/?error=access_denied"))
	var refused *AuthorizationRefusedError
	if !errors.As(err, &refused) || refused.Code != "access_denied" {
		t.Errorf("%v is no refusal", err)
	}
}

func TestAuthorizationLink(t *testing.T) {
	ask := Authorization{RedirectURI: "https://app.example/back"}
	link, err := ask.Link("https://login.example/authorize?tenant=1", token.Login{ClientID: "app", Scope: "api offline"})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"tenant": {"1"}, "response_type": {"code"}, "client_id": {"app"}, "scope": {"api offline"},
		"redirect_uri": {"https://app.example/back"}, "state": {ask.State},
	}
	if got := parsed.Query(); got.Encode() != want.Encode() || parsed.Path != "/authorize" {
		t.Errorf("the link asks for %v, want %v", got, want)
	}
	if len(ask.State) < 20 {
		t.Errorf("the state %q can be guessed", ask.State)
	}
	other := Authorization{}
	if _, err := other.Link("https://login.example/", token.Login{}); err != nil || other.State == ask.State {
		t.Errorf("two requests have the same state (%v)", err)
	}
	for _, bad := range []string{"", "/authorize", "not a url%"} {
		if _, err := (&Authorization{}).Link(bad, token.Login{}); err == nil {
			t.Errorf("%q is taken for a URL", bad)
		}
	}
}
