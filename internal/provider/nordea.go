package provider

import (
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/fluent-credential/operator/internal/token"
)

// Nordea is the access authorization API of Nordea Open Banking, version 3 and, with Path, later ones.
type Nordea struct {
	BaseURL   string // empty: https://api.nordeaopenbanking.com
	Decoupled bool   // the user authorized by the decoupled flow, whose token endpoint takes JSON
	Path      string // replaces the flow's path
	Options

	endpoint *url.URL
}

// NewNordea checks and completes the configuration.
func NewNordea(config Nordea) (*Nordea, error) {
	base := config.BaseURL
	if base == "" {
		base = "https://api.nordeaopenbanking.com"
	}
	endpoint, err := join(base, config.path())
	if err != nil {
		return nil, fmt.Errorf("provider.nordea.baseURL: %w", err)
	}
	config.endpoint = endpoint
	return &config, nil
}

func (n Nordea) path() string {
	switch {
	case n.Path != "":
		return n.Path
	case n.Decoupled:
		return "/v3/authorize-decoupled/token"
	}
	return "/v3/authorize/token"
}

// Name is the member of spec.provider.
func (n *Nordea) Name() string { return "nordea" }

// Endpoint is the token endpoint.
func (n *Nordea) Endpoint() *url.URL { return n.endpoint }

// Identity has the style of the flow, headers and trust. The client authenticates by headers of its own.
func (n *Nordea) Identity() Identity {
	style := Form
	if n.Decoupled {
		style = JSON
	}
	return Identity{ParameterStyle: style, Headers: n.identifying(), CABundle: n.CABundle}
}

// Supports tells which grants the API documents: a person authorizes, and the chain goes on from there.
func (n *Nordea) Supports(grant token.Grant) bool {
	return grant == token.AuthorizationCode || grant == token.RefreshToken
}

// ClientActsAlone is false: the API has no such grant.
func (n *Nordea) ClientActsAlone() bool { return false }

// Request sends the client's id and secret as headers, and the other parameters as the flow wants them.
func (n *Nordea) Request(grant token.Grant, login token.Login) (Request, error) {
	if !n.Supports(grant) {
		return Request{}, fmt.Errorf("the Nordea API has no grant %s", grant)
	}
	params, err := grantParameters(grant, login)
	if err != nil {
		return Request{}, err
	}
	params.add("scope", token.NewSecret(login.Scope))
	request := newRequest(n.endpoint, n.Options, login)
	request.setHeader("X-IBM-Client-Id", token.NewSecret(login.ClientID))
	request.setHeader("X-IBM-Client-Secret", login.ClientSecret)
	if n.Decoupled {
		request.setJSON(params)
	} else {
		request.setForm(params)
	}
	return request, nil
}

// Revocation is not documented by the API.
func (n *Nordea) Revocation(token.Login) (Request, bool) { return Request{}, false }

// IdleLife is not documented by the API, which calls its refresh tokens long-lived.
func (n *Nordea) IdleLife() time.Duration { return 0 }

// RenewalWindow is not documented by the API.
func (n *Nordea) RenewalWindow(token.Grant) time.Duration { return 0 }

// RequestsPerMinute is not documented by the API.
func (n *Nordea) RequestsPerMinute() int { return 0 }

// Read knows the envelope that some replies come in, and the API's own errors.
func (n *Nordea) Read(grant token.Grant, reply Reply) Answer {
	reply.Body = unwrapped(reply.Body)
	return assumeLife(dialect{problems: nordeaProblems, code: nordeaCode}.answer(grant, reply))
}

// unwrapped takes a reply out of {"group_header":…,"response":{…}}.
func unwrapped(body []byte) []byte {
	object, err := parseFields(body)
	if err != nil || object["access_token"] != nil {
		return body
	}
	if _, err := parseFields(object["response"]); err != nil {
		return body
	}
	return object["response"]
}

// nordeaDead are the codes that refuse the refresh token or the code. The first is documented, for access tokens; the others are
// its siblings. What is not among them follows the HTTP status, since the token may well be alive.
var nordeaDead = map[string]bool{"error.token.expired": true, "error.token.invalid": true, "error.token.revoked": true}

func nordeaCode(_ token.Grant, _ int, code string) codeClass {
	if nordeaDead[code] {
		return badToken
	}
	return noCode
}

// nordeaProblems reads {"error":{"failures":[{"code":…,"description":…,"path":…}]}}, the three fields of the gateway in
// front of the API ({"httpCode":…,"httpMessage":…,"moreInformation":…}), or an error of RFC 6749.
func nordeaProblems(doc document) []Problem {
	object := doc.fields
	inner, _ := parseFields(object["error"])
	var failures []fields
	if json.Unmarshal(inner["failures"], &failures) == nil && len(failures) > 0 {
		var found []Problem
		for _, each := range failures[:min(len(failures), maxErrors)] {
			found = append(found, Problem{Code: each.scalar("code"), Description: describeFailure(each)})
		}
		return found
	}
	if object["moreInformation"] != nil {
		return []Problem{{Code: object.scalar("httpMessage"), Description: object.scalar("moreInformation")}}
	}
	return problemsOf(doc)
}

// describeFailure adds the parameter that the failure is about, where it names one.
func describeFailure(failure fields) string {
	description := failure.scalar("description")
	if path := failure.scalar("path"); path != "" {
		return description + " (" + path + ")"
	}
	return description
}
