package provider

import (
	"testing"
	"time"

	"github.com/fluent-credential/operator/internal/token"
)

// nordeaLogin has the placeholder of the examples in the API's announcement of refresh tokens, which calls a refresh token {CODE} too.
var nordeaLogin = token.Login{
	ClientID: "your-client-id", ClientSecret: token.NewSecret("your-client-secret"), Code: token.NewSecret("{CODE}"),
	Refresh: token.NewSecret("{CODE}"), RedirectURI: "https://httpbin.org/get",
}

func TestNordeaRequests(t *testing.T) {
	redirect, decoupled := must(NewNordea(Nordea{})), must(NewNordea(Nordea{Decoupled: true}))
	later := must(NewNordea(Nordea{Path: "/personal/v5/authorize/token"}))
	ready := nordeaLogin
	ready.RedirectURI = ""
	testRequests(t, map[string]requestCase{
		"code-alone":        {redirect, token.AuthorizationCode, ready, "the announcement's example of the form has no redirect_uri, and an empty one would not be the same as none"},
		"code-redirect":     {redirect, token.AuthorizationCode, nordeaLogin, "the redirect flow takes a form, and redirect_uri with the code"},
		"refresh-redirect":  {redirect, token.RefreshToken, nordeaLogin, "a refresh has no redirect_uri"},
		"code-decoupled":    {decoupled, token.AuthorizationCode, ready, "the decoupled flow takes JSON"},
		"refresh-decoupled": {decoupled, token.RefreshToken, nordeaLogin, "the decoupled flow takes JSON"},
		"refresh-later":     {later, token.RefreshToken, nordeaLogin, "later versions of the API move the path"},
	})
}

func TestNordeaRequestRefuses(t *testing.T) {
	for _, grant := range []token.Grant{token.Password, token.ClientCredentials} {
		if _, err := must(NewNordea(Nordea{})).Request(grant, nordeaLogin); err == nil {
			t.Errorf("a request is built for the grant %s, which the API has not", grant)
		}
	}
}

func TestNordeaReplies(t *testing.T) {
	granted := meaning{
		Verdict: token.Granted, Access: "eyJjdHkiOiJKV1QifQ.access", Refresh: "eyJjdHkiOiJKV1QifQ.refresh", Type: "BEARER",
		Life: 5 * time.Minute,
	}
	const credentials = "Invalid client id or secret."
	testReplies(t, must(NewNordea(Nordea{})), map[string]replyCase{
		"granted":               {"granted", token.RefreshToken, granted, "this is the documented reply"},
		"granted for a code":    {"granted", token.AuthorizationCode, granted, "this is the documented reply"},
		"granted, in envelope":  {"granted-wrapped", token.RefreshToken, granted, "the envelope adds nothing, and its fields are not the token's"},
		"envelope without":      {"wrapped-without-token", token.RefreshToken, refusal(token.Unknown, 200, InvalidReply, "the reply has no access_token; its members are expires_in, token_type"), "the token may be spent"},
		"200 with an error":     {"wrapped-error-200", token.RefreshToken, refusal(token.RefusedDead, 200, "error.token.expired", "The token has expired"), "an error is an error, whatever the status"},
		"expired":               {"token-expired", token.RefreshToken, refusal(token.RefusedDead, 401, "error.token.expired", "The token has expired"), "the refresh token will never work again"},
		"code expired":          {"token-expired", token.AuthorizationCode, refusal(token.RefusedDead, 401, "error.token.expired", "The token has expired"), "the code will never work again"},
		"expired, later style":  {"token-expired-snake", token.RefreshToken, refusal(token.RefusedDead, 400, "error.token.expired", "The token has expired"), "later versions write http_code; the failure is the same"},
		"invalid":               {"token-invalid", token.RefreshToken, refusal(token.RefusedDead, 400, "error.token.invalid", "The token is not valid (refresh_token)"), "the refresh token will never work again"},
		"not found in request":  {"token-missing", token.RefreshToken, refusal(token.Declined, 400, "error.token.missing", "No token was found (refresh_token)"), "the wrong flow is configured, and nothing is said of the token"},
		"request not valid":     {"validation", token.RefreshToken, refusal(token.Declined, 400, "error.validation", "must not be null (grant_type)"), "nothing is said of the token"},
		"denied":                {"denied", token.RefreshToken, refusal(token.RefusedIntact, 403, "error.resource.denied", "Access denied"), "an unknown code follows the status"},
		"client id missing":     {"api-key-missing", token.RefreshToken, refusal(token.RefusedIntact, 401, "error.apikey.missing", "The client id is missing"), "the client was refused, not the token"},
		"no failures listed":    {"no-failures", token.RefreshToken, refusal(token.Declined, 400, "", ""), "an empty list says nothing, so the status decides"},
		"server error":          {"server-error", token.RefreshToken, refusal(token.Unknown, 500, "error.server", "Something went wrong"), "the token may be spent"},
		"expired, says a 500":   {"expired-500", token.RefreshToken, refusal(token.Unknown, 500, "error.token.expired", "The token has expired"), "a server that fails is not believed about the token"},
		"gateway refuses":       {"gateway-json", token.RefreshToken, refusal(token.RefusedIntact, 401, "Unauthorized", credentials), "the client was refused before the API"},
		"gateway refuses, XML":  {"gateway-xml", token.RefreshToken, refusal(token.RefusedIntact, 401, "", "401 Unauthorized Invalid client id or secret."), "a 401 is about the client in any language"},
		"gateway counts":        {"too-many-requests", token.RefreshToken, waiting(refusal(token.TryLater, 429, "Too Many Requests", "Rate Limit exceeded"), time.Minute), "nothing was spent"},
		"error of the standard": {"standard-error", token.RefreshToken, refusal(token.RefusedDead, 400, "invalid_grant", "Refresh token is not valid"), "later versions may speak RFC 6749"},
	})
}
