package provider

import (
	"testing"
	"time"

	"github.com/fluent-credential/operator/internal/token"
)

// standardLogin is the login of the examples in RFC 6749.
var standardLogin = token.Login{
	Username: "johndoe", Password: token.NewSecret("A3ddj3w"), ClientID: "s6BhdRkqt3", ClientSecret: token.NewSecret("gX1fBat3bV"),
	Refresh: token.NewSecret("tGzv3JOkF0XG5Qx2TlKWIA"), Code: token.NewSecret("SplxlOBeZQQYbYS6WxSbIA"),
	RedirectURI: "https://client.example.com/cb",
}

func oauth2(style ParameterStyle, client ClientAuthentication) *OAuth2 {
	return must(NewOAuth2(OAuth2{TokenURL: "https://server.example.com/token", ParameterStyle: style, ClientAuthentication: client}))
}

func TestOAuth2Requests(t *testing.T) {
	reserved := standardLogin
	reserved.ClientID, reserved.ClientSecret = "client:1", token.NewSecret("a b+c/d%e:ü")
	inBody, scoped := standardLogin, standardLogin
	inBody.ClientSecret = token.NewSecret("7Fjfp0ZBr1KtDRbnfVdmIw")
	scoped.Scope = "orders:read orders:write"
	own := must(NewOAuth2(OAuth2{TokenURL: "https://server.example.com/token?api-version=2&tenant=a%26b", ParameterStyle: Query}))
	header := must(NewOAuth2(OAuth2{TokenURL: "https://server.example.com:8443/token", ClientAuthentication: ClientBasic, Options: Options{
		Headers: map[string]string{"accept": "*/*", "content-type": "text/plain", "authorization": "none", "X-Tenant": "a"},
	}}))
	testRequests(t, map[string]requestCase{
		"password-basic":           {oauth2(Form, ClientBasic), token.Password, standardLogin, "this is the example of section 4.3.2"},
		"code-basic":               {oauth2(Form, ClientBasic), token.AuthorizationCode, standardLogin, "this is the example of section 4.1.3"},
		"refresh-basic":            {oauth2(Form, ClientBasic), token.RefreshToken, standardLogin, "this is the example of section 6"},
		"client-credentials-basic": {oauth2(Form, ClientBasic), token.ClientCredentials, standardLogin, "this is the example of section 4.4.2"},
		"refresh-body":             {oauth2("", ""), token.RefreshToken, inBody, "this is the example of section 2.3.1, and the default"},
		"refresh-none":             {oauth2(Form, ClientNone), token.RefreshToken, standardLogin, "a public client must not send a secret, but must name itself (section 3.2.1)"},
		"refresh-json":             {oauth2(JSON, ClientBody), token.RefreshToken, scoped, "some servers take JSON only"},
		"refresh-json-basic":       {oauth2(JSON, ClientBasic), token.RefreshToken, standardLogin, "the client may authenticate apart from the parameters"},
		"refresh-query":            {oauth2(Query, ClientBody), token.RefreshToken, scoped, "some servers take the URL only"},
		"refresh-own-query":        {own, token.RefreshToken, standardLogin, "the endpoint's own query must be retained (section 3.2)"},
		"basic-reserved":           {oauth2(Form, ClientBasic), token.RefreshToken, reserved, "id and secret are form-encoded before base64 (section 2.3.1), or a colon would split them"},
		"headers":                  {header, token.RefreshToken, standardLogin, "a header may come in any case, and must not undo what the API needs"},
	})
}

