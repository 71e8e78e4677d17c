package provider

import (
	"strings"
	"testing"

	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/token"
)

// siblingReplies are kin of the replies that servers are known for.
func siblingReplies() map[string]serverReply {
	passing, login := failure.Passing(), failure.WaitsFor(failure.CredentialsSecret)
	left := failure.WaitsForUnprobed(failure.CredentialsSecret)
	xhtml := `<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN"><html></html>`
	slowDown := `<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>`
	warned := `{"data":{"access_token":"AT"},"errors":[{"code":"invalid_grant"}]}`
	warnedSays := "the reply has no access_token; its members are data, errors; it says: invalid_grant"
	google := `{"error":{"errors":[{"reason":"rateLimitExceeded"}],"code":403,"message":"Rate Limit Exceeded"}}`
	facebook := `{"error":{"message":"(#4) Application request limit reached","type":"OAuthException","code":4}}`
	fitbit := `{"errors":[{"errorType":"invalid_grant","message":"Refresh token invalid"}],"success":false}`
	tiktok := `{"data":{"description":"Refresh token expired","error_code":10010},"message":"error"}`
	tiktokSays := "the reply has no access_token; its members are data, message; it says: Refresh token expired"
	return map[string]serverReply{
		// A page is a page, however it begins.
		"page after a comment":   {400, "application/json", "<!-- proxy 7 -->\n<html></html>", "", client, token.Unknown, passing, "", page, "HTML is not the API's word"},
		"page of XHTML":          {400, "text/xml", xhtml, "", refresh, token.Unknown, passing, "", page, "HTML is not the API's word"},
		"page without html":      {403, "", "<head><title>Blocked</title></head>", "", client, token.TryLater, passing, "", page, "HTML is not the API's word"},
		"page after a mark":      {401, "text/plain", "\xef\xbb\xbf\r\n<HTML>", "", refresh, token.Unknown, passing, "", page, "HTML is not the API's word"},
		"page of a cut document": {400, "", "<!DOCTYPE  html", "", refresh, token.Unknown, passing, "", page, "HTML is not the API's word"},
		"XML of an element":      {400, "text/xml", "<header>No such client</header>", "", client, token.RefusedIntact, login, "", "No such client", "it is no page"},
		"a text that is JSON":    {400, "text/html", `{"error":"invalid_grant"}`, "", refresh, token.RefusedDead, passing, "invalid_grant", "", "the body is what counts"},

		// Later, in the dress of others.
		"a limit in a code of XML":   {400, "text/xml", slowDown, "", refresh, token.TryLater, passing, "", "SlowDown Reduce your rate.", "S3 writes it in one word"},
		"a limit in a JSON text":     {400, "", `"Too many requests"`, "", refresh, token.TryLater, passing, "", "Too many requests", "ASP.NET answers with a bare text"},
		"a limit of Google":          {403, "", google, "", refresh, token.TryLater, passing, "", "Rate Limit Exceeded", "the words say it"},
		"a limit of Facebook":        {400, "", facebook, "", client, token.TryLater, passing, "4", "(#4) Application request limit reached", "the words say it"},
		"a limit of Slack, 200":      {200, "", `{"ok":false,"error":"ratelimited"}`, "", refresh, token.TryLater, passing, "ratelimited", "", "an error is an error, whatever the status"},
		"a failure of Okta":          {400, "", `{"errorCode":"E0000009","errorSummary":"Internal Server Error"}`, "", client, token.TryLater, passing, "E0000009", "Internal Server Error", "the server has failed, whatever the status"},
		"a failure of Okta, refresh": {400, "", `{"errorCode":"E0000009","errorSummary":"Internal Server Error"}`, "", refresh, token.Unknown, passing, "E0000009", "Internal Server Error", "it may have failed after the token was spent"},
		"a proxy without upstream":   {400, "text/plain", "upstream connect error or disconnect/reset before headers", "", client, token.TryLater, passing, "", "upstream connect error or disconnect/reset before headers", "it passes"},
		"a block of Cloudflare":      {403, "text/plain", "error code: 1015", "", refresh, token.TryLater, passing, "", "error code: 1015", "it stands before the API"},
		"not modified":               {304, "", "", "", refresh, token.Unknown, passing, Redirect, "redirects, and does not say where to", "a cache may answer for the API"},
		"moved to nowhere":           {308, "", "", "", refresh, token.RefusedIntact, passing, Redirect, "redirects, and does not say where to", "the same request is asked for elsewhere"},

		// An error with a 2xx, by other members.
		"success: false":            {200, "", `{"success":false,"message":"refresh token expired"}`, "", refresh, token.Declined, left, "", "refresh token expired", "it says that it is an error"},
		"ok: false":                 {200, "", `{"ok":false,"error":"token_revoked"}`, "", refresh, token.Declined, left, "token_revoked", "", "it says that it is an error"},
		"success: true":             {200, "", `{"success":true,"message":"queued"}`, "", refresh, token.Unknown, passing, InvalidReply, "the reply has no access_token; its members are message, success; it says: queued", "it says itself that it is none"},
		"WeChat's refresh token":    {200, "", `{"errcode":40030,"errmsg":"invalid refresh_token"}`, "", refresh, token.Declined, left, "40030", "invalid refresh_token", "it says that it is an error"},
		"WeChat's zero":             {200, "", `{"errcode":0,"errmsg":"ok"}`, "", refresh, token.Unknown, passing, InvalidReply, "the reply has no access_token; its members are errcode, errmsg; it says: ok", "zero is none"},
		"a code that is known, 200": {200, "", `{"code":"invalid_grant","message":"gone"}`, "", refresh, token.RefusedDead, passing, "invalid_grant", "gone", "a code that means an error is one"},
		"HubSpot's, 200":            {200, "", `{"status":"BAD_REFRESH_TOKEN","message":"invalid"}`, "", refresh, token.RefusedDead, passing, "BAD_REFRESH_TOKEN", "invalid", "a code that means an error is one"},
		"an error one level in":     {200, "", `{"data":{"error":"invalid_grant"}}`, "", refresh, token.RefusedDead, passing, "invalid_grant", "", "as with a 400"},
		"Fitbit's":                  {200, "", fitbit, "", refresh, token.RefusedDead, passing, "invalid_grant", "Refresh token invalid", "Fitbit calls its codes types"},
		"Lark's number":             {200, "", `{"code":20037,"msg":"refresh token expired"}`, "", refresh, token.Unknown, passing, InvalidReply, "the reply has no access_token; its members are code, msg; it says: refresh token expired", "to others a number of this name is no error"},
		"TikTok's":                  {200, "", tiktok, "", refresh, token.Unknown, passing, InvalidReply, tiktokSays, "a number that is two levels down is no code that is known"},
		"a warning beside a token":  {200, "", warned, "", refresh, token.Unknown, passing, InvalidReply, warnedSays, "a token was issued, so the presented one may be spent"},
		"Withings":                  {200, "", `{"status":503,"body":{},"error":"Invalid Params"}`, "", refresh, token.Declined, left, "Invalid Params", "", "it says that it is an error"},

		// Words.
		"a JSON text":        {400, "", `"The client is disabled."`, "", client, token.RefusedIntact, login, "", "The client is disabled.", "ASP.NET answers with a bare text"},
		"a JSON text, 200":   {200, "", `"AT-7391"`, "", refresh, token.Unknown, passing, InvalidReply, "the reply is not a JSON object", "it may be a token"},
		"details":            {401, "", `{"error":"invalid_client","details":"Key 7 has expired"}`, "", refresh, token.RefusedIntact, login, "invalid_client", "Key 7 has expired", "words have many names"},
		"info":               {400, "", `{"error":{"code":"blocked","info":"Ask your admin"}}`, "", client, token.RefusedIntact, login, "blocked", "Ask your admin", "words have many names"},
		"Strava":             {400, "", `{"message":"Bad Request","errors":[{"resource":"RefreshToken","field":"refresh_token","code":"invalid"}]}`, "", refresh, token.Declined, left, "invalid", "Bad Request", "what it calls invalid is not presented again"},
		"a nest of brackets": {400, "", `{"error":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`, "", client, token.RefusedIntact, login, "", "", "no depth does harm"},
	}
}

