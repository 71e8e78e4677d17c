package cli

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

const (
	authorizationCode = "an-authorization-code-that-is-long-enough-to-be-found"
	firstRefresh      = "a-refresh-token-that-is-long-enough-to-be-found"
	redirectURI       = "https://app.example.com/back"
)

// codeServer is a token endpoint that takes one authorization code, once, for the redirect URI that it was given to (RFC 6749
// section 4.1.3).
type codeServer struct {
	mu    sync.Mutex
	asked []url.Values
}

func (c *codeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = r.ParseForm()
	c.asked = append(c.asked, r.PostForm)
	w.Header().Set("Content-Type", "application/json")
	asked := r.PostForm
	if len(c.asked) > 1 || asked.Get("grant_type") != "authorization_code" || asked.Get("code") != authorizationCode || asked.Get("redirect_uri") != redirectURI {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant","error_description":"no such code"}`))
		return
	}
	_, _ = w.Write([]byte(`{"access_token":"an-access-token","token_type":"Bearer","expires_in":3600,"refresh_token":"` + firstRefresh + `"}`))
}

func (c *codeServer) requests() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.asked)
}

// stageCode creates a credential of an API where a person authorizes in a browser.
func stageCode(t *testing.T) (*codeServer, string) {
	t.Helper()
	api, namespace := &codeServer{}, newNamespace(t)
	listener := httptest.NewServer(api)
	t.Cleanup(listener.Close)
	cred := credential(namespace, "bank", "")
	cred.Spec.Provider = v1alpha1.ProviderSpec{OAuth2: &v1alpha1.OAuth2Provider{TokenURL: v1alpha1.TokenURL(listener.URL + "/token")}}
	create(t, loginSecret(namespace, "bank-login", map[string]string{"client_id": clientID}))
	create(t, cred)
	return api, namespace
}

// TestLoginByBrowser: the link has a state, and the URL that the browser was sent to is taken only if it repeats it.
func TestLoginByBrowser(t *testing.T) {
	t.Parallel()
	api, namespace := stageCode(t)
	login := []string{"login", "bank", "-n", namespace, "--insecure-http", "--authorization-url", "https://login.example.com/authorize", "--redirect-uri", redirectURI}

	shown := onTerminal(t, nil, login...)
	shown.shows("Code, or the URL that the browser was sent to: ")
	shown.hides()
	shown.types(redirectURI + "?state=forged&code=" + authorizationCode + "\n")
	shown.ends(exitFailed)
	contains(t, shown.text(), "the URL's state is not the one of this request")
	if api.requests() != 0 {
		t.Fatal("a code with a forged state was spent")
	}

	shown = onTerminal(t, nil, login...)
	shown.shows("Code, or the URL that the browser was sent to: ")
	shown.hides()
	link, err := url.Parse(regexp.MustCompile(`https://login\.example\.com/authorize\S+`).FindString(shown.text()))
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {redirectURI}, "scope": {"api"}, "state": {link.Query().Get("state")}}
	if diff := cmp.Diff(want, link.Query()); diff != "" {
		t.Errorf("the link asks for (-want +got):\n%s", diff)
	}
	shown.types(redirectURI + "?code=" + authorizationCode + "&state=" + link.Query().Get("state") + "\n")
	shown.ends(0)
	if entries(t, namespace, "bank-login")["refresh_token"] != firstRefresh {
		t.Error("the refresh token is not in the Secret")
	}
	for _, secret := range []string{authorizationCode, firstRefresh} {
		if regexp.MustCompile(secret).MatchString(shown.text()) {
			t.Error("a secret was shown")
		}
	}
}

func TestLoginByCodeFromAPipe(t *testing.T) {
	t.Parallel()
	api, namespace := stageCode(t)
	login := []string{"login", "bank", "-n", namespace, "--insecure-http", "--code-stdin"}
	contains(t, must(t, exitRefused, redirectURI+"?error=access_denied", login...).err, "the API did not authorize: access_denied")
	contains(t, must(t, exitFailed, redirectURI+"?code="+authorizationCode, append(login, "--state", "mine")...).err, "state is not the one")
	if api.requests() != 0 {
		t.Fatal("something was sent")
	}
	must(t, 0, redirectURI+"?code="+authorizationCode, login...)
	if entries(t, namespace, "bank-login")["refresh_token"] != firstRefresh {
		t.Error("the refresh token is not in the Secret")
	}
	contains(t, must(t, exitRefused, redirectURI+"?code="+authorizationCode, login...).err, "refused the code", "authorize again")
	contains(t, must(t, exitUsage, "", "login", "bank", "-n", namespace, "--insecure-http", "--grant", "authorization_code").err, "--code-stdin")
}
