package provider

import (
	"testing"
	"time"

	"github.com/fluent-credential/operator/internal/token"
)

func TestCommerceLayerRequests(t *testing.T) {
	api := must(NewCommerceLayer(CommerceLayer{}))
	organization := must(NewCommerceLayer(CommerceLayer{BaseURL: "https://yourdomain.commercelayer.io"}))
	channel := token.Login{
		Username: "john@example.com", Password: token.NewSecret("secret"), ClientID: "your-client-id",
		Refresh: token.NewSecret("your-refresh-token"),
	}
	webapp := token.Login{
		ClientID: "your-client-id", ClientSecret: token.NewSecret("your-client-secret"), Refresh: token.NewSecret("your-refresh-token"),
		Code: token.NewSecret("your-authorization-code"), RedirectURI: "https://yourdomain.com/callback",
	}
	scoped := channel
	scoped.Scope = "market:1234"
	testRequests(t, map[string]requestCase{
		"refresh-sales-channel":            {organization, token.RefreshToken, channel, "a sales channel has no client secret, and this is the documented request"},
		"refresh-webapp":                   {organization, token.RefreshToken, webapp, "a webapp must send its secret, and this is the documented request"},
		"refresh-scoped":                   {api, token.RefreshToken, scoped, "the scope must be the one that was asked for first"},
		"password-sales-channel":           {api, token.Password, scoped, "a customer logs in with a password"},
		"code-webapp":                      {api, token.AuthorizationCode, webapp, "the redirect URI must be that of the authorization request"},
		"client-credentials-sales-channel": {api, token.ClientCredentials, token.Login{ClientID: "your-client-id", Scope: "market:1234"}, "a guest of a sales channel has nothing but its client, which has no secret"},
		"client-credentials":               {api, token.ClientCredentials, webapp, "an integration has nothing but its client"},
	})
}

func TestCommerceLayerRevocations(t *testing.T) {
	organization := must(NewCommerceLayer(CommerceLayer{BaseURL: "https://yourdomain.commercelayer.io"}))
	channel := token.Login{ClientID: "your-client-id", Refresh: token.NewSecret("your-refresh-token")}
	webapp := channel
	webapp.ClientSecret, webapp.Scope = token.NewSecret("your-client-secret"), "market:1234"
	testRevocations(t, map[string]revocationCase{
		"revoke-sales-channel": {organization, channel, "this is the documented request"},
		"revoke-webapp":        {organization, webapp, "a client that has a secret authenticates with it, and a revocation has no scope"},
	})
}

func TestCommerceLayerReplies(t *testing.T) {
	documented := meaning{
		Verdict: token.Granted, Access: "your-access-token", Refresh: "your-new-refresh-token", Type: "bearer", Scope: "market:1234",
		Life: 2 * time.Hour, Identity: token.Identity{OwnerID: "zxcVBnMASd", OwnerType: "customer"},
		Extra: map[string]string{"created_at": "123456789", "owner_id": "zxcVBnMASd", "owner_type": "customer"},
	}
	testReplies(t, must(NewCommerceLayer(CommerceLayer{})), map[string]replyCase{
		"granted":               {"granted", token.RefreshToken, documented, "this is the documented reply"},
		"granted to a customer": {"granted", token.Password, documented, "a login is answered as a refresh is"},
		"granted to a webapp":   {"granted", token.AuthorizationCode, documented, "a code is answered as a refresh is"},
		"granted to an integration": {"granted-integration", token.ClientCredentials, meaning{
			Verdict: token.Granted, Access: "your-access-token", Type: "bearer", Scope: "market:1234", Life: 2 * time.Hour,
			Extra: map[string]string{"created_at": "123456789"},
		}, "an integration gets no refresh token, which is no fault"},
		"refused":               {"invalid-grant", token.RefreshToken, refusal(token.RefusedDead, 400, "invalid_grant", "The refresh token was revoked or has expired."), "it will never work again"},
		"refused login":         {"invalid-grant", token.Password, refusal(token.LoginRefused, 400, "invalid_grant", "The refresh token was revoked or has expired."), "invalid_grant to a password is about the password"},
		"refused client":        {"invalid-client", token.RefreshToken, refusal(token.RefusedIntact, 401, "invalid_client", "The client is not known."), "the refresh token was not looked at"},
		"refused scope":         {"invalid-scope", token.RefreshToken, refusal(token.RefusedIntact, 400, "invalid_scope", "The scope is not the one that was granted."), "another scope mends it"},
		"thirty a minute":       {"too-many-requests", token.RefreshToken, waiting(refusal(token.TryLater, 429, "", "Too many requests"), 17*time.Second), "nothing was spent"},
		"answer to a revoke":    {"revoked", token.RefreshToken, refusal(token.Unknown, 200, InvalidReply, "the reply has no access_token; it has no members"), "a 200 without a token grants nothing"},
		"refused authorization": {"invalid-grant", token.AuthorizationCode, refusal(token.RefusedDead, 400, "invalid_grant", "The refresh token was revoked or has expired."), "a code works once too"},
	})
}
