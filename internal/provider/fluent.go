package provider

import (
	"encoding/json"
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

// Identity has the style, which decides whether secrets are in URLs. The account is part of the endpoint.
func (f *Fluent) Identity() Identity {
	style := Form
	if f.InQuery {
		style = Query
	}
	return Identity{
		ParameterStyle: style, ClientAuthentication: ClientBody, Headers: f.identifying(), CABundle: f.CABundle,
	}
}

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

// Read knows the API's two shapes of an error, and the code with which it refuses the presented grant. A life of zero
// seconds is meant literally: expires_in is the remaining time.
func (f *Fluent) Read(grant token.Grant, reply Reply) Answer {
	answer := dialect{problems: fluentProblems, code: fluentCode}.answer(grant, reply)
	if answer.Verdict == token.Granted {
		answer.Set.Identity = fluentIdentity(read(reply).fields)
	}
	return answer
}

// fluentCode knows that 400 to a password rejects the login: the next try would lock the user. A locked single-sign-on
// user gets code 400 too, but with HTTP 500.
func fluentCode(grant token.Grant, status int, code string) codeClass {
	isRefusal := code == "400" || spelling(code) == "invalid_grant"
	if grant == token.Password && isRefusal &&
		(status == http.StatusBadRequest || status == http.StatusInternalServerError) {
		return badLogin
	}
	if code != "" && repeatsStatus(code, status) {
		return unknownCode // the API itself sent this, not the CDN in front of it
	}
	return noCode
}

func fluentIdentity(object fields) token.Identity {
	return token.Identity{
		RetailerID: object.scalar("Retailer_id"), Roles: object.texts("Roles"),
		FirstName: object.scalar("FirstName"), LastName: object.scalar("LastName"),
	}
}

// fluentProblems reads {"errors":[{"code":"400","message":…}]}, whose message is a string or an error of RFC 6749, or
// an error alone.
func fluentProblems(doc document) []Problem {
	var list []fields
	if json.Unmarshal(doc.fields["errors"], &list) != nil || len(list) == 0 {
		return problemsOf(doc)
	}
	var found []Problem
	for _, each := range list[:min(len(list), maxErrors)] {
		if inner, err := parseFields(each["message"]); err == nil && inner.scalar("error") != "" {
			found = append(found, problemIn(inner, doc.status))
			continue
		}
		found = append(found, Problem{Code: each.scalar("code"), Description: each.scalar("message")})
	}
	return found
}