func TestOAuth2Revocations(t *testing.T) {
	revoking := func(style ParameterStyle, client ClientAuthentication) *OAuth2 {
		return must(NewOAuth2(OAuth2{
			TokenURL: "https://server.example.com/token", RevocationURL: "https://SERVER.example.com/revoke",
			ParameterStyle: style, ClientAuthentication: client,
		}))
	}
	revoked := standardLogin
	revoked.Refresh = token.NewSecret("45ghiukldjahdnhzdauz")
	testRevocations(t, map[string]revocationCase{
		"revoke-basic": {revoking(Form, ClientBasic), revoked, "this is the example of RFC 7009 section 2.1"},
		"revoke-query": {revoking(Query, ClientBody), standardLogin, "a token to be revoked never goes into the URL (RFC 7009 section 2.1)"},
		"revoke-json":  {revoking(JSON, ClientBody), standardLogin, "who takes JSON only takes it here, too"},
		"revoke-none":  {revoking(Form, ClientNone), standardLogin, "a public client names itself"},
	})
	for _, api := range []API{oauth2(Form, ClientBody), must(NewFluent(Fluent{Account: "acme"})), must(NewNordea(Nordea{}))} {
		if _, can := api.Revocation(standardLogin); can {
			t.Errorf("%s documents no revocation", api.Name())
		}
	}
}

func TestNewOAuth2Refuses(t *testing.T) {
	cases := map[string]struct {
		config OAuth2
		want   string
		why    string
	}{
		"relative":       {OAuth2{TokenURL: "/oauth/token"}, "provider.oauth2.tokenURL: the URL names no host", "there is nobody to ask"},
		"unparsable":     {OAuth2{TokenURL: "https://host/%zz?key=hidden"}, "provider.oauth2.tokenURL: the URL cannot be parsed", "the parser's own error repeats the URL"},
		"fragment":       {OAuth2{TokenURL: "https://host/token#part"}, "provider.oauth2.tokenURL: the URL has a fragment", "RFC 6749 section 3.2 forbids it"},
		"revocation":     {OAuth2{TokenURL: "https://host/token", RevocationURL: "https://host:8443/revoke"}, "provider.oauth2.revocationURL: it is on another host than tokenURL", "the refresh token goes to nobody else than who gave it"},
		"in the clear":   {OAuth2{TokenURL: "https://host/token", RevocationURL: "http://host/revoke"}, "provider.oauth2.revocationURL: it is on another host than tokenURL", "the refresh token is not sent in the clear where the token endpoint is not"},
		"no revocation":  {OAuth2{TokenURL: "https://host/token", RevocationURL: "revoke"}, "provider.oauth2.revocationURL: the URL names no host", "there is nobody to ask"},
		"style":          {OAuth2{TokenURL: "https://host/token", ParameterStyle: "XML"}, `provider.oauth2.parameterStyle: "XML" is not known`, "a later version of the API may have more"},
		"authentication": {OAuth2{TokenURL: "https://host/token", ClientAuthentication: "MTLS"}, `provider.oauth2.clientAuthentication: "MTLS" is not known`, "a later version of the API may have more"},
	}
	for name, c := range cases {
		if _, err := NewOAuth2(c.config); err == nil || err.Error() != c.want {
			t.Errorf("%s: got error %v, want %s, because %s", name, err, c.want, c.why)
		}
	}
}

