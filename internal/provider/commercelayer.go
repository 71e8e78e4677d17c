package provider

import (
	"fmt"
	"net/url"
	"time"

	"github.com/fluent-credential/operator/internal/token"
)

// CommerceLayer is the authentication API of Commerce Layer: RFC 6749 with JSON bodies.
type CommerceLayer struct {
	BaseURL string // empty: https://auth.commercelayer.io
	Options

	endpoint   *url.URL
	revocation *url.URL
}

// NewCommerceLayer checks and completes the configuration.
func NewCommerceLayer(config CommerceLayer) (*CommerceLayer, error) {
	base := config.BaseURL
	if base == "" {
		base = "https://auth.commercelayer.io"
	}
	endpoint, err := join(base, "/oauth/token")
	if err != nil {
		return nil, fmt.Errorf("provider.commerceLayer.baseURL: %w", err)
	}
	config.endpoint = endpoint
	config.revocation, _ = join(base, "/oauth/revoke") // the base was parsed a moment ago
	return &config, nil
}

// Name is the member of spec.provider.
func (c *CommerceLayer) Name() string { return "commerceLayer" }

// Endpoint is the token endpoint.
func (c *CommerceLayer) Endpoint() *url.URL { return c.endpoint }

// Identity has headers and trust only: the rest is fixed, or follows from the endpoint.
func (c *CommerceLayer) Identity() Identity {
	return Identity{
		ParameterStyle: JSON, ClientAuthentication: ClientBody, Headers: c.identifying(), CABundle: c.CABundle,
	}
}

// Supports tells which grants the API documents: each kind of application (integration, sales channel, webapp) has its own, together
// all of them.
func (c *CommerceLayer) Supports(token.Grant) bool { return true }

// ClientActsAlone is true: a sales channel has no secret, and asks for the token of a guest.
func (c *CommerceLayer) ClientActsAlone() bool { return true }

// Request sends every parameter in a JSON body. A sales channel has no client secret, so none is sent.
func (c *CommerceLayer) Request(grant token.Grant, login token.Login) (Request, error) {
	params, err := grantParameters(grant, login)
	if err != nil {
		return Request{}, err
	}
	params.addClient(login)
	params.add("scope", token.NewSecret(login.Scope))
	request := newRequest(c.endpoint, c.Options, login)
	request.setJSON(params)
	return request, nil
}

// Revocation sends the refresh token and the client in a JSON body. The documented example has no secret: its client has none.
func (c *CommerceLayer) Revocation(login token.Login) (Request, bool) {
	params := parameters{"token": login.Refresh}
	params.addClient(login)
	request := newRequest(c.revocation, c.Options, login)
	request.setJSON(params)
	return request, true
}

// IdleLife is that of the documentation: a refresh token lives for two weeks.
func (c *CommerceLayer) IdleLife() time.Duration { return 14 * 24 * time.Hour }

// RenewalWindow is that of the documentation: a client that asks earlier is given the token that lives already.
func (c *CommerceLayer) RenewalWindow(grant token.Grant) time.Duration {
	if grant != token.ClientCredentials {
		return 0
	}
	return 15 * time.Minute
}

// RequestsPerMinute is that of the documentation.
func (c *CommerceLayer) RequestsPerMinute() int { return 30 }

// Read adds the owner of the token, a customer for example.
func (c *CommerceLayer) Read(grant token.Grant, reply Reply) Answer {
	answer := assumeLife(dialect{}.answer(grant, reply))
	if answer.Verdict == token.Granted {
		object := read(reply).fields
		answer.Set.Identity = token.Identity{OwnerID: object.scalar("owner_id"), OwnerType: object.scalar("owner_type")}
	}
	return answer
}
