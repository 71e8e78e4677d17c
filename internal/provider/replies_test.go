package provider

import (
	"net/http"
	"strings"
	"testing"

	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/token"
)

// serverReply is a reply as servers give it, and what it means.
type serverReply struct {
	status            int
	kind              string // content type; empty is JSON
	body              string
	header            string // name: value
	grant             token.Grant
	verdict           token.Verdict
	cause             failure.Cause
	code, description string
	why               string
}

func (s serverReply) reply() Reply {
	header := http.Header{"Content-Type": {"application/json"}}
	if s.kind != "" {
		header.Set("Content-Type", s.kind)
	}
	if name, value, ok := strings.Cut(s.header, ": "); ok {
		header.Set(name, value)
	}
	return Reply{Status: s.status, Header: header, Body: []byte(s.body)}
}

const (
	page     = "an HTML page, not a reply of the API"
	firewall = "<!DOCTYPE html><html><head><title>Request Rejected</title></head><body>Support ID: 1234</body></html>"
	refresh  = token.RefreshToken
	client   = token.ClientCredentials
)

// repliesOfServers are named by the table of docs/providers.md.
func repliesOfServers() map[string]serverReply {
	passing, login := failure.Passing(), failure.WaitsFor(failure.CredentialsSecret)
	left := failure.WaitsForUnprobed(failure.CredentialsSecret)
	zoho := `{"error":"Access Denied","error_description":"You have made too many requests continuously. Please try again after some time.","status":"failure"}`
	many := "You have made too many requests continuously. Please try again after some time."
	github := `{"error":"bad_refresh_token","error_description":"The refresh token passed is incorrect or expired."}`
	google := `{"error":{"code":400,"message":"Project is suspended","status":"FAILED_PRECONDITION"}}`
	problem := `{"type":"about:blank","title":"Too Many Requests","status":400,"detail":"Rate limit of 10 per second exceeded."}`
	return map[string]serverReply{
		// «Later» in any dress.
		"temporarily unavailable, 400":        {400, "", `{"error":"temporarily_unavailable"}`, "", refresh, token.TryLater, passing, "temporarily_unavailable", "", "the API says that it has not handled the request"},
		"temporarily unavailable, to client":  {400, "", `{"error":"temporarily_unavailable"}`, "", client, token.TryLater, passing, "temporarily_unavailable", "", "nothing can be spent"},
		"server error, 400":                   {400, "", `{"error":"server_error"}`, "", client, token.TryLater, passing, "server_error", "", "some servers give every error a 400"},
		"firewall page, 400":                  {400, "text/html", firewall, "", refresh, token.Unknown, passing, "", page, "HTML is not the API's word"},
		"firewall page, to client":            {400, "text/html", firewall, "", client, token.Unknown, passing, "", page, "HTML is not the API's word"},
		"firewall page, to password":          {400, "text/html", firewall, "", token.Password, token.Unknown, passing, "", page, "who wrote it is not known, so the guard counts it"},
		"firewall page without a type":        {406, "text/plain", firewall, "", client, token.Unknown, passing, "", page, "the body is what counts"},
		"firewall page, 401":                  {401, "text/html", firewall, "", refresh, token.Unknown, passing, "", page, "the page is not the API's word"},
		"firewall page, 403":                  {403, "text/html", firewall, "", refresh, token.Unknown, passing, "", page, "a firewall that inspects replies says so too"},
		"nginx page, 413":                     {413, "text/html", "<html><head><title>413 Request Entity Too Large</title></head></html>", "", refresh, token.RefusedIntact, passing, "", page, "the token was not looked at, and a proxy's limit may change"},
		"too many requests, 400":              {400, "", zoho, "", refresh, token.TryLater, passing, "Access Denied", many, "Zoho limits token requests so"},
		"too many requests, to client":        {400, "", zoho, "", client, token.TryLater, passing, "Access Denied", many, "Zoho limits token requests so"},
		"too many requests, to password":      {400, "", zoho, "", token.Password, token.Unknown, passing, "Access Denied", many, "a locked user is told so too: the guard counts it"},
		"too many requests, 200":              {200, "", zoho, "", refresh, token.TryLater, passing, "Access Denied", many, "an error is an error, whatever the status"},
		"throttle limit":                      {400, "", `{"error":"Access Denied","error_description":"Token creation throttle limit reached."}`, "", client, token.TryLater, passing, "Access Denied", "Token creation throttle limit reached.", "Zoho has another text for it"},
		"code of a rate limit":                {400, "", `{"errorCode":"TooManyRequests","errorMessage":"Slow"}`, "", refresh, token.TryLater, passing, "TooManyRequests", "Slow", "a code is one code in every spelling"},
		"throttling of AWS":                   {400, "", `{"__type":"ThrottlingException","message":"Rate exceeded"}`, "", client, token.TryLater, passing, "ThrottlingException", "Rate exceeded", "AWS throttles with a 400"},
		"throttling of Entra":                 {400, "", `{"error":"invalid_request","error_description":"AADSTS90055: Tenant throttling error."}`, "", refresh, token.TryLater, passing, "invalid_request", "AADSTS90055: Tenant throttling error.", "the words say which kind of invalid_request it is"},
		"quota of a gateway":                  {403, "", `{"fault":{"faultstring":"Rate limit quota violation. Quota limit exceeded.","detail":{"errorcode":"policies.ratelimit.QuotaViolation"}}}`, "", client, token.TryLater, passing, "", "Rate limit quota violation. Quota limit exceeded.", "Apigee has no code where others have one"},
		"rate limit as a problem":             {400, "application/problem+json", problem, "", refresh, token.TryLater, passing, "", "Too Many Requests: Rate limit of 10 per second exceeded.", "RFC 9457 has title and detail"},
		"rate limit as a text":                {400, "text/plain", "rate limit exceeded", "", refresh, token.TryLater, passing, "", "rate limit exceeded", "a plain text is words too"},
		"rate limit as XML":                   {400, "text/xml", "<?xml version=\"1.0\"?><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error>", "", client, token.TryLater, passing, "", "Throttling Rate exceeded", "XML is words too"},
		"client refused by a rate limit":      {401, "", `{"error":"invalid_client","error_description":"Too many requests."}`, "", refresh, token.RefusedIntact, passing, "invalid_client", "Too many requests.", "the verdict is the code's, and the time that of the words"},
		"dead, and a rate limit":              {400, "", `{"error":"invalid_grant","error_description":"login rate exceeded"}`, "", refresh, token.RefusedDead, passing, "invalid_grant", "login rate exceeded", "a final code wins over words"},
		"password refused by a rate limit":    {400, "", `{"error":"invalid_grant","error_description":"login rate exceeded"}`, "", token.Password, token.LoginRefused, login, "invalid_grant", "login rate exceeded", "a final code wins over words, and the guard counts it"},
		"a time without a code":               {400, "", `{"error":"surprise"}`, "Retry-After: 30", refresh, token.TryLater, passing, "surprise", "", "who names a time has refused"},
		"retry your request":                  {400, "", `{"error":"unknown_error","error_description":"retry your request"}`, "", refresh, token.Unknown, passing, "unknown_error", "retry your request", "some servers ask for a retry of what they have spent"},
		"retry your request, to code":         {400, "", `{"error":"unknown_error","error_description":"retry your request"}`, "", token.AuthorizationCode, token.Unknown, passing, "unknown_error", "retry your request", "some servers ask for a retry of what they have spent"},
		"retry your request, to client":       {400, "", `{"error":"unknown_error","error_description":"retry your request"}`, "", client, token.TryLater, passing, "unknown_error", "retry your request", "nothing can be spent"},
		"retry your request, to password":     {400, "", `{"error":"unknown_error","error_description":"retry your request"}`, "", token.Password, token.Declined, login, "unknown_error", "retry your request", "a wrong password is answered like that too"},
		"retry after a new login":             {400, "", `{"error":"session","error_description":"Your session has expired. Log in and try again."}`, "", refresh, token.Declined, left, "session", "Your session has expired. Log in and try again.", "another request is meant, not this one"},
		"maintenance, 400":                    {400, "", `{"code":"MAINTENANCE","message":"The service is under maintenance"}`, "", client, token.TryLater, passing, "MAINTENANCE", "The service is under maintenance", "it passes"},
		"pending authorization":               {400, "", `{"error":"authorization_pending"}`, "", token.AuthorizationCode, token.TryLater, passing, "authorization_pending", "", "RFC 8628 asks for the same request again"},
		"proxy wants a login":                 {407, "text/plain", "", "", refresh, token.TryLater, passing, "", "no reply of the API", "a proxy said it, not the API"},
		"moved to a maintenance page":         {307, "text/html", firewall, "Location: https://status.example.com/", refresh, token.RefusedIntact, passing, Redirect, "redirects to status.example.com, which is not followed", "the same request is asked for elsewhere, so it was not carried out here"},
		"moved to a maintenance page, client": {308, "", "", "Location: https://status.example.com/", client, token.RefusedIntact, passing, Redirect, "redirects to status.example.com, which is not followed", "an endpoint that redirects today may answer tomorrow"},
		"login page":                          {302, "text/html", "", "Location: /login?error", refresh, token.Unknown, passing, Redirect, "redirects to another place, which is not followed", "302 also answers a request that was carried out"},
		"login page, to client":               {302, "text/html", "", "Location: /login", client, token.Unknown, passing, Redirect, "redirects to another place, which is not followed", "nothing can be spent"},
		"captive portal":                      {200, "text/html", "<html>Log in</html>", "", client, token.Unknown, passing, InvalidReply, page, "it passes"},
		"gateway without a route":             {404, "", `{"timestamp":"2026-01-05T10:00:00Z","status":404,"error":"Not Found","path":"/oauth/token"}`, "", refresh, token.TryLater, passing, "Not Found", "", "a code that repeats the status is no code: the service behind the gateway is not there"},

		// An error with a 2xx.
		"GitHub's refresh token, 200":     {200, "", github, "", refresh, token.RefusedDead, passing, "bad_refresh_token", "The refresh token passed is incorrect or expired.", "GitHub has no other status"},
		"GitHub's refresh token, to code": {200, "", github, "", token.AuthorizationCode, token.Declined, left, "bad_refresh_token", "The refresh token passed is incorrect or expired.", "none was presented"},
		"GitHub's code, 200":              {200, "", `{"error":"bad_verification_code","error_description":"The code passed is incorrect or expired."}`, "", token.AuthorizationCode, token.RefusedDead, passing, "bad_verification_code", "The code passed is incorrect or expired.", "GitHub has no other status"},
		"GitHub's client, 200":            {200, "", `{"error":"incorrect_client_credentials"}`, "", client, token.RefusedIntact, login, "incorrect_client_credentials", "", "the client was refused"},
		"GitHub's client, to refresh":     {200, "", `{"error":"incorrect_client_credentials"}`, "", refresh, token.RefusedIntact, login, "incorrect_client_credentials", "", "the refresh token was not looked at"},
		"GitHub's form, 200":              {200, "application/x-www-form-urlencoded", "error=bad_refresh_token&error_description=The+refresh+token+passed+is+incorrect+or+expired.", "", refresh, token.RefusedDead, passing, "bad_refresh_token", "The refresh token passed is incorrect or expired.", "GitHub answers so to who does not ask for JSON"},
		"Slack's client, 200":             {200, "", `{"ok":false,"error":"bad_client_secret"}`, "", refresh, token.RefusedIntact, login, "bad_client_secret", "", "the refresh token was not looked at"},
		"Slack's refresh token, 200":      {200, "", `{"ok":false,"error":"invalid_refresh_token"}`, "", refresh, token.RefusedDead, passing, "invalid_refresh_token", "", "the code names it"},
		"invalid_grant, 200":              {200, "", `{"error":"invalid_grant"}`, "", refresh, token.RefusedDead, passing, "invalid_grant", "", "an error is an error, whatever the status"},
		"invalid_grant to password, 200":  {200, "", `{"error":"invalid_grant"}`, "", token.Password, token.LoginRefused, login, "invalid_grant", "", "the guard must count it"},
		"own code, 200":                   {200, "", `{"error":"surprise"}`, "", refresh, token.Declined, left, "surprise", "", "as with a 400"},
		"error without a code, 200":       {200, "", `{"error":true,"message":"Nope"}`, "", refresh, token.Declined, left, "", "Nope", "it says that it is an error"},
		"error beside a broken token":     {200, "", `{"access_token":null,"refresh_token":{},"error":"invalid_client"}`, "", refresh, token.RefusedIntact, login, "invalid_client", "", "a member that is not understood must not hide an error"},
		"error beside a token":            {200, "", `{"access_token":"a","refresh_token":{},"error":"invalid_client"}`, "", refresh, token.Unknown, passing, InvalidReply, "refresh_token is not a string; it says: invalid_client", "a token was issued, so the presented one may be spent"},
		"error beside two tokens, 200":    {200, "", `{"access_token":"a","access_token":"b","error":"invalid_grant"}`, "", refresh, token.Unknown, passing, InvalidReply, "the reply has two different members access_token; it says: invalid_grant", "a token was issued, so the presented one may be spent"},
		"error beside two tokens, 400":    {400, "", `{"access_token":"a","access_token":"b","error":"invalid_client"}`, "", refresh, token.RefusedIntact, login, "invalid_client", "", "a member that is not understood must not hide an error"},
		"no error, and no token":          {200, "", `{"error":false,"message":"Accepted"}`, "", refresh, token.Unknown, passing, InvalidReply, "the reply has no access_token; its members are error, message; it says: Accepted", "it says itself that it is none"},
		"token in another member":         {200, "", `{"tokenData":{"access_token":"AT","token_type":"Bearer","expires_in":60000},"errors":[]}`, "", refresh, token.Unknown, passing, InvalidReply, "the reply has no access_token; its members are errors, tokenData", "the names say where to look"},
		"number for an error, 200":        {200, "", `{"errcode":40029,"errmsg":"invalid code"}`, "", token.AuthorizationCode, token.Declined, left, "40029", "invalid code", "WeChat refuses so, and a refusal that can be read is none that was lost"},

		// The words of any error.
		"Google's error":             {400, "", google, "", refresh, token.Declined, left, "FAILED_PRECONDITION", "Project is suspended", "the code is the word, not the number"},
		"Google's error, to client":  {400, "", google, "", client, token.RefusedIntact, login, "FAILED_PRECONDITION", "Project is suspended", "nothing was presented"},
		"Google's quota":             {400, "", `{"error":{"code":8,"status":"RESOURCE_EXHAUSTED"}}`, "", client, token.TryLater, passing, "RESOURCE_EXHAUSTED", "", "the code is the word, not the number"},
		"HubSpot's client":           {400, "", `{"status":"BAD_CLIENT_ID","message":"missing or unknown client id"}`, "", refresh, token.RefusedIntact, login, "BAD_CLIENT_ID", "missing or unknown client id", "the refresh token was not looked at"},
		"HubSpot's refresh token":    {400, "", `{"status":"BAD_REFRESH_TOKEN","message":"missing or invalid refresh token"}`, "", refresh, token.RefusedDead, passing, "BAD_REFRESH_TOKEN", "missing or invalid refresh token", "the code names it"},
		"RFC 9457":                   {400, "application/problem+json", `{"type":"https://example.com/p/credit","title":"Out of credit","status":400,"detail":"Your balance is 30."}`, "", client, token.RefusedIntact, login, "", "Out of credit: Your balance is 30.", "it has no code"},
		"list of errors":             {400, "", `[{"errorCode":"INVALID_SESSION_ID","message":"Session invalid"}]`, "", refresh, token.Declined, left, "INVALID_SESSION_ID", "Session invalid", "Salesforce's shape"},
		"several errors":             {400, "", `{"errors":[{"code":"surprise","message":"one"},{"code":"invalid_grant","message":"two"},{"code":"invalid_scope","message":"three"}]}`, "", refresh, token.RefusedDead, passing, "invalid_grant", "two", "the most decisive counts"},
		"several texts":              {422, "", `{"errors":["The scope is missing","The client is unknown"]}`, "", refresh, token.Declined, left, "", "The scope is missing", "the first is told"},
		"code outside, words inside": {400, "", `{"code":"E42","details":{"message":"No such account"}}`, "", client, token.RefusedIntact, login, "E42", "No such account", "what an inner one does not say is taken from the outer"},
		"words in capitals":          {400, "", `{"Error":"invalid_scope","Message":"No"}`, "", refresh, token.RefusedIntact, failure.WaitsFor(failure.Spec), "invalid_scope", "No", "names of members are compared without case"},
		"words too deep":             {400, "", `{"a":{"b":{"error":"invalid_grant"}}}`, "", refresh, token.Declined, left, "", "", "two levels down it may be about something else"},
	}
}

