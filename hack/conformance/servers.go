package main

import "github.com/fluent-credential/operator/api/v1alpha1"

// server is an authorization server that this project did not write, and how the operator has to be told of it.
type server struct {
	name string
	// about says what it is for, in the documentation's table.
	about string
	make  maker
	// mode is handed to the program, where it has modes.
	mode string

	// provider is spec.provider for a server at a URL.
	provider       func(url string) map[string]any
	tokenPath      string
	revocationPath string // empty: it has none
	basic          bool   // the client authenticates by HTTP Basic
	codeClient     string // what is appended to the client's id for codes
	trustsTokens   bool   // it does not ask who presents a refresh token

	again consequence
}

// consequence is what a server does when a spent refresh token is presented again.
type consequence string

const (
	refuses  consequence = "refuses it"
	revokes  consequence = "refuses it and revokes the family"
	tolerant consequence = "answers again"
)

// right is the policy for the server.
func (s server) right() v1alpha1.LostReplyPolicy {
	if s.again == tolerant {
		return v1alpha1.LostReplyRetry
	}
	return v1alpha1.LostReplyAuto
}

// wrong is a policy that somebody could choose who does not know the server.
func (s server) wrong() v1alpha1.LostReplyPolicy {
	if s.again == tolerant {
		return v1alpha1.LostReplyReauthenticate
	}
	return v1alpha1.LostReplyRetry
}

// servers are all there are, in the order of the table.
var servers = []server{
	{
		name: "go-oauth2", about: "reads the parameters from the query too, as Fluent's older documentation shows it; the old access token dies at the refresh",
		make: goProgram("go-oauth2"), provider: oauth2("/token", "", "parameterStyle", "Query"), tokenPath: "/token", again: refuses,
		trustsTokens: true,
	},
	{
		name: "fosite", about: "the library of Ory Hydra: reuse revokes the family",
		make: goProgram("fosite"), provider: oauth2("/token", "/revoke", "clientAuthentication", "Basic"),
		tokenPath: "/token", revocationPath: "/revoke", basic: true, again: revokes,
	},
	{
		name: "oidc-provider", about: "the strictest: reuse revokes the grant; an access token outlives the refresh",
		make: nodeProgram("oidc-provider"), provider: oauth2("/token", "/token/revocation", "clientAuthentication", "Basic"),
		tokenPath: "/token", revocationPath: "/token/revocation", basic: true, again: revokes,
	},
	{
		name: "node-oauth2-server", about: "revokes the old token before it saves the new one; a wrong client gets 400",
		make: nodeProgram("node-oauth2-server"), provider: oauth2("/token", ""), tokenPath: "/token", again: refuses,
	},
	{
		name: "doorkeeper-on-use", about: "Commerce Layer's profile (JSON, `created_at`, `/oauth/revoke`); the old refresh token lives until the new access token is used",
		make: rubyProgram("doorkeeper"), mode: "on-use", provider: commerceLayer,
		tokenPath: "/oauth/token", revocationPath: "/oauth/revoke", again: tolerant,
	},
	{
		name: "doorkeeper-at-once", about: "the same without the column `previous_refresh_token`: both old tokens die at the refresh",
		make: rubyProgram("doorkeeper"), mode: "at-once", provider: commerceLayer,
		tokenPath: "/oauth/token", revocationPath: "/oauth/revoke", again: refuses,
	},
	{
		name: "django-oauth-toolkit", about: "rotation with a grace window: the same successor is given once more",
		make: pythonProgram("django-oauth-toolkit"), provider: oauth2("/o/token/", "/o/revoke_token/"),
		tokenPath: "/o/token/", revocationPath: "/o/revoke_token/", codeClient: "-code", again: tolerant,
	},
}

// oauth2 is spec.provider.oauth2 with further fields, as name and value in turns.
func oauth2(tokenPath, revocationPath string, fields ...string) func(string) map[string]any {
	return func(url string) map[string]any {
		spec := map[string]any{"tokenURL": url + tokenPath}
		if revocationPath != "" {
			spec["revocationURL"] = url + revocationPath
		}
		for i := 0; i < len(fields); i += 2 {
			spec[fields[i]] = fields[i+1]
		}
		return map[string]any{"oauth2": spec}
	}
}

func commerceLayer(url string) map[string]any {
	return map[string]any{"commerceLayer": map[string]any{"baseURL": url}}
}