func TestOAuth2Replies(t *testing.T) {
	const again = "Several requests used the same token at once. Please retry the request."
	const claimed = "Refresh token is invalid or has already been claimed by another client."
	granted := meaning{
		Verdict: token.Granted, Access: "2YotnFZFEjr1zCsicMWpAA", Refresh: "tGzv3JOkF0XG5Qx2TlKWIA", Type: "example", Life: time.Hour,
		Extra: map[string]string{"example_parameter": "example_value"},
	}
	alone := granted
	alone.Refresh = ""
	elsewhere := "redirects to elsewhere.example, which is not followed"
	testReplies(t, oauth2(Form, ClientBody), map[string]replyCase{
		"granted":               {"granted", token.RefreshToken, granted, "this is the example of section 5.1"},
		"granted to a client":   {"granted-client", token.ClientCredentials, alone, "this is the example of section 4.4.3, which has no refresh token"},
		"created":               {"granted-created", token.RefreshToken, meaning{Verdict: token.Granted, Access: "2YotnFZFEjr1zCsicMWpAA", Type: "Bearer", LifeUnknown: true}, "any 2xx with an access token grants"},
		"no content":            {"no-content", token.RefreshToken, refusal(token.Unknown, 204, InvalidReply, "the reply is not a JSON object"), "the server was content, so the token may be spent"},
		"form":                  {"not-json", token.RefreshToken, meaning{Verdict: token.Granted, Access: "2YotnFZFEjr1zCsicMWpAA", Type: "bearer", LifeUnknown: true}, "some servers answer so although they are asked for JSON, and the token is there"},
		"refused":               {"invalid-grant", token.RefreshToken, refusal(token.RefusedDead, 400, "invalid_grant", ""), "it will never work again"},
		"code refused":          {"invalid-grant", token.AuthorizationCode, refusal(token.RefusedDead, 400, "invalid_grant", ""), "it will never work again"},
		"login refused":         {"invalid-grant", token.Password, refusal(token.LoginRefused, 400, "invalid_grant", ""), "the login guard must count it"},
		"client refused":        {"invalid-grant", token.ClientCredentials, refusal(token.RefusedIntact, 400, "invalid_grant", ""), "there is nothing that could be dead"},
		"invalid client":        {"invalid-client", token.RefreshToken, refusal(token.RefusedIntact, 401, "invalid_client", "Client authentication failed"), "the refresh token was not looked at"},
		"unauthorized client":   {"unauthorized-client", token.RefreshToken, refusal(token.RefusedIntact, 400, "unauthorized_client", ""), "the refresh token was not looked at"},
		"unsupported grant":     {"unsupported-grant-type", token.Password, refusal(token.RefusedIntact, 400, "unsupported_grant_type", ""), "the password was not looked at"},
		"invalid scope":         {"invalid-scope", token.RefreshToken, refusal(token.RefusedIntact, 400, "invalid_scope", ""), "another scope mends it"},
		"invalid request":       {"invalid-request", token.RefreshToken, refusal(token.Unknown, 400, "invalid_request", ""), "some servers answer reuse like that"},
		"invalid login request": {"invalid-request", token.Password, refusal(token.RefusedIntact, 400, "invalid_request", ""), "the password was not looked at"},
		"claimed":               {"claimed", token.RefreshToken, refusal(token.Unknown, 400, "invalid_request", claimed), "this is how dex answers reuse"},
		"please retry":          {"retry-please", token.RefreshToken, refusal(token.Unknown, 400, "invalid_request", again), "this is how fosite answers two at once"},
		"expired, by a 401":     {"expired-401", token.RefreshToken, refusal(token.RefusedDead, 401, "invalid_token", "Invalid refresh token (expired)"), "this is how legacy Spring answers a refresh token that has expired"},
		"401 to a password":     {"expired-401", token.Password, refusal(token.RefusedIntact, 401, "invalid_token", "Invalid refresh token (expired)"), "no token was presented"},
		"a code of its own":     {"own-code", token.RefreshToken, refusal(token.Declined, 400, "account_suspended", "The account is suspended"), "the server understood and declined, and says nothing of the token"},
		"401 without a word":    {"unauthorized-empty", token.Password, refusal(token.Declined, 401, "", "no reply of the API"), "the credentials may be wrong, so they are not sent again"},
		"404 of a router":       {"not-found-page", token.RefreshToken, refusal(token.TryLater, 404, "", "404 page not found"), "the API may be on its way up behind its router"},
		"misdirected":           {"misdirected", token.RefreshToken, refusal(token.TryLater, 421, "", "no reply of the API"), "the server says that it has not looked at it"},
		"unavailable":           {"temporarily-unavailable", token.RefreshToken, waiting(refusal(token.TryLater, 503, "temporarily_unavailable", ""), 30*time.Second), "who names a time has refused"},
		"unavailable until":     {"unavailable-until", token.RefreshToken, waiting(refusal(token.TryLater, 503, "temporarily_unavailable", ""), 90*time.Second), "the date counts from the reply's own, not from our clock"},
		"moved":                 {"moved", token.RefreshToken, refusal(token.RefusedIntact, 307, Redirect, elsewhere), "the other host must get nothing, and the message no query"},
	})
}
