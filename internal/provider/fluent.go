package provider

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/fluent-credential/operator/internal/token"
)

// Fluent is the Fluent Commerce API ("API Authentication", revision of 6 Feb 2025, and later ones).
type Fluent struct {
	Account    string
	Production bool
	BaseURL    string // replaces the host that follows from Account and Production
	InQuery    bool   // the parameters go into the URL
	Options

	endpoint *url.URL
}

// NewFluent checks and completes the configuration.
func NewFluent(config Fluent) (*Fluent, error) {
	base := config.BaseURL
	if base == "" {
		base = "https://" + config.host()
	}
	endpoint, err := join(base, "/oauth/token")
	if err != nil {
		return nil, fmt.Errorf("provider.fluent.baseURL: %w", err)
	}
	if config.BaseURL == "" && endpoint.Host != config.host() {
		return nil, errors.New("provider.fluent.account: it cannot be part of a host name")
	}
	config.endpoint = endpoint
	return &config, nil
}

func (f Fluent) host() string {
	stage := "sandbox."
	if f.Production {
		stage = ""
	}
	return strings.ToLower(f.Account) + "." + stage + "api.fluentretail.com"
}

// Name is the member of spec.provider.
func (f *Fluent) Name() string { return "fluent" }

// Endpoint is the token endpoint.
func (f *Fluent) Endpoint() *url.URL { return f.endpoint }

// Supports tells which grants the API documents: a password buys the first token, a refresh token the later ones.
func (f *Fluent) Supports(grant token.Grant) bool {
	return grant == token.Password || grant == token.RefreshToken
}

// ClientActsAlone is false: the API has no such grant.
func (f *Fluent) ClientActsAlone() bool { return false }

// Request sends every parameter in the body, or in the URL, as older revisions of the documentation show.
func (f *Fluent) Request(grant token.Grant, login token.Login) (Request, error) {
	params, err := grantParameters(grant, login)
	if err != nil {
		return Request{}, err
	}
	params.addClient(login)
	params.add("scope", token.NewSecret(login.Scope))
	request := newRequest(f.endpoint, f.Options, login)
	if f.InQuery {
		request.setQuery(params)
	} else {
		request.setForm(params)
	}
	return request, nil
}

// Revocation is not documented by the API.
func (f *Fluent) Revocation(token.Login) (Request, bool) { return Request{}, false }

// IdleLife is not documented by the API.
func (f *Fluent) IdleLife() time.Duration { return 0 }

// RenewalWindow is not documented by the API.
func (f *Fluent) RenewalWindow(token.Grant) time.Duration { return 0 }

// RequestsPerMinute is not documented by the API.
func (f *Fluent) RequestsPerMinute() int { return 0 }

// Read knows the API's two shapes of an error, and the code by which it refuses what was presented.
func (f *Fluent) Read(grant token.Grant, reply Reply) Answer {
	read := answer(grant, reply, fluentProblem)
	if read.Verdict == token.Granted {
		object, _ := parseFields(reply.Body) // it was parsed a moment ago
		read.Set.Identity = fluentIdentity(object)
		return read
	}
	if grant == token.Password && isBadRequest(reply.Status, read.Problem.Code) {
		read.Verdict = token.LoginRefused // or the next try would lock the user
	}
	return read
}

// isBadRequest: a locked single-sign-on user is told 400 too, but with HTTP 500.
func isBadRequest(status int, code string) bool {
	return (status == http.StatusBadRequest || status == http.StatusInternalServerError) && (code == "400" || code == "invalid_grant")
}

func fluentIdentity(object fields) token.Identity {
	return token.Identity{
		RetailerID: object.scalar("Retailer_id"), Roles: object.texts("Roles"),
		FirstName: object.scalar("FirstName"), LastName: object.scalar("LastName"),
	}
}

// fluentProblem reads {"errors":[{"code":"400","message":…}]}, whose message is a string or an error of RFC 6749, or such an
// error alone.
func fluentProblem(reply Reply) Problem {
	object, err := parseFields(reply.Body)
	if err != nil {
		return standardProblem(reply)
	}
	first, err := firstOf(object["errors"])
	if err != nil {
		return standardProblem(reply)
	}
	if inner, err := parseFields(first["message"]); err == nil && inner.scalar("error") != "" {
		return Problem{Code: inner.scalar("error"), Description: inner.scalar("error_description")}
	}
	return Problem{Code: first.scalar("code"), Description: first.scalar("message")}
}