func TestRepliesOfServers(t *testing.T) {
	for name, row := range repliesOfServers() {
		t.Run(name, func(t *testing.T) {
			got := oauth2(Form, ClientBody).Read(row.grant, row.reply())
			if got.Verdict != row.verdict || got.Cause != row.cause {
				t.Errorf("it is %s, %+v; want %s, %+v, because %s", got.Verdict, got.Cause, row.verdict, row.cause, row.why)
			}
			if got.Problem.Code != row.code || got.Problem.Description != row.description || got.Problem.Status != row.status {
				t.Errorf("it says %+v; want %q, %q, because %s", got.Problem, row.code, row.description, row.why)
			}
		})
	}
}

// TestEveryAPISetsTheCause: what is common to all APIs is common in the cause too.
func TestEveryAPISetsTheCause(t *testing.T) {
	for name, row := range repliesOfServers() {
		for _, api := range apis() {
			got := api.Read(row.grant, row.reply())
			isOwn := api.Name() != "oauth2" && row.grant == token.Password // Fluent's 400 refuses a password
			if got.Cause != row.cause && !isOwn {
				t.Errorf("%s at %s is %s, %+v; want %+v", name, api.Name(), got.Verdict, got.Cause, row.cause)
			}
		}
	}
}

func TestReplyAsAForm(t *testing.T) {
	tests := map[string]struct{ kind, body, access, refresh, why string }{
		"form":            {"application/x-www-form-urlencoded", "access_token=a&refresh_token=r&expires_in=60", "a", "r", "GitHub answers so to who does not ask for JSON"},
		"form, charset":   {"application/x-www-form-urlencoded; charset=utf-8", "access_token=a", "a", "", "parameters of the type change nothing"},
		"form as a text":  {"text/plain", "access_token=a", "a", "", "some servers set no better type"},
		"JSON as a form":  {"application/x-www-form-urlencoded", `{"access_token":"a"}`, "a", "", "the body is what counts"},
		"two tokens":      {"application/x-www-form-urlencoded", "access_token=a&access_token=b", "", "", "one of them may be garbage"},
		"another text":    {"text/plain", "granted", "", "", "it is no reply"},
		"form as a page":  {"text/html", "access_token=a", "", "", "a page is no reply"},
		"semicolon":       {"application/x-www-form-urlencoded", "access_token=a;b=c", "", "", "it is no form, and half of a token is none"},
		"line in a token": {"application/x-www-form-urlencoded", "access_token=a%0d%0ab", "", "", "it would end the header it is used in"},
	}
	for name, test := range tests {
		reply := Reply{Status: 200, Header: http.Header{"Content-Type": {test.kind}}, Body: []byte(test.body)}
		got := oauth2(Form, ClientBody).Read(token.RefreshToken, reply)
		if got.Set.Access.Reveal() != test.access || got.Set.Refresh.Reveal() != test.refresh || (got.Verdict == token.Granted) != (test.access != "") {
			t.Errorf("%s: %s, %+v, but %s", name, got.Verdict, got.Problem, test.why)
		}
	}
}

