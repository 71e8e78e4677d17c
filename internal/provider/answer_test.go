package provider

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/fluent-credential/operator/internal/token"
)

var (
	grants = []token.Grant{token.Password, token.RefreshToken, token.AuthorizationCode, token.ClientCredentials}
	spends = map[token.Grant]bool{token.RefreshToken: true, token.AuthorizationCode: true}
)

// unless is a verdict with an exception.
func unless(grant token.Grant, exception, otherwise token.Verdict) func(token.Grant) token.Verdict {
	return func(of token.Grant) token.Verdict {
		if of == grant {
			return exception
		}
		return otherwise
	}
}

func always(verdict token.Verdict) func(token.Grant) token.Verdict {
	return func(token.Grant) token.Verdict { return verdict }
}

// The verdicts on a reply without a body, which every API shares.
func TestVerdictOfStatus(t *testing.T) {
	inDoubt := unless(token.ClientCredentials, token.RefusedIntact, token.Declined)
	cases := map[string]struct {
		statuses []int
		want     func(token.Grant) token.Verdict
		why      string
	}{
		"no final reply":    {[]int{0, 100, 101, 103, 199, 600, 999}, always(token.Unknown), "nothing is known of the request"},
		"success":           {[]int{200, 201, 202, 204, 206, 299}, always(token.Unknown), "the server was content, and the token is not here"},
		"done, or moved":    {[]int{300, 301, 302, 303, 304, 305, 306}, always(token.Unknown), "servers answer so what they have carried out, 303 by its very meaning"},
		"ask elsewhere":     {[]int{307, 308}, always(token.RefusedIntact), "the same request is to be made elsewhere, so it was not carried out here"},
		"refused":           {[]int{400, 402, 406, 409, 410, 422, 451}, inDoubt, "why is not said, so whether the token lives is open"},
		"not read":          {[]int{411, 413, 414, 415, 417, 426, 431}, always(token.RefusedIntact), "the form was refused before the token was looked at"},
		"about credentials": {[]int{401}, unless(token.Password, token.Declined, token.RefusedIntact), "the client was refused, or the password, which must not be sent again then"},
		"before the API":    {[]int{403, 404, 405, 407}, always(token.TryLater), "the API itself would have said why"},
		"not looked at":     {[]int{421, 425, 429}, always(token.TryLater), "the status itself says that nothing was done"},
		"too slow":          {[]int{408}, always(token.Unknown), "proxies say it of the server behind them too"},
		"failed":            {[]int{500, 501, 502, 503, 504, 505, 520, 524, 599}, always(token.Unknown), "it may have failed after the token was spent"},
	}
	for name, c := range cases {
		for _, status := range c.statuses {
			for _, grant := range grants {
				for _, api := range apis() {
					if got := api.Read(grant, Reply{Status: status}).Verdict; got != c.want(grant) {
						t.Errorf("%s: %d to %s of %s is %s, not %s, but %s", name, status, grant, api.Name(), got, c.want(grant), c.why)
					}
				}
			}
		}
	}
}

func apis() []API {
	return []API{
		must(NewFluent(Fluent{Account: "ACME"})), must(NewCommerceLayer(CommerceLayer{})), must(NewNordea(Nordea{})),
		must(NewOAuth2(OAuth2{TokenURL: "https://server.example.com/token"})),
	}
}

// The verdicts on the error codes of RFC 6749 section 5.2, with every status that a server may send them with.
func TestVerdictOfCode(t *testing.T) {
	intact := func(token.Grant) token.Verdict { return token.RefusedIntact }
	either := func(spending, other token.Verdict) func(token.Grant) token.Verdict {
		return func(grant token.Grant) token.Verdict {
			if spends[grant] {
				return spending
			}
			return other
		}
	}
	cases := map[string]struct {
		want func(token.Grant) token.Verdict
		why  string
	}{
		"invalid_client":         {intact, "the client was refused"},
		"unauthorized_client":    {intact, "the client was refused"},
		"invalid_scope":          {intact, "the scope was refused"},
		"unsupported_grant_type": {intact, "the grant was refused"},
		"access_denied":          {unless(token.Password, token.Declined, token.RefusedIntact), "the client was refused, or the user"},
		"invalid_request":        {either(token.Unknown, token.RefusedIntact), "dex and fosite answer reuse like that"},
		"invalid_token":          {either(token.RefusedDead, token.RefusedIntact), "legacy Spring says it of a refresh token that has expired"},
		"invalid_grant": {func(grant token.Grant) token.Verdict {
			if grant == token.Password {
				return token.LoginRefused
			}
			return either(token.RefusedDead, token.RefusedIntact)(grant)
		}, "it is about what was presented"},
	}
	for code, c := range cases {
		for _, status := range []int{400, 401, 403, 404, 422} {
			for _, grant := range grants {
				reply := Reply{Status: status, Body: fmt.Appendf(nil, `{"error":%q}`, code)}
				if got, want := oauth2(Form, ClientBody).Read(grant, reply).Verdict, c.want(grant); got != want {
					t.Errorf("%d %s to %s is %s, not %s, but %s", status, code, grant, got, want, c.why)
				}
			}
		}
	}
}

