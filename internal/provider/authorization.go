package provider

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/url"
	"strings"

	"github.com/fluent-credential/operator/internal/token"
)

// Authorization is the part of the authorization code grant (RFC 6749 section 4.1) that happens in a person's browser.
type Authorization struct {
	// RedirectURI is where the browser is sent with the code; empty: it is read from there.
	RedirectURI string
	// State has to be repeated by the answer; empty: none was sent.
	State string
}

// AuthorizationRefusedError is an answer that says no (RFC 6749 section 4.1.2.1).
type AuthorizationRefusedError struct{ Code, Description string }

func (e *AuthorizationRefusedError) Error() string {
	return strings.TrimSpace("the API did not authorize: " + e.Code + " " + e.Description)
}

// Link is the URL to open in a browser. It carries a random state: an answer that does not repeat it belongs to a request of
// somebody else (RFC 6749 section 10.12).
func (a *Authorization) Link(endpoint string, login token.Login) (string, error) {
	link, err := parseURL(endpoint)
	if err != nil || link.Scheme == "" {
		return "", errors.New("the authorization endpoint is no absolute URL")
	}
	if a.State == "" {
		a.State = rand.Text()
	}
	query := link.Query()
	query.Set("response_type", "code")
	query.Set("client_id", login.ClientID)
	query.Set("state", a.State)
	for name, value := range map[string]string{"redirect_uri": a.RedirectURI, "scope": login.Scope} {
		if value != "" {
			query.Set(name, value)
		}
	}
	link.RawQuery = query.Encode()
	return link.String(), nil
}

// Code takes the code out of what the person brings back: the code itself, or the URL that the browser was sent to. An error never
// repeats it.
func (a *Authorization) Code(answer token.Secret) (token.Secret, error) {
	text := strings.TrimSpace(answer.Reveal())
	if !strings.Contains(text, "://") && !strings.HasPrefix(text, "?") {
		return a.bareCode(text)
	}
	sent, err := url.Parse(text)
	if err != nil {
		return token.Secret{}, errors.New("the URL cannot be read: copy all of it")
	}
	if a.RedirectURI == "" && sent.Host != "" {
		a.RedirectURI = (&url.URL{Scheme: sent.Scheme, Host: sent.Host, Path: sent.Path}).String()
	}
	return a.fromQuery(sent.Query())
}

// bareCode: a page that shows the code for copying has a redirect URI that is no address, and no state.
func (a *Authorization) bareCode(code string) (token.Secret, error) {
	switch {
	case code == "":
		return token.Secret{}, errors.New("there is no code")
	case a.State != "" && !strings.HasPrefix(a.RedirectURI, "urn:"):
		return token.Secret{}, errors.New("give the whole URL that the browser was sent to: its state shows that it answers this request")
	}
	return token.NewSecret(code), nil
}

func (a *Authorization) fromQuery(query url.Values) (token.Secret, error) {
	switch state := query.Get("state"); {
	case a.State != "" && subtle.ConstantTimeCompare([]byte(state), []byte(a.State)) != 1:
		return token.Secret{}, errors.New("the URL's state is not the one of this request: it may answer somebody else's, and is not used")
	case query.Get("error") != "":
		return token.Secret{}, &AuthorizationRefusedError{Code: query.Get("error"), Description: query.Get("error_description")}
	case query.Get("code") == "":
		return token.Secret{}, errors.New("the URL has no code: it is not the one that the browser was sent to at the end")
	}
	return token.NewSecret(query.Get("code")), nil
}
