package authsim_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fluent-credential/operator/hack/authsim"
)

const (
	badCredentials = `{"errors":[{"code":"400","message":{"error":"invalid_grant","error_description":"Bad credentials"}}]}`
	badClient      = `{"error":"invalid_client","error_description":"Bad client credentials"}`
	invalidRefresh = `{"error":"invalid_grant","error_description":"Invalid refresh token"}`
)

// refusals are the requests that the dialect says no to, and how.
var refusals = map[string]struct {
	why     string
	ask     url.Values
	status  int
	body    string
	outcome authsim.Outcome
}{
	"wrong password": {
		why: "the vendor wraps the OAuth error of a login in a list",
		ask: passwordOf("orders", "wrong"), status: 400, body: badCredentials, outcome: "invalid_grant",
	},
	"unknown user": {
		why: "nobody can find out user names",
		ask: passwordOf("nobody", "password-1"), status: 400, body: badCredentials, outcome: "invalid_grant",
	},
	"wrong client secret": {
		why: "bad client credentials have the plain OAuth shape",
		ask: passwordOf("orders", "password-1", "client_secret", "x"), status: 401, body: badClient, outcome: "invalid_client",
	},
	"unknown client": {
		why: "an unknown client is a bad client",
		ask: passwordOf("orders", "password-1", "client_id", "x"), status: 401, body: badClient, outcome: "invalid_client",
	},
	"no client": {
		why: "a client is judged before anything else is said",
		ask: passwordOf("orders", "wrong", "client_id", ""), status: 401, body: badClient, outcome: "invalid_client",
	},
	"unknown refresh token": {
		why: "unknown, used and expired refresh tokens are told apart nowhere",
		ask: refreshOf("never-issued"), status: 400, body: invalidRefresh, outcome: "invalid_grant",
	},
	"foreign scope": {
		why: "a client cannot ask for more than it has",
		ask: passwordOf("orders", "password-1", "scope", "api retailer"), status: 400,
		body: `{"error":"invalid_scope","error_description":"Invalid scope"}`, outcome: "invalid_scope",
	},
	"unsupported grant": {
		why: "the vendor documents two grants",
		ask: parameters("grant_type", "client_credentials"), status: 400,
		body: `{"error":"unsupported_grant_type","error_description":"Unsupported grant type"}`, outcome: "unsupported_grant_type",
	},
	"no grant": {
		why: "RFC 6749 section 5.2: a missing parameter is an invalid request",
		ask: parameters(), status: 400,
		body: `{"error":"invalid_request","error_description":"Missing parameter: grant_type"}`, outcome: "invalid_request",
	},
	"no user name": {
		why: "an incomplete login is no failed login",
		ask: passwordOf("", "password-1"), status: 400,
		body: `{"error":"invalid_request","error_description":"Missing parameter: username"}`, outcome: "invalid_request",
	},
	"no password": {
		why: "an empty password is none",
		ask: passwordOf("orders", ""), status: 400,
		body: `{"error":"invalid_request","error_description":"Missing parameter: password"}`, outcome: "invalid_request",
	},
	"no refresh token": {
		why: "an empty refresh token is none",
		ask: refreshOf(""), status: 400,
		body: `{"error":"invalid_request","error_description":"Missing parameter: refresh_token"}`, outcome: "invalid_request",
	},
	"repeated parameter": {
		why: "RFC 6749 section 3.2: parameters must not be given twice",
		ask: url.Values{"grant_type": {"password", "refresh_token"}}, status: 400,
		body: `{"error":"invalid_request","error_description":"Repeated parameter: grant_type"}`, outcome: "invalid_request",
	},
}

func TestRefusals(t *testing.T) {
	for name, test := range refusals {
		t.Run(name, func(t *testing.T) {
			tenant := newTenant(t, authsim.Config{})
			got := tenant.ask(test.ask)
			if got.status != test.status || got.body != test.body {
				t.Errorf("got %d %s, want %d %s: %s", got.status, got.body, test.status, test.body, test.why)
			}
			if outcome := tenant.last().Outcome; outcome != test.outcome {
				t.Errorf("the ledger says %s, want %s: %s", outcome, test.outcome, test.why)
			}
		})
	}
}

// grantedReplies are logins and what they are told beside the tokens.
var grantedReplies = map[string]struct {
	why  string
	ask  url.Values
	want map[string]any
}{
	"API client": {
		why: "exactly the documented fields; Roles is a list also when empty",
		ask: passwordOf("orders", "password-1"),
		want: map[string]any{
			"token_type": "bearer", "expires_in": 86400.0, "scope": "api",
			"Retailer_id": 1.0, "FirstName": "Fluent", "LastName": "Commerce", "Roles": []any{},
		},
	},
	"integration client": {
		why: "a client without a secret needs none, and may have a lifetime of its own",
		ask: passwordOf("stock", "password-2", "client_id", "FLUENT_INTEGRATION", "client_secret", "", "scope", "retailer"),
		want: map[string]any{
			"token_type": "bearer", "expires_in": 1800.0, "scope": "retailer",
			"Retailer_id": 5.0, "FirstName": "", "LastName": "", "Roles": []any{"RETAILER"},
		},
	},
	"no scope asked for": {
		why: "the client's scope is granted where none is named",
		ask: passwordOf("orders", "password-1", "scope", ""),
		want: map[string]any{
			"token_type": "bearer", "expires_in": 86400.0, "scope": "api",
			"Retailer_id": 1.0, "FirstName": "Fluent", "LastName": "Commerce", "Roles": []any{},
		},
	},
}

