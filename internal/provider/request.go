package provider

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/fluent-credential/operator/internal/token"
)

// parameters are the parameters of a token request (RFC 6749), in no particular order.
type parameters map[string]token.Secret

// grantParameters are those that a grant takes from the login, without client authentication and scope.
func grantParameters(grant token.Grant, login token.Login) (parameters, error) {
	params := parameters{"grant_type": token.NewSecret(string(grant))}
	switch grant {
	case token.Password:
		params["username"], params["password"] = token.NewSecret(login.Username), login.Password
	case token.RefreshToken:
		params["refresh_token"] = login.Refresh
	case token.AuthorizationCode:
		params["code"] = login.Code
		params.add("redirect_uri", token.NewSecret(login.RedirectURI))
	case token.ClientCredentials:
	default:
		return nil, fmt.Errorf("grant %q is not known", grant)
	}
	return params, nil
}

// add sets a parameter that has a value, and leaves out one that has none.
func (p parameters) add(name string, value token.Secret) {
	if !value.IsZero() {
		p[name] = value
	}
}

func (p parameters) addClient(login token.Login) {
	p.add("client_id", token.NewSecret(login.ClientID))
	p.add("client_secret", login.ClientSecret)
}

// form encodes the parameters as application/x-www-form-urlencoded, sorted by name.
func (p parameters) form() token.Secret {
	values := url.Values{}
	for name, value := range p {
		values.Set(name, value.Reveal())
	}
	return token.NewSecret(values.Encode())
}

// json encodes the parameters as a JSON object.
func (p parameters) json() token.Secret {
	object := make(map[string]string, len(p))
	for name, value := range p {
		object[name] = value.Reveal()
	}
	encoded, _ := json.Marshal(object) // a map of strings always encodes
	return token.NewSecret(string(encoded))
}

// newRequest is a request without parameters: the headers that every API gets, then the user's own. What an API needs for itself
// is set later and wins.
func newRequest(endpoint *url.URL, options Options, login token.Login) Request {
	request := Request{
		URL:      token.NewSecret(endpoint.String()),
		Header:   map[string]token.Secret{},
		CABundle: options.CABundle,
		Secrets:  append(login.Secrets(), SecretHeaders(options.Headers)...),
	}
	request.setHeader("Accept", token.NewSecret("application/json"))
	for _, name := range slices.Sorted(maps.Keys(options.Headers)) {
		request.setHeader(name, token.NewSecret(options.Headers[name]))
	}
	return request
}

// publicHeaders are headers whose values are never secret, and may be words of an API's reply.
var publicHeaders = map[string]bool{
	"Accept":           true,
	"Accept-Charset":   true,
	"Accept-Encoding":  true,
	"Accept-Language":  true,
	"Cache-Control":    true,
	"Content-Language": true,
	"Content-Type":     true,
	"Origin":           true,
	"Pragma":           true,
	"Prefer":           true,
	"Referer":          true,
	"User-Agent":       true,
}

// leastSecretHeader is the minimum length of a header value that counts as a secret. A shorter value is a version or a
// tenant, and treating it as a secret would withhold every text that contains it.
const leastSecretHeader = 8

// SecretHeaders returns the values of the user's headers that must not be shown: the whole value, and the value without
// the name of an authentication scheme.
func SecretHeaders(headers map[string]string) []token.Secret {
	var secrets []token.Secret
	for name, value := range headers {
		if publicHeaders[http.CanonicalHeaderKey(name)] {
			continue
		}
		_, credentials, _ := strings.Cut(strings.TrimSpace(value), " ")
		for _, secret := range []string{value, credentials} {
			if len(secret) >= leastSecretHeader {
				secrets = append(secrets, token.NewSecret(secret))
			}
		}
	}
	return secrets
}

// setHeader replaces a header, whatever the case it was written in before; one that has no value is left out.
func (r *Request) setHeader(name string, value token.Secret) {
	if !value.IsZero() {
		r.Header[http.CanonicalHeaderKey(name)] = value
	}
}

func (r *Request) setForm(params parameters) {
	r.Body = params.form()
	r.setHeader("Content-Type", token.NewSecret("application/x-www-form-urlencoded"))
}

func (r *Request) setJSON(params parameters) {
	r.Body = params.json()
	r.setHeader("Content-Type", token.NewSecret("application/json"))
}

// setBasic authenticates the client by HTTP Basic; id and secret are form-encoded first (RFC 6749 section 2.3.1). The result is
// another spelling of the secret.
func (r *Request) setBasic(login token.Login) {
	pair := url.QueryEscape(login.ClientID) + ":" + url.QueryEscape(login.ClientSecret.Reveal())
	encoded := base64.StdEncoding.EncodeToString([]byte(pair))
	r.setHeader("Authorization", token.NewSecret("Basic "+encoded))
	r.Secrets = append(r.Secrets, token.NewSecret(encoded))
}

// setQuery puts the parameters into the URL; the body stays empty.
func (r *Request) setQuery(params parameters) {
	separator := "?"
	if strings.Contains(r.URL.Reveal(), "?") {
		separator = "&"
	}
	r.URL = token.NewSecret(r.URL.Reveal() + separator + params.form().Reveal())
}

// join appends a path to a base URL.
func join(base, path string) (*url.URL, error) {
	parsed, err := parseURL(base)
	if err != nil {
		return nil, err
	}
	return parsed.JoinPath(path), nil
}

// parseURL reads an absolute URL. A token endpoint has no fragment (RFC 6749 section 3.2).
func parseURL(text string) (*url.URL, error) {
	parsed, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("the URL cannot be parsed") // url.Error would repeat it, and what is in it
	case parsed.Hostname() == "":
		return nil, errors.New("the URL names no host")
	case parsed.Fragment != "":
		return nil, errors.New("the URL has a fragment")
	}
	return parsed, nil
}
