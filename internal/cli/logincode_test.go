package cli

import (
	"net/url"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

const redirectURI = "https://app.example.com/back"

// stageCode creates a credential of an API where a person authorizes in a browser.
func stageCode(t *testing.T, dialect authsim.Dialect) (*server, *v1alpha1.FluentCredential) {
	t.Helper()
	sim := newServer(t, func(config *authsim.Config) { config.Dialect = dialect })
	cred := credential(newNamespace(t), "bank", "")
	cred.Spec.Provider = v1alpha1.ProviderSpec{Nordea: &v1alpha1.NordeaProvider{BaseURL: v1alpha1.BaseURL(sim.URL)}}
	if dialect == authsim.DialectOAuth2 {
		cred.Spec.Provider = v1alpha1.ProviderSpec{OAuth2: &v1alpha1.OAuth2Provider{TokenURL: v1alpha1.TokenURL(sim.URL + "/oauth/token")}}
	}
	create(t, loginSecret(cred.Namespace, "bank-login", clientAlone()))
	create(t, cred)
	return sim, cred
}

// TestLoginByBrowser: the link has a state, and the URL that the browser was sent to is taken only if it repeats it.
func TestLoginByBrowser(t *testing.T) {
	t.Parallel()
	sim, cred := stageCode(t, authsim.DialectNordea)
	startOperator(t, cred.Namespace)
	code := sim.IssueCode(user, clientID, redirectURI)
	login := []string{"login", "bank", "-n", cred.Namespace, "--insecure-http", "--endpoint", sim.address(), "--wait",
		"--authorization-url", "https://login.example.com/authorize", "--redirect-uri", redirectURI}

	shown := onTerminal(t, nil, login...)
	shown.shows("Code, or the URL that the browser was sent to: ")
	shown.hides()
	shown.types(redirectURI + "?state=forged&code=" + code + "\n")
	shown.ends(exitFailed)
	contains(t, shown.text(), "the URL's state is not the one of this request")
	if requests := sim.Ledger().Requests; requests != 0 {
		t.Fatalf("%d requests were made for a forged state", requests)
	}

	shown = onTerminal(t, nil, login...)
	shown.shows("Code, or the URL that the browser was sent to: ")
	shown.hides()
	shown.types(redirectURI + "?code=" + code + "&state=" + stateOf(t, shown.text()) + "\n")
	shown.ends(0)
	contains(t, shown.text(), "refresh token stored", "renewed: token 1 by refresh_token")
	tellsNoSecret(t, sim, shown.text())
	if held := entries(t, cred.Namespace, "bank-login"); held["code"] != "" || held["refresh_token"] == "" {
		t.Error("the Secret holds the code, or no refresh token")
	}
}

// stateOf reads the link that was shown, and its state.
func stateOf(t *testing.T, text string) string {
	t.Helper()
	link, err := url.Parse(regexp.MustCompile(`https://login\.example\.com/authorize\S+`).FindString(text))
	if err != nil {
		t.Fatal(err)
	}
	state := link.Query().Get("state")
	want := url.Values{"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {redirectURI}, "scope": {"api"}, "state": {state}}
	if diff := cmp.Diff(want, link.Query()); diff != "" {
		t.Errorf("the link asks for (-want +got):\n%s", diff)
	}
	return state
}

func TestLoginByCodeFromAPipe(t *testing.T) {
	t.Parallel()
	sim, cred := stageCode(t, authsim.DialectOAuth2)
	answer := redirectURI + "?code=" + sim.IssueCode(user, clientID, redirectURI)
	login := []string{"login", "bank", "-n", cred.Namespace, "--insecure-http", "--endpoint", sim.address(), "--code-stdin"}
	contains(t, must(t, exitRefused, redirectURI+"?error=access_denied", login...).err, "the API did not authorize: access_denied")
	contains(t, must(t, exitFailed, answer, append(login, "--state", "mine")...).err, "state is not the one")
	if requests := sim.Ledger().Requests; requests != 0 {
		t.Fatalf("%d requests were made", requests)
	}
	must(t, 0, answer, login...)
	if entries(t, cred.Namespace, "bank-login")["refresh_token"] != sim.Ledger().RefreshTokens[0].Value {
		t.Error("the refresh token is not in the Secret")
	}
	again := must(t, exitRefused, answer, login...)
	contains(t, again.err, "refused the code", "authorize again")
	tellsNoSecret(t, sim, again.out, again.err)
	contains(t, must(t, exitUsage, "", "login", "bank", "-n", cred.Namespace, "--insecure-http", "--endpoint", sim.address(), "--grant", "authorization_code").err, "--code-stdin")
}
