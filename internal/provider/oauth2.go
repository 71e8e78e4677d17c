package provider

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/fluent-credential/operator/internal/token"
)

// OAuth2 is any token endpoint of RFC 6749.
type OAuth2 struct {
	TokenURL             string        // may have a query of its own (RFC 6749 section 3.2)
	RevocationURL        string        // empty: there is none
	RefreshTokenLifetime time.Duration // of one that is not used; zero: it has no end
	ParameterStyle       ParameterStyle
	ClientAuthentication ClientAuthentication
	Options

	endpoint   *url.URL
	revocation *url.URL // nil: there is none
}

// ParameterStyle says how the parameters are sent; empty means Form.
type ParameterStyle string

// The parameter styles.
const (
	Form  ParameterStyle = "Form"  // in the body, as the standard says
	JSON  ParameterStyle = "JSON"  // in the body
	Query ParameterStyle = "Query" // in the URL
)

// ClientAuthentication says how the client authenticates; empty means ClientBody.
type ClientAuthentication string

// The ways of client authentication.
const (
	ClientBody  ClientAuthentication = "Body"  // client_id and client_secret are parameters like the others
	ClientBasic ClientAuthentication = "Basic" // HTTP Basic
	ClientNone  ClientAuthentication = "None"  // a public client: only client_id is sent
)

// NewOAuth2 checks and completes the configuration.
func NewOAuth2(config OAuth2) (*OAuth2, error) {
	endpoint, err := parseURL(config.TokenURL)
	if err != nil {
		return nil, fmt.Errorf("provider.oauth2.tokenURL: %w", err)
	}
	switch config.ParameterStyle {
	case "", Form, JSON, Query:
	default:
		return nil, fmt.Errorf("provider.oauth2.parameterStyle: %q is not known", config.ParameterStyle)
	}
	switch config.ClientAuthentication {
	case "", ClientBody, ClientBasic, ClientNone:
	default:
		return nil, fmt.Errorf("provider.oauth2.clientAuthentication: %q is not known", config.ClientAuthentication)
	}
	config.endpoint = endpoint
	if config.RevocationURL == "" {
		return &config, nil
	}
	return config.withRevocation()
}

// withRevocation takes no endpoint of another host: who may edit a credential could have its refresh token sent to them.
func (o OAuth2) withRevocation() (*OAuth2, error) {
	revocation, err := parseURL(o.RevocationURL)
	if err != nil {
		return nil, fmt.Errorf("provider.oauth2.revocationURL: %w", err)
	}
	if !sameOrigin(revocation, o.endpoint) {
		return nil, errors.New("provider.oauth2.revocationURL: it is on another host than tokenURL")
	}
	o.revocation = revocation
	return &o, nil
}

// Name is the member of spec.provider.
func (o *OAuth2) Name() string { return "oauth2" }

// Endpoint is the token endpoint, with the query of its own.
func (o *OAuth2) Endpoint() *url.URL { return o.endpoint }

// Identity has everything that the spec says about the endpoints.
func (o *OAuth2) Identity() Identity {
	return Identity{
		RevocationURL:        o.RevocationURL,
		NamesRevocation:      true,
		ParameterStyle:       cmp.Or(o.ParameterStyle, Form),
		ClientAuthentication: cmp.Or(o.ClientAuthentication, ClientBody),
		Headers:              o.identifying(),
		CABundle:             o.CABundle,
	}
}

// Supports tells which grants the API documents: what the server knows is found out by asking it.
func (o *OAuth2) Supports(token.Grant) bool { return true }

// ClientActsAlone is false: only a client that keeps a secret may (RFC 6749 section 4.4).
func (o *OAuth2) ClientActsAlone() bool { return false }

// Request follows the configured style.
func (o *OAuth2) Request(grant token.Grant, login token.Login) (Request, error) {
	params, err := grantParameters(grant, login)
	if err != nil {
		return Request{}, err
	}
	params.add("scope", token.NewSecret(login.Scope))
	request := newRequest(o.endpoint, o.Options, login)
	o.authenticate(&request, params, login)
	o.place(&request, params)
	return request, nil
}

func (o *OAuth2) authenticate(request *Request, params parameters, login token.Login) {
	switch o.ClientAuthentication {
	case ClientBasic:
		request.setBasic(login)
	case ClientNone:
		params.add("client_id", token.NewSecret(login.ClientID))
	case ClientBody, "":
		params.addClient(login)
	}
}

func (o *OAuth2) place(request *Request, params parameters) {
	switch o.ParameterStyle {
	case JSON:
		request.setJSON(params)
	case Query:
		request.setQuery(params)
	case Form, "":
		request.setForm(params)
	}
}

// Revocation follows RFC 7009, by which the parameters go into the body, never into the URL.
func (o *OAuth2) Revocation(login token.Login) (Request, bool) {
	if o.revocation == nil {
		return Request{}, false
	}
	params := revocationParameters(login)
	request := newRequest(o.revocation, o.Options, login)
	o.authenticate(&request, params, login)
	if o.ParameterStyle == JSON {
		request.setJSON(params)
	} else {
		request.setForm(params)
	}
	return request, true
}

// IdleLife is what the user says: the standard tells of no end.
func (o *OAuth2) IdleLife() time.Duration { return o.RefreshTokenLifetime }

// RenewalWindow is none: the standard knows of no such thing.
func (o *OAuth2) RenewalWindow(token.Grant) time.Duration { return 0 }

// RequestsPerMinute is none: the standard knows of no limit.
func (o *OAuth2) RequestsPerMinute() int { return 0 }

// Read follows RFC 6749.
func (o *OAuth2) Read(grant token.Grant, reply Reply) Answer {
	return assumeLife(dialect{}.answer(grant, reply))
}