// TestMembersAreNamedWithoutValues: what a reply without a token is shown as holds names only, and not many.
func TestMembersAreNamedWithoutValues(t *testing.T) {
	var many strings.Builder
	for _, letter := range "abcdefghijklmnop" {
		many.WriteString(`"` + string(letter) + `":1,`)
	}
	tests := map[string]struct{ body, want, why string }{
		"values":       {`{"token":"secret-1","data":{"refresh":"secret-2"}}`, "the reply has no access_token; its members are data, token", "a value may be a token"},
		"many":         {`{` + many.String() + `"q":1}`, "the reply has no access_token; its members are a, b, c, d, e, f, g, h, i, j, 7 more", "a condition is short"},
		"strange":      {`{"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.secret":1,"a\r\nb":1,"ok":1}`, "the reply has no access_token; its members are ok, 2 more", "a name may be a token, too"},
		"empty object": {`{}`, "the reply has no access_token; it has no members", "there is nothing to name"},
	}
	for name, test := range tests {
		got := oauth2(Form, ClientBody).Read(token.RefreshToken, ok(test.body)).Problem
		if got.Code != InvalidReply || got.Description != test.want {
			t.Errorf("%s: %q, want %q, because %s", name, got.Description, test.want, test.why)
		}
	}
}

func TestSpelling(t *testing.T) {
	for _, code := range []string{"invalid_grant", "INVALID_GRANT", "Invalid Grant", "invalid-grant", "invalidGrant", "InvalidGrant", " invalid_grant "} {
		if got := spelling(code); got != "invalid_grant" {
			t.Errorf("%q is spelled %q", code, got)
		}
	}
}

func TestWords(t *testing.T) {
	tests := map[string]wordClass{
		"Too many requests":                                         limitWords,
		"too many API calls":                                        limitWords,
		"Rate limit reached for this client":                        limitWords,
		"rate-limited":                                              noWords,
		"You have exceeded your hourly quota":                       limitWords,
		"Quota has been exhausted":                                  limitWords,
		"Request was throttled. Expected available in 37s":          limitWords,
		"Slow down":                                                 limitWords,
		"Please retry the request":                                  retryWords,
		"Try again later":                                           retryWords,
		"The service is temporarily unavailable":                    retryWords,
		"A transient error has occurred":                            retryWords,
		"The server is too busy":                                    retryWords,
		"Too many failed logins: the user is locked":                noWords,
		"Invalid password. Please try again":                        noWords,
		"The refresh token has expired, please re-authenticate":     noWords,
		"The token was already used, please try again with another": noWords,
		"retrying is useless":                                       noWords,
		"":                                                          noWords,
	}
	for text, want := range tests {
		if got := wordsIn(Problem{Description: text}, nil); got != want {
			t.Errorf("%q is of class %d, want %d", text, got, want)
		}
	}
}
