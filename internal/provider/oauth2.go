package provider

import (
	"fmt"
	"net/url"

	"github.com/fluent-credential/operator/internal/token"
)

// OAuth2 is any token endpoint of RFC 6749.
type OAuth2 struct {
	TokenURL             string // may have a query of its own (RFC 6749 section 3.2)
	ParameterStyle       ParameterStyle
	ClientAuthentication ClientAuthentication
	Options

	endpoint *url.URL
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
	return &config, nil
}

// Name is the member of spec.provider.
func (o *OAuth2) Name() string { return "oauth2" }

// Endpoint is the token endpoint, with the query of its own.
func (o *OAuth2) Endpoint() *url.URL { return o.endpoint }

// Supports tells which grants the API documents: what the server knows is found out by asking it.
func (o *OAuth2) Supports(token.Grant) bool { return true }

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

// Read follows RFC 6749.
func (o *OAuth2) Read(grant token.Grant, reply Reply) Answer {
	return answer(grant, reply, standardProblem)
}