func TestSiblingReplies(t *testing.T) {
	for name, row := range siblingReplies() {
		t.Run(name, func(t *testing.T) {
			got := oauth2(Form, ClientBody).Read(row.grant, row.reply())
			if got.Verdict != row.verdict || got.Cause != row.cause {
				t.Errorf("it is %s, %+v; want %s, %+v, because %s", got.Verdict, got.Cause, row.verdict, row.cause, row.why)
			}
			if got.Problem.Code != row.code || got.Problem.Description != row.description {
				t.Errorf("it says %+v; want %q, %q, because %s", got.Problem, row.code, row.description, row.why)
			}
		})
	}
}

// TestSiblingErrorsMeanTheSameWithAnyStatus: an error inside a 2xx has the verdict of the same error with a 400.
func TestSiblingErrorsMeanTheSameWithAnyStatus(t *testing.T) {
	for _, body := range []string{
		`{"success":false,"message":"expired"}`, `{"ok":false,"error":"token_revoked"}`, `{"errcode":40030,"errmsg":"invalid"}`,
		`{"code":"invalid_grant"}`, `{"status":"BAD_CLIENT_ID"}`, `{"data":{"error":"invalid_scope"}}`, `{"errors":["invalid_grant"]}`,
		`{"error_type":"invalid_client"}`, `{"errors":[{"errorType":"invalid_grant"}]}`, `[{"error":"invalid_client"}]`,
		`{"__type":"ThrottlingException"}`, `{"error":{"status":"UNAVAILABLE"}}`, `{"fault":{"faultstring":"Quota exceeded"}}`,
	} {
		for _, api := range apis() {
			for _, grant := range grants {
				with200 := api.Read(grant, serverReply{status: 200, body: body}.reply())
				with400 := api.Read(grant, serverReply{status: 400, body: body}.reply())
				if api.Name() != "fluent" && (with200.Verdict != with400.Verdict || with200.Cause != with400.Cause) {
					t.Errorf("%s to %s of %s is %s with a 200, and %s with a 400", body, grant, api.Name(), with200.Verdict, with400.Verdict)
				}
			}
		}
	}
}