func TestGrantedReply(t *testing.T) {
	for name, test := range grantedReplies {
		t.Run(name, func(t *testing.T) {
			got := newTenant(t, authsim.Config{}).ask(test.ask)
			fields := map[string]any{}
			if err := json.Unmarshal([]byte(got.body), &fields); err != nil {
				t.Fatalf("%v in %s: %s", err, got.body, test.why)
			}
			for _, token := range []string{"access_token", "refresh_token"} {
				if len(text(fields[token])) < 40 {
					t.Errorf("%s is no long random value: %v", token, fields[token])
				}
				delete(fields, token)
			}
			if diff := cmp.Diff(test.want, fields); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.why, diff)
			}
			if got.header.Get("Cache-Control") != "no-store" || got.header.Get("Pragma") != "no-cache" {
				t.Errorf("replies with tokens must not be cached (RFC 6749 section 5.1), got %v", got.header)
			}
		})
	}
}

func TestWhereParametersComeFrom(t *testing.T) {
	whole := passwordOf("orders", "password-1").Encode()
	const form = "application/x-www-form-urlencoded"
	tests := map[string]struct {
		why                      string
		query, body, contentType string
		status                   int
		source                   authsim.Source
	}{
		"query":              {"the older documentation has all in the URL", whole, "", "", 200, authsim.SourceQuery},
		"form":               {"the newer one recommends the body", "", whole, form, 200, authsim.SourceForm},
		"both":               {"some here, some there", "scope=api", whole, form, 200, authsim.SourceBoth},
		"form wins":          {"the body is what is recommended", "password=wrong", whole, form, 200, authsim.SourceBoth},
		"query does not win": {"and not the URL", whole, "password=wrong", form, 400, authsim.SourceBoth},
		"JSON body":          {"the vendor documents no JSON requests", "", `{"grant_type":"password"}`, "application/json", 401, authsim.SourceNone},
		"nothing":            {"a request without parameters has no client", "", "", "", 401, authsim.SourceNone},
		"unreadable":         {"a parameter that cannot be read cannot be trusted", "grant_type=%zz", whole, form, 400, authsim.SourceForm},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tenant := newTenant(t, authsim.Config{})
			request := tenant.request(http.MethodPost, "/oauth/token?"+test.query, test.body)
			request.Header.Set("Content-Type", test.contentType)
			got, err := tenant.do(request)
			if err != nil {
				t.Fatal(err)
			}
			if got.status != test.status || tenant.last().Source != test.source {
				t.Errorf("got %d from %s, want %d from %s: %s",
					got.status, tenant.last().Source, test.status, test.source, test.why)
			}
		})
	}
}

func TestOtherMethodsAndPaths(t *testing.T) {
	tests := map[string]struct {
		why, method, path string
		status            int
		body              string
	}{
		"GET of the token endpoint": {
			"credentials are never fetched with a GET", http.MethodGet, "/oauth/token?" + passwordOf("orders", "password-1").Encode(),
			405, `{"error":"invalid_request","error_description":"Method not allowed"}`,
		},
		"unknown path": {
			"the vendor has no revocation endpoint", http.MethodPost, "/oauth/revoke",
			404, `{"error":"not_found","error_description":"Not found"}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := newTenant(t, authsim.Config{}).call(test.method, test.path, "")
			if got.status != test.status || got.body != test.body {
				t.Errorf("got %d %s, want %d %s: %s", got.status, got.body, test.status, test.body, test.why)
			}
			if allow := got.header.Get("Allow"); test.status == 405 && allow != "POST" {
				t.Errorf("Allow is %q, want POST", allow)
			}
		})
	}
}

func TestPing(t *testing.T) {
	tenant := newTenant(t, authsim.Config{})
	token := tenant.ask(passwordOf("orders", "password-1")).access()
	tests := map[string]struct {
		why, authorization string
		status             int
	}{
		"live token":        {"a live token opens the endpoint", "Bearer " + token, 200},
		"lower case":        {"the scheme has no case (RFC 7235 section 2.1)", "bearer " + token, 200},
		"unknown token":     {"a token of no one opens nothing", "Bearer x" + token, 401},
		"no token":          {"nothing is no token", "", 401},
		"other scheme":      {"a bearer token is not a basic credential", "Basic " + token, 401},
		"scheme without it": {"the scheme alone is no token", "Bearer", 401},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			request := tenant.request(http.MethodGet, "/api/ping", "")
			request.Header.Set("Authorization", test.authorization)
			got, err := tenant.do(request)
			if err != nil || got.status != test.status {
				t.Fatalf("got %d, %v, want %d: %s", got.status, err, test.status, test.why)
			}
			if ok := got.field("ok") == true; ok != (test.status == 200) {
				t.Errorf("ok is %t in %s", ok, got.body)
			}
			if challenge := got.header.Get("WWW-Authenticate"); strings.HasPrefix(challenge, "Bearer") == (test.status == 200) {
				t.Errorf("a refusal, and only one, has a challenge; got %q", challenge)
			}
		})
	}
}
