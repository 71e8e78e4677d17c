package provider

import (
	"testing"
	"time"

	"github.com/fluent-credential/operator/internal/token"
)

// fluentLogin is the login of the API's own documentation.
var fluentLogin = token.Login{
	Username: "fluent-api", Password: token.NewSecret("fluent-staging"), ClientID: "fluent-api",
	ClientSecret: token.NewSecret("ca5ce9a8-2f2e-4b4a-b8da-767f79fc81a9"),
	Refresh:      token.NewSecret("zVusnPsE3dPjXEi4b1p6DYHoL8E"), Scope: "api",
}

func TestFluentRequests(t *testing.T) {
	integration := token.Login{
		Username: "fluent-api", Password: token.NewSecret("fluent-staging"), ClientID: "FLUENT_INTEGRATION", Scope: "retailer",
	}
	form, query := must(NewFluent(Fluent{Account: "ACCOUNT"})), must(NewFluent(Fluent{Account: "ACCOUNT", InQuery: true}))
	testRequests(t, map[string]requestCase{
		"password":          {form, token.Password, fluentLogin, "a secret in the body stays out of access logs"},
		"password-query":    {query, token.Password, fluentLogin, "the first revision of the documentation shows parameters in the URL only"},
		"refresh":           {form, token.RefreshToken, fluentLogin, "a refresh needs the client, but neither user name nor password"},
		"refresh-query":     {query, token.RefreshToken, fluentLogin, "the first revision of the documentation shows parameters in the URL only"},
		"integration":       {form, token.Password, integration, "an empty client_secret would not be the same as none"},
		"integration-query": {query, token.Password, integration, "the first revision of the documentation shows parameters in the URL only"},
		"production":        {must(NewFluent(Fluent{Account: "Acme", Production: true})), token.RefreshToken, fluentLogin, "the host has no stage there"},
		"base-url":          {must(NewFluent(Fluent{Account: "ACME", BaseURL: "https://proxy.example/fluent/"})), token.RefreshToken, fluentLogin, "a proxy has a path of its own"},
		"account-header":    {must(NewFluent(Fluent{Account: "ACME", Options: Options{Headers: map[string]string{"fluent.account": "ACME"}}})), token.RefreshToken, fluentLogin, "a later revision shows this header"},
		"awkward-password":  {form, token.Password, awkward(fluentLogin), "what means something in a form must be escaped"},
	})
}

func awkward(login token.Login) token.Login {
	login.Password = token.NewSecret("p&q=r+s t%u;ü\"\\/?#")
	return login
}

