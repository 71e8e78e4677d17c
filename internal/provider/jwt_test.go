package provider

import (
	"encoding/base64"
	"net/http"
	"testing"
	"time"

	"github.com/fluent-credential/operator/internal/token"
)

func jwtOf(claims string) string {
	return "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
}

// TestJWTLife: what an access token that is a JWT says of its own life.
func TestJWTLife(t *testing.T) {
	const date = "Mon, 05 Jan 2026 10:00:00 GMT" // 1767607200
	tests := map[string]struct {
		access, date string
		life, age    time.Duration
		why          string
	}{
		"exp and iat":        {jwtOf(`{"exp":1767607260,"iat":1767607200}`), date, time.Minute, 0, "this is the contract"},
		"older than a reply": {jwtOf(`{"exp":1767607260,"iat":1767606900}`), date, 6 * time.Minute, 5 * time.Minute, "a server may give a token that lives already"},
		"no Date":            {jwtOf(`{"exp":1767607260,"iat":1767607200}`), "", time.Minute, 0, "both claims are by one clock"},
		"no iat":             {jwtOf(`{"exp":1767607260}`), date, time.Minute, 0, "the reply's Date stands in for it"},
		"neither":            {jwtOf(`{"exp":1767607260}`), "", 0, 0, "our clock may be wrong by a day"},
		"no exp":             {jwtOf(`{"iat":1767607200}`), date, 0, 0, "nothing is said"},
		"expired":            {jwtOf(`{"exp":1767607100}`), date, 0, 0, "no server gives such a one, so its clocks differ"},
		"exp before iat":     {jwtOf(`{"exp":1,"iat":1767607200}`), date, 0, 0, "it makes no sense"},
		"iat in the future":  {jwtOf(`{"exp":1767607270,"iat":1767607210}`), date, time.Minute, 0, "two machines of the server differ"},
		"fractions":          {jwtOf(`{"exp":1767607260.9,"iat":1767607200.1}`), date, time.Minute, 0, "RFC 7519 allows them"},
		"as texts":           {jwtOf(`{"exp":"1767607260","iat":"1767607200"}`), date, time.Minute, 0, "some servers quote numbers"},
		"padded":             {"e30=." + base64.URLEncoding.EncodeToString([]byte(`{"exp":1767607260,"iat":1767607200}`)) + ".", date, time.Minute, 0, "some servers pad, against the rule"},
		"years":              {jwtOf(`{"exp":253402300799,"iat":1767607200}`), date, maxLife, 0, "it must not overflow"},
		"absurd":             {jwtOf(`{"exp":1e300,"iat":1767607200}`), date, 0, 0, "it is no date"},
		"negative":           {jwtOf(`{"exp":-5,"iat":-65}`), date, 0, 0, "it is no date"},
		"not a number":       {jwtOf(`{"exp":"tomorrow","iat":"today"}`), date, 0, 0, "it is no date"},
		"opaque":             {"cf02e220-86ea-408d-9b80-fb55f517725b", date, 0, 0, "it is no JWT"},
		"opaque with dots":   {"v1.local.payload", date, 0, 0, "it is no JWT"},
		"encrypted":          {"eyJhbGciOiJkaXIifQ..aXY.Y2lwaGVy.dGFn", date, 0, 0, "its claims are hidden"},
		"a list":             {"e30." + base64.RawURLEncoding.EncodeToString([]byte(`[1]`)) + ".c2ln", date, 0, 0, "claims are an object"},
	}
	for name, test := range tests {
		reply := Reply{Status: 200, Header: http.Header{"Date": {test.date}}, Body: []byte(`{"access_token":"` + test.access + `","expires_in":7200}`)}
		for _, api := range apis() {
			got := api.Read(token.RefreshToken, reply)
			if got.Verdict != token.Granted || got.Set.JWTLife != test.life || got.Set.JWTAge != test.age || got.Set.Life != 2*time.Hour {
				t.Errorf("%s at %s: a life of %s, %s old, and %s by the reply; want %s and %s, because %s",
					name, api.Name(), got.Set.JWTLife, got.Set.JWTAge, got.Set.Life, test.life, test.age, test.why)
			}
		}
	}
}

// TestZeroLife: to Fluent expires_in is what remains of a token, so zero is zero. No other API documents that.
func TestZeroLife(t *testing.T) {
	for _, field := range []string{`0`, `"0"`, `0.9`, `-0.0`} {
		for _, api := range apis() {
			set := api.Read(token.RefreshToken, ok(`{"access_token":"a","expires_in":`+field+`}`)).Set
			isFluent := api.Name() == "fluent"
			if set.LifeUnknown == isFluent || set.LifeZero == isFluent || set.Life != 0 {
				t.Errorf("expires_in %s of %s is %+v", field, api.Name(), set)
			}
		}
	}
}

// TestExtraHasNoCredential: templates, and so other namespaces, see every scalar of a reply but those that somebody could use.
func TestExtraHasNoCredential(t *testing.T) {
	hidden := []string{
		"access_token", "refresh_token", "id_token", "idToken", "device_secret", "session_token", "client_secret", "secretKey", "client_assertion",
		"assertion", "password", "api_key", "apiKey", "private_key", "jwt", "id_jwt", "code", "device_code", "accessToken", "AccessToken",
		"refreshToken", "set_cookie", "credential", "token", "tokens",
	}
	shown := []string{
		"instance_url", "issued_at", "issued_token_type", "refresh_token_expires_in", "ext_expires_in", "tenant", "api_domain", "not-before-policy",
		"session_state", "owner_id", "country_code", "error_code", "token_format", "x-user",
	}
	body := `{"access_token":"a"`
	for _, name := range append(hidden[1:], shown...) {
		if name != "refresh_token" {
			body += `,"` + name + `":"v"`
		}
	}
	extra := oauth2(Form, ClientBody).Read(token.RefreshToken, ok(body+"}")).Set.Extra
	for _, name := range hidden {
		if extra[name] != "" {
			t.Errorf("%s reaches templates", name)
		}
	}
	for _, name := range shown {
		if extra[name] != "v" {
			t.Errorf("%s does not reach templates", name)
		}
	}
}

func TestTokenTypeOfAReply(t *testing.T) {
	for said, want := range map[string]string{
		`"BearerToken"`: "BearerToken", `"Bearer Token"`: "Bearer", `"MAC\r\nX-Injected: 1"`: "MAC", `"\u0000"`: "", `"BEARER"`: "BEARER", `7`: "",
	} {
		got := oauth2(Form, ClientBody).Read(token.RefreshToken, ok(`{"access_token":"a","token_type":`+said+`}`))
		if got.Verdict != token.Granted || got.Set.Type != want {
			t.Errorf("token_type %s is %s, %q; want %q", said, got.Verdict, got.Set.Type, want)
		}
	}
}