// TestSiblingGrants: what a reply means is what is kept of it.
func TestSiblingGrants(t *testing.T) {
	tests := map[string]struct{ body, want, why string }{
		"blanks in a life":        {`{"access_token":"a","expires_in":" 60 "}`, "a||1m0s||Bearer", "a number is one with blanks around it"},
		"a blank refresh token":   {`{"access_token":"a","refresh_token":" "}`, "a||0s||Bearer", "it is none, so the old one is kept"},
		"an empty refresh token":  {`{"access_token":"a","refresh_token":""}`, "a||0s||Bearer", "it is none, so the old one is kept"},
		"scopes in a list":        {`{"access_token":"a","scope":["x","y"]}`, "a||0s|x y|Bearer", "Twitch writes one"},
		"a type that is a number": {`{"access_token":"a","token_type":7}`, "a||0s||Bearer", "no number begins a header"},
		"a type in wide letters":  {`{"access_token":"a","token_type":"\uff22earer"}`, "a||0s||Bearer", "it begins no header"},
		"two types":               {`{"access_token":"a","token_type":"Bearer,MAC"}`, "a||0s||Bearer", "the first is one"},
		"an error that is null":   {`{"access_token":"a","refresh_token":"r","error":null,"errors":[]}`, "a|r|0s||Bearer", "there is none"},
		"ok":                      {`{"ok":true,"access_token":"a","code":0}`, "a||0s||Bearer", "Slack and Lark say so"},
	}
	for name, test := range tests {
		set := oauth2(Form, ClientBody).Read(token.RefreshToken, ok(test.body)).Set
		got := strings.Join([]string{
			set.Access.Reveal(), set.Refresh.Reveal(), set.Life.String(), set.Scope, token.Scheme(set.Type),
		}, "|")
		if got != test.want {
			t.Errorf("%s: %q, want %q, because %s", name, got, test.want, test.why)
		}
	}
	if got := oauth2(Form, ClientBody).Read(token.RefreshToken, ok(`{"access_token":"  "}`)); got.Verdict != token.Unknown {
		t.Errorf("a blank access token is %s", got.Verdict)
	}
}

// TestSiblingCredentialsAreNotExtra: a credential is one in every spelling.
func TestSiblingCredentialsAreNotExtra(t *testing.T) {
	for name, shown := range map[string]bool{
		"x-api-key": false, "private-key": false, "session_key": false, "sessionKey": false, "access_key": false, "auth-code": false,
		"device-code": false, "bearer": false, "refresh": false, "otp": false, "access_key_id": true, "keyid": true, "session_state": true,
		"refresh_expires_in": true, "monkey": true, "country_code": true,
	} {
		extra := oauth2(Form, ClientBody).Read(token.RefreshToken, ok(`{"access_token":"a","`+name+`":"v"}`)).Set.Extra
		if _, found := extra[name]; found != shown {
			t.Errorf("%s reaches templates: %t", name, found)
		}
	}
}