// A code that nobody knows says no more than the status it comes with.
func TestVerdictOfAnUnknownCode(t *testing.T) {
	inDoubt := unless(token.ClientCredentials, token.RefusedIntact, token.Declined)
	refused := unless(token.Password, token.Declined, token.RefusedIntact)
	cases := map[int]struct {
		want func(token.Grant) token.Verdict
		why  string
	}{
		400: {inDoubt, "the token may be dead, or the request wrong"},
		401: {refused, "the client was refused; or the password, and then it must not be sent again"},
		403: {refused, "the API refused, and says so itself"},
		404: {refused, "the API refused, and says so itself"},
		409: {inDoubt, "somebody else may be spending the token"},
		415: {always(token.RefusedIntact), "the token was not looked at"},
		422: {inDoubt, "the token may be dead, or the request wrong"},
	}
	for status, c := range cases {
		for _, grant := range grants {
			reply := Reply{Status: status, Body: []byte(`{"error":"surprise"}`)}
			if got, want := oauth2(Form, ClientBody).Read(grant, reply).Verdict, c.want(grant); got != want {
				t.Errorf("%d surprise to %s is %s, not %s, but %s", status, grant, got, want, c.why)
			}
		}
	}
}

// A status that says what the server did with the request is believed before an error code.
func TestStatusBeforeCode(t *testing.T) {
	cases := map[string]struct {
		status     int
		retryAfter string
		want       token.Verdict
		why        string
	}{
		"rate limited":        {http.StatusTooManyRequests, "", token.TryLater, "the token was not looked at, whatever the code says"},
		"failed":              {http.StatusInternalServerError, "", token.Unknown, "a server that fails is not believed about the token"},
		"failed, with a time": {http.StatusInternalServerError, "5", token.Unknown, "only a 503 with a time is a refusal"},
		"unavailable":         {http.StatusServiceUnavailable, "", token.Unknown, "it names no time, so it may have worked on the request"},
		"unavailable for now": {http.StatusServiceUnavailable, "5", token.TryLater, "who names a time has refused"},
	}
	for name, c := range cases {
		for _, code := range []string{"invalid_grant", "invalid_request", "invalid_client", "invalid_token"} {
			reply := Reply{Status: c.status, Header: http.Header{}, Body: fmt.Appendf(nil, `{"error":%q}`, code)}
			reply.Header.Set("Retry-After", c.retryAfter)
			if got := oauth2(Form, ClientBody).Read(token.RefreshToken, reply).Verdict; got != c.want {
				t.Errorf("%s with %s is %s, not %s, but %s", name, code, got, c.want, c.why)
			}
		}
	}
}

func TestProblemOfOddErrors(t *testing.T) {
	cases := map[string]struct {
		body, code, description string
		why                     string
	}{
		"description missing":  {`{"error":"invalid_grant"}`, "invalid_grant", "", "it is optional"},
		"description a number": {`{"error":"invalid_grant","error_description":7}`, "invalid_grant", "7", "it is only told"},
		"description an object": {
			`{"error":"invalid_grant","error_description":{"en":"no"}}`, "invalid_grant", "", "it cannot be told in one line",
		},
		"error an object": {`{"error":{"code":190,"message":"no"}}`, "190", "no", "it is no error of the standard, and says all the same what is wrong"},
		"error a list":    {`{"error":["invalid_grant"]}`, "invalid_grant", "", "it is no error of the standard, and says all the same what is wrong"},
		"error null":      {`{"error":null}`, "", "", "null is missing"},
		"not an object":   {`"invalid_grant"`, "", "invalid_grant", "a string is words, and no code"},
	}
	for name, c := range cases {
		problem := oauth2(Form, ClientBody).Read(token.RefreshToken, Reply{Status: 400, Body: []byte(c.body)}).Problem
		if problem.Code != c.code || problem.Description != c.description {
			t.Errorf("%s: got %q, %q, want %q, %q, because %s", name, problem.Code, problem.Description, c.code, c.description, c.why)
		}
	}
}

func TestFluentOddErrors(t *testing.T) {
	cases := map[string]struct {
		body, code, description string
		why                     string
	}{
		"message null":       {`{"errors":[{"code":"400","message":null}]}`, "400", "", "there is still a code"},
		"code a number":      {`{"errors":[{"code":400,"message":"no"}]}`, "400", "no", "the documentation says string, and a number means the same"},
		"several":            {`{"errors":[{"code":"400","message":"one"},{"code":"401","message":"two"}]}`, "400", "one", "the first is told"},
		"null in the list":   {`{"errors":[null]}`, "", "", "there is nothing to tell"},
		"errors an object":   {`{"errors":{"code":"400"},"error":"invalid_scope"}`, "invalid_scope", "", "what is understood is told"},
		"errors null":        {`{"errors":null,"error":"invalid_scope"}`, "invalid_scope", "", "what is understood is told"},
		"object without any": {`{"errors":[{"code":"400","message":{}}]}`, "400", "", "an empty object says nothing, and there is still a code"},
	}
	for name, c := range cases {
		problem := must(NewFluent(Fluent{Account: "ACME"})).Read(token.ClientCredentials, Reply{Status: 422, Body: []byte(c.body)}).Problem
		if problem.Code != c.code || problem.Description != c.description {
			t.Errorf("%s: got %q, %q, want %q, %q, because %s", name, problem.Code, problem.Description, c.code, c.description, c.why)
		}
	}
}
