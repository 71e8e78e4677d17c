package authsim_test

import (
	"testing"
	"time"

	"github.com/fluent-credential/operator/hack/authsim"
)

func TestACodeWorksOnce(t *testing.T) {
	s := newSpeaker(t, authsim.Config{Dialect: authsim.DialectOAuth2})
	code := s.IssueCode("john@example.com", "webapp", "https://example.com/back")
	ask := with(webapp, "grant_type", "authorization_code", "code", code)
	if got := s.send("/oauth/token", "form", ask); got.field("error") != "invalid_grant" {
		t.Errorf("without the redirect URI the code got %s", got.body)
	}
	ask["redirect_uri"] = "https://example.com/back"
	first := s.send("/oauth/token", "form", ask)
	if first.status != 200 || first.refresh() == "" {
		t.Fatalf("the code got %d %s", first.status, first.body)
	}
	if again := s.send("/oauth/token", "form", ask); again.field("error") != "invalid_grant" || !s.last().Reuse {
		t.Errorf("the second time the code got %s", again.body)
	}
	if s.ping(first.access()) != 401 || s.Ledger().RefreshTokens[0].State != authsim.RefreshTokenRevoked {
		t.Error("what a code gave outlives its second presentation")
	}
	if got := s.Ledger(); got.Presentations["code-1"] != 3 || got.Reuses != 1 || got.Codes[0].Presentations != 3 {
		t.Errorf("the ledger counts %v, %d reuses", got.Presentations, got.Reuses)
	}
}

func TestACodeExpires(t *testing.T) {
	s := newSpeaker(t, authsim.Config{Dialect: authsim.DialectOAuth2})
	code := s.call("POST", "/users/john@example.com/code?client=webapp", "").body
	s.clock.Advance(10 * time.Minute)
	if got := s.send("/oauth/token", "form", with(webapp, "grant_type", "authorization_code", "code", code)); got.status != 400 {
		t.Errorf("a code of ten minutes got %d %s", got.status, got.body)
	}
	if got := s.call("POST", "/users/nobody/code?client=webapp", ""); got.status != 404 {
		t.Errorf("a code for an unknown user: %d", got.status)
	}
}

func TestRevocation(t *testing.T) {
	for name, c := range map[string]struct {
		dialect authsim.Dialect
		how     string
		ask     map[string]string // beside the client and the token
		status  int
		body    string
		outcome authsim.Outcome
		why     string
	}{
		"commerce layer": {authsim.DialectCommerceLayer, "json", nil, 200, "{}", authsim.OutcomeRevoked, "the documented reply is an empty object"},
		"as a form":      {authsim.DialectCommerceLayer, "form", nil, 401, "", authsim.OutcomeInvalidClient, "the vendor documents JSON"},
		"plain":          {authsim.DialectOAuth2, "form", map[string]string{"token_type_hint": "refresh_token"}, 200, "", authsim.OutcomeRevoked, "RFC 7009 section 2.2: the body does not matter"},
		"unknown token":  {authsim.DialectOAuth2, "form", map[string]string{"token": "x"}, 200, "", authsim.OutcomeUnknownToken, "a token that is not known is as good as revoked"},
		"no token":       {authsim.DialectOAuth2, "form", map[string]string{"token": ""}, 400, "", authsim.OutcomeInvalidRequest, "there is nothing to revoke"},
		"wrong client":   {authsim.DialectOAuth2, "form", map[string]string{"client_secret": "x"}, 401, "", authsim.OutcomeInvalidClient, "the client must be who it says"},
		"other client": {authsim.DialectOAuth2, "form", map[string]string{"client_id": "integration", "client_secret": "client-secret-2"}, 403, "",
			authsim.OutcomeUnauthorizedClient, "the token is not its own"},
	} {
		s := newSpeaker(t, authsim.Config{Dialect: c.dialect})
		ask := with(webapp, "token", s.Seed("john@example.com", "webapp"))
		for parameter, value := range c.ask {
			ask[parameter] = value
		}
		got := s.send("/oauth/revoke", c.how, ask)
		ledger := s.Ledger()
		if got.status != c.status || c.body != "" && got.body != c.body || ledger.RevocationRequests[0].Outcome != c.outcome {
			t.Errorf("%s: got %d %s, %s; %s", name, got.status, got.body, ledger.RevocationRequests[0].Outcome, c.why)
		}
		revoked := ledger.RefreshTokens[0].State == authsim.RefreshTokenRevoked
		if revoked != (c.outcome == authsim.OutcomeRevoked) || (ledger.Revocations == 1) != revoked {
			t.Errorf("%s: the token is %s, %d revocations; %s", name, ledger.RefreshTokens[0].State, ledger.Revocations, c.why)
		}
	}
}

// TestRevocationEndsTheFamily: servers that detect reuse do so too when a spent token is revoked, so a client that revokes the
// wrong token is found out.
func TestRevocationEndsTheFamily(t *testing.T) {
	s := newSpeaker(t, authsim.Config{Dialect: authsim.DialectOAuth2})
	seed := s.Seed("john@example.com", "webapp")
	next := s.send("/oauth/token", "form", with(webapp, "grant_type", "refresh_token", "refresh_token", seed))
	s.send("/oauth/revoke", "form", with(webapp, "token", seed))
	if got := s.send("/oauth/token", "form", with(webapp, "grant_type", "refresh_token", "refresh_token", next.refresh())); got.status != 400 {
		t.Errorf("the successor of a revoked token got %d", got.status)
	}
	if s.ping(next.access()) != 401 {
		t.Error("the access token outlives its family")
	}
}

func TestRevocationFaults(t *testing.T) {
	s := newSpeaker(t, authsim.Config{Dialect: authsim.DialectOAuth2})
	s.AddFault(parse(t, "1st revocation: server-error 503"))
	s.AddFault(parse(t, "1st: html 502"))
	ask := with(webapp, "token", s.Seed("john@example.com", "webapp"))
	if got := s.send("/oauth/revoke", "form", ask); got.status != 503 || s.Ledger().Revocations != 0 {
		t.Errorf("the fault on the revocation gave %d", got.status)
	}
	if got := s.send("/oauth/token", "form", ask); got.status != 502 {
		t.Errorf("the fault on the first token request gave %d", got.status)
	}
	if got := s.send("/oauth/revoke", "form", ask); got.status != 200 {
		t.Errorf("without a fault the revocation got %d", got.status)
	}
	for _, dialect := range []authsim.Dialect{authsim.DialectFluent, authsim.DialectNordea} {
		if got := newSpeaker(t, authsim.Config{Dialect: dialect}).send("/oauth/revoke", "form", ask); got.status != 404 {
			t.Errorf("%s documents no revocation, but answers %d", dialect, got.status)
		}
	}
}