func TestFluentReplies(t *testing.T) {
	commerce := token.Identity{RetailerID: "1", FirstName: "Fluent", LastName: "Commerce", Roles: []string{}}
	extra := map[string]string{"Retailer_id": "1", "FirstName": "Fluent", "LastName": "Commerce"}
	documented := meaning{
		Verdict: token.Granted, Access: "cf02e220-86ea-408d-9b80-fb55f517725b", Refresh: "xlUuQ5e-h9Y2pRw5G4Du4fAdRfk",
		Type: "bearer", Scope: "api", Life: 86386 * time.Second, Identity: commerce, Extra: extra,
	}
	lastSecond := documented
	lastSecond.Refresh, lastSecond.Life = "", time.Second
	testReplies(t, must(NewFluent(Fluent{Account: "ACME"})), map[string]replyCase{
		"granted by password": {"granted", token.Password, documented, "this is the documented reply"},
		"granted by refresh":  {"granted", token.RefreshToken, documented, "this is the documented reply"},
		"integration client": {"granted-integration", token.Password, meaning{
			Verdict: token.Granted, Access: "O1ogEE-LnvZIp_c3DCgKXfhiJII", Refresh: "fx25qnHPXER80FUx-Qo9ce02ITs", Type: "bearer",
			Scope: "retailer", Life: 1799 * time.Second,
			Identity: token.Identity{RetailerID: "5", Roles: []string{"RETAILER"}, FirstName: "Fluent", LastName: "Commerce"},
			Extra:    map[string]string{"Retailer_id": "5", "FirstName": "Fluent", "LastName": "Commerce"},
		}, "this is the documented reply"},
		"mandatory fields only": {"granted-mandatory-only", token.Password, meaning{
			Verdict: token.Granted, Access: "cf02e220-86ea-408d-9b80-fb55f517725b", Type: "bearer", LifeUnknown: true,
		}, "all other fields are optional"},
		"the same token again": {"granted-last-second", token.Password, lastSecond, "a password grant can return the old token with what is left of it"},

		"wrong password":            {"bad-credentials", token.Password, refusal(token.LoginRefused, 400, "invalid_grant", "Bad credentials"), "the login guard must count it"},
		"wrapped refusal":           {"bad-credentials", token.RefreshToken, refusal(token.RefusedDead, 400, "invalid_grant", "Bad credentials"), "the inner error counts, whatever it is wrapped in"},
		"wrong client":              {"bad-client", token.Password, refusal(token.RefusedIntact, 401, "invalid_client", "Bad client credentials"), "the client was refused, not the user"},
		"wrong client at refresh":   {"bad-client", token.RefreshToken, refusal(token.RefusedIntact, 401, "invalid_client", "Bad client credentials"), "the refresh token was not looked at"},
		"used or expired":           {"invalid-refresh-token", token.RefreshToken, refusal(token.RefusedDead, 400, "invalid_grant", "Invalid refresh token"), "this is the documented answer to both"},
		"locked":                    {"locked-sso", token.Password, refusal(token.LoginRefused, 500, "400", "User account is locked"), "a locked single-sign-on user gets HTTP 500, and trying again keeps it locked"},
		"locked, with an object":    {"locked-sso-object", token.Password, refusal(token.LoginRefused, 500, "invalid_grant", "Bad credentials"), "message is a string or an object"},
		"HTTP 500 at refresh":       {"locked-sso", token.RefreshToken, refusal(token.Unknown, 500, "400", "User account is locked"), "a refresh has no lock, and after a 500 the token may be spent"},
		"bare 400 at login":         {"bad-request-text", token.Password, refusal(token.LoginRefused, 400, "400", "The request cannot be served"), "if it is about the password, another try may lock the user"},
		"bare 400 at refresh":       {"bad-request-text", token.RefreshToken, refusal(token.Declined, 400, "400", "The request cannot be served"), "it may be about the refresh token"},
		"code 401":                  {"no-permission", token.Password, refusal(token.Declined, 401, "401", "No permission"), "it may be about the password"},
		"code 403":                  {"forbidden", token.RefreshToken, refusal(token.RefusedIntact, 403, "403", "Forbidden"), "the API itself says so, not the CDN before it"},
		"code 404":                  {"not-found", token.RefreshToken, refusal(token.RefusedIntact, 404, "404", "Not Found"), "the API itself says so, not the CDN before it"},
		"code 500":                  {"server-error", token.RefreshToken, refusal(token.Unknown, 500, "500", "Server Error"), "the token may be spent"},
		"code 500 at login":         {"server-error", token.Password, refusal(token.Unknown, 500, "500", "Server Error"), "it is no refusal of the login"},
		"no errors listed":          {"no-errors-listed", token.RefreshToken, refusal(token.RefusedIntact, 400, "invalid_scope", "Invalid scope"), "an empty list says nothing"},
		"CDN refuses":               {"cdn-403", token.RefreshToken, refusal(token.Unknown, 403, "", "an HTML page, not a reply of the API"), "a page is no word of the API, and may stand in the place of one"},
		"CDN without origin":        {"cdn-502", token.RefreshToken, refusal(token.Unknown, 502, "", "an HTML page, not a reply of the API"), "the API may have answered the CDN"},
		"CDN unavailable":           {"cdn-503", token.RefreshToken, refusal(token.Unknown, 503, "", "an HTML page, not a reply of the API"), "it names no time, so it may have asked the API"},
		"CDN gave up waiting":       {"cdn-504", token.RefreshToken, refusal(token.Unknown, 504, "", "an HTML page, not a reply of the API"), "the API may have spent the token since"},
		"maintenance with a time":   {"maintenance", token.RefreshToken, waiting(refusal(token.TryLater, 503, "", "an HTML page, not a reply of the API"), 2*time.Minute), "who names a time has refused"},
		"CDN refuses at login":      {"cdn-403", token.Password, refusal(token.TryLater, 403, "", "an HTML page, not a reply of the API"), "the API has not seen the password"},
		"client credentials, a 400": {"bad-request-text", token.ClientCredentials, refusal(token.RefusedIntact, 400, "400", "The request cannot be served"), "there is neither a user nor a refresh token to protect"},
	})
}

func refusal(verdict token.Verdict, status int, code, description string) meaning {
	return meaning{Verdict: verdict, Status: status, Code: code, Description: description}
}

func waiting(refused meaning, wait time.Duration) meaning {
	refused.RetryAfter = wait
	return refused
}
