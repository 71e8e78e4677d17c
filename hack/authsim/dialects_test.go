package authsim_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluent-credential/operator/hack/authsim"
)

// speaker is a tenant that is asked in the encodings of its dialect.
type speaker struct{ *tenant }

func newSpeaker(t *testing.T, config authsim.Config) speaker {
	t.Helper()
	config.Clients = []authsim.Client{
		{ID: "webapp", Secret: "client-secret-1"}, {ID: "channel"}, {ID: "integration", Secret: "client-secret-2"},
	}
	config.Users = []authsim.User{{Username: "john@example.com", Password: "password-1", OwnerID: "zxcVBnMASd"}}
	return speaker{newTenant(t, config)}
}

// send posts parameters to a path, as a form or as JSON, with headers.
func (s speaker) send(path, encoding string, parameters map[string]string, headers ...string) reply {
	s.t.Helper()
	values := url.Values{}
	for name, value := range parameters {
		values.Set(name, value)
	}
	encoded, kind := values.Encode(), "application/x-www-form-urlencoded"
	if encoding == "json" {
		object, _ := json.Marshal(parameters)
		encoded, kind = string(object), "application/json; charset=utf-8"
	}
	request := s.request(http.MethodPost, path, encoded)
	request.Header.Set("Content-Type", kind)
	for n := 0; n < len(headers); n += 2 {
		request.Header.Set(headers[n], headers[n+1])
	}
	got, err := s.do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

func with(base map[string]string, pairs ...string) map[string]string {
	merged := map[string]string{}
	for name, value := range base {
		merged[name] = value
	}
	for n := 0; n < len(pairs); n += 2 {
		merged[pairs[n]] = pairs[n+1]
	}
	return merged
}

var (
	webapp  = map[string]string{"client_id": "webapp", "client_secret": "client-secret-1"}
	channel = map[string]string{"client_id": "channel", "scope": "market:1234"}
)

func TestCommerceLayerSpeaksJSON(t *testing.T) {
	s := newSpeaker(t, authsim.Config{Dialect: authsim.DialectCommerceLayer})
	login := with(channel, "grant_type", "password", "username", "john@example.com", "password", "password-1")
	got := s.send("/oauth/token", "json", login)
	var members map[string]any
	if err := json.Unmarshal([]byte(got.body), &members); err != nil || got.status != 200 {
		t.Fatalf("a login got %d %s: %v", got.status, got.body, err)
	}
	want := map[string]any{
		"access_token": got.access(), "refresh_token": got.refresh(), "token_type": "bearer", "expires_in": 7200.0, "scope": "market:1234",
		"created_at": float64(start.Unix()), "owner_id": "zxcVBnMASd", "owner_type": "customer",
	}
	if diff := cmp.Diff(want, members); diff != "" {
		t.Errorf("not the documented reply (-want +got):\n%s", diff)
	}
	if again := s.send("/oauth/token", "form", login); again.status != 401 {
		t.Errorf("a form got %d, but the vendor documents JSON", again.status)
	}
	next := s.send("/oauth/token", "json", with(channel, "grant_type", "refresh_token", "refresh_token", got.refresh()))
	if next.status != 200 || next.refresh() == got.refresh() || s.last().Source != authsim.SourceJSON {
		t.Errorf("a refresh got %d %s from %s", next.status, next.body, s.last().Source)
	}
}

func TestClientCredentialsRepeatUntilFifteenMinutesBeforeTheExpiry(t *testing.T) {
	s := newSpeaker(t, authsim.Config{Dialect: authsim.DialectCommerceLayer})
	ask := with(webapp, "grant_type", "client_credentials")
	first := s.send("/oauth/token", "json", ask)
	if first.status != 200 || first.refresh() != "" || strings.Contains(first.body, "owner") {
		t.Fatalf("got %d %s; a client alone has no refresh token and no owner", first.status, first.body)
	}
	s.clock.Advance(105*time.Minute - time.Second)
	if again := s.send("/oauth/token", "json", ask); again.access() != first.access() || again.field("expires_in") != 901.0 {
		t.Errorf("15 minutes and a second before its expiry, %s is not the first token again", again.body)
	}
	s.clock.Advance(time.Second)
	if next := s.send("/oauth/token", "json", ask); next.access() == first.access() {
		t.Error("15 minutes before its expiry the token is still the same")
	}
	if refused := s.send("/oauth/token", "json", with(channel, "grant_type", "client_credentials")); refused.field("error") != "unauthorized_client" {
		t.Errorf("a client without a secret, which is not said to act alone, got %s", refused.body)
	}
}

func TestIdleRefreshTokenDiesAfterTwoWeeks(t *testing.T) {
	for why, c := range map[string]struct {
		age    time.Duration
		status int
	}{
		"it lives until the last second": {14*24*time.Hour - time.Second, 200},
		"two weeks are over":             {14 * 24 * time.Hour, 400},
	} {
		s := newSpeaker(t, authsim.Config{Dialect: authsim.DialectCommerceLayer})
		seed := s.Seed("john@example.com", "webapp")
		s.clock.Advance(c.age)
		if got := s.send("/oauth/token", "json", with(webapp, "grant_type", "refresh_token", "refresh_token", seed)); got.status != c.status {
			t.Errorf("after %s got %d, want %d: %s", c.age, got.status, c.status, why)
		}
	}
}

func TestThirtyRequestsAMinute(t *testing.T) {
	s := newSpeaker(t, authsim.Config{Dialect: authsim.DialectCommerceLayer})
	ask := with(webapp, "grant_type", "client_credentials")
	for n := range 30 {
		if got := s.send("/oauth/token", "json", ask); got.status != 200 {
			t.Fatalf("request %d got %d", n+1, got.status)
		}
		s.clock.Advance(time.Second)
	}
	got := s.send("/oauth/token", "json", ask)
	if got.status != 429 || got.header.Get("Retry-After") != "30" || s.last().Outcome != authsim.OutcomeUnprocessed {
		t.Errorf("the 31st request got %d, Retry-After %q", got.status, got.header.Get("Retry-After"))
	}
	s.clock.Advance(30 * time.Second)
	if got := s.send("/oauth/token", "json", ask); got.status != 200 {
		t.Errorf("a minute after the first request got %d", got.status)
	}
}

var ibm = []string{"X-IBM-Client-Id", "webapp", "X-IBM-Client-Secret", "client-secret-1"}

func TestNordeaEndpoints(t *testing.T) {
	for path, encoding := range map[string]string{
		"/v3/authorize/token": "form", "/v3/authorize-decoupled/token": "json", "/personal/v5/authorize/token": "form",
	} {
		s := newSpeaker(t, authsim.Config{Dialect: authsim.DialectNordea})
		code := s.IssueCode("john@example.com", "webapp", "https://example.com/back")
		ask := map[string]string{"grant_type": "authorization_code", "code": code, "redirect_uri": "https://example.com/back"}
		other := map[string]string{"form": "json", "json": "form"}[encoding]
		if got := s.send(path, other, ask, ibm...); got.status != 400 {
			t.Errorf("%s took %s: %d %s", path, other, got.status, got.body)
		}
		got := s.send(path, encoding, ask, ibm...)
		if got.status != 200 || got.field("token_type") != "BEARER" || got.field("expires_in") != 300.0 || got.refresh() == "" {
			t.Fatalf("%s answered %d %s", path, got.status, got.body)
		}
		if asked := s.last(); asked.ClientAuth != authsim.ClientAuthHeader || asked.Presented != "code-1" {
			t.Errorf("the ledger has %+v", asked)
		}
		next := s.send(path, encoding, map[string]string{"grant_type": "refresh_token", "refresh_token": got.refresh()}, ibm...)
		if next.status != 200 || next.refresh() == got.refresh() || s.ping(got.access()) != 200 {
			t.Errorf("a refresh got %d %s, and the token before it must live on", next.status, next.body)
		}
	}
}

func TestNordeaRefusals(t *testing.T) {
	s := newSpeaker(t, authsim.Config{Dialect: authsim.DialectNordea, RefreshTokenLifetime: time.Hour})
	seed := s.Seed("john@example.com", "webapp")
	refresh := map[string]string{"grant_type": "refresh_token", "refresh_token": seed}
	s.clock.Advance(time.Hour)
	for why, c := range map[string]struct {
		ask     map[string]string
		headers []string
		status  int
		says    string
	}{
		"client in the body":  {with(refresh, "client_id", "webapp", "client_secret", "client-secret-1"), nil, 401, `"moreInformation":"Invalid client id or secret."`},
		"a token too old":     {refresh, ibm, 401, `"failures":[{"code":"error.token.expired"`},
		"an unknown token":    {with(refresh, "refresh_token", "x"), ibm, 400, `"code":"error.token.invalid"`},
		"no password grant":   {with(refresh, "grant_type", "password"), ibm, 400, `"code":"error.validation"`},
		"no grant type given": {with(refresh, "grant_type", ""), ibm, 400, `"description":"Missing parameter: grant_type"`},
	} {
		if got := s.send("/v3/authorize/token", "form", c.ask, c.headers...); got.status != c.status || !strings.Contains(got.body, c.says) {
			t.Errorf("%s: got %d %s, want %d with %s", why, got.status, got.body, c.status, c.says)
		}
	}
}

func TestNordeaWrapped(t *testing.T) {
	s := newSpeaker(t, authsim.Config{Dialect: authsim.DialectNordea, Wrapped: true})
	code := s.IssueCode("john@example.com", "webapp", "")
	got := s.send("/v3/authorize-decoupled/token", "json", map[string]string{"grant_type": "authorization_code", "code": code}, ibm...)
	inner, ok := got.field("response").(map[string]any)
	if !ok || inner["token_type"] != "BEARER" || got.field("group_header") == nil {
		t.Errorf("the reply has no envelope: %s", got.body)
	}
}

func TestPlainClientAuthentication(t *testing.T) {
	ask := map[string]string{"grant_type": "client_credentials"}
	basic := []string{"Authorization", "Basic d2ViYXBwOmNsaWVudC1zZWNyZXQtMQ=="}
	for why, c := range map[string]struct {
		ask     map[string]string
		headers []string
		status  int
		auth    authsim.ClientAuth
	}{
		"in the body":       {with(webapp, "grant_type", "client_credentials"), nil, 200, authsim.ClientAuthBody},
		"HTTP Basic":        {ask, basic, 200, authsim.ClientAuthBasic},
		"both at once":      {with(webapp, "grant_type", "client_credentials"), basic, 400, authsim.ClientAuthBasic},
		"neither":           {ask, nil, 401, ""},
		"a Basic of others": {ask, []string{"Authorization", "Basic eDp5"}, 401, authsim.ClientAuthBasic},
	} {
		s := newSpeaker(t, authsim.Config{Dialect: authsim.DialectOAuth2})
		got := s.send("/oauth/token", "form", c.ask, c.headers...)
		if got.status != c.status || s.last().ClientAuth != c.auth {
			t.Errorf("%s: got %d %s by %q", why, got.status, got.body, s.last().ClientAuth)
		}
	}
}
