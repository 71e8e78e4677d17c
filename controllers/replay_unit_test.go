package controllers

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/plan"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// TestUnitReplayTellsNoSecret: a refusal that repeats what was sent is found in the journal, and hides as much as when it came.
func TestUnitReplayTellsNoSecret(t *testing.T) {
	s := newScene(t)
	grants := []token.Grant{token.RefreshToken, token.Password, token.ClientCredentials, token.AuthorizationCode}
	told := map[string]string{
		"the client secret": sceneSecret, "the password": scenePassword, "the refresh token": sceneRefresh, "the access token": sceneAccess,
		"the code": sceneSeed, "a form": url.Values{"client_secret": {sceneSecret}}.Encode(),
	}
	s.login.Code = token.NewSecret(sceneSeed)
	for _, grant := range grants {
		for name, text := range told {
			try := s.attempt(grant, provider.Answer{})
			if grant == token.AuthorizationCode {
				try.spends = s.login.Code
			}
			answer := s.replayed(try, refusal("client credentials "+text+" do not match"))
			try.answer = answer
			message := s.r.failure(s.observation, try).Message
			if strings.Contains(message, text) || !strings.Contains(message, "client credentials ") || !strings.Contains(message, " do not match") {
				t.Errorf("%s, %s: the status says %q", grant, name, message)
			}
			for _, secret := range []string{sceneSecret, scenePassword, sceneRefresh, sceneAccess, sceneSeed} {
				if strings.Contains(message, secret) {
					t.Errorf("%s, %s: the status tells %q", grant, name, secret)
				}
			}
		}
	}
}

// TestUnitReplayHidesWhatSendHides: every secret of a request is one of a replay.
func TestUnitReplayHidesWhatSendHides(t *testing.T) {
	s := newScene(t)
	s.cred.Spec.Provider.Fluent.Headers = map[string]v1alpha1.HeaderValue{"X-Api-Key": "a-key-of-the-gateway"}
	s.useSpec()
	for _, grant := range []token.Grant{token.RefreshToken, token.Password} {
		try := s.attempt(grant, provider.Answer{})
		request, err := s.api.Request(grant, s.login)
		if err != nil {
			t.Fatal(err)
		}
		for number, secret := range append(request.Secrets, token.NewSecret("a-key-of-the-gateway")) {
			if secret.IsZero() {
				continue
			}
			got := s.replayed(try, refusal("it was "+secret.Reveal()))
			if got.Problem.Description != "it was [redacted]" {
				t.Errorf("%s: secret %d is not hidden", grant, number)
			}
		}
	}
}

// TestUnitHeadersThatAreNoSecretsAreShown: a tenant's name is a word of many messages, and a media type is no secret.
func TestUnitHeadersThatAreNoSecretsAreShown(t *testing.T) {
	s := newScene(t)
	s.cred.Spec.Provider.Fluent.Headers = map[string]v1alpha1.HeaderValue{
		"X-Tenant": "shop", "Accept": "application/json", "X-Api-Key": "Key a-key-of-the-gateway",
	}
	s.useSpec()
	const said = "the shop takes no application/json"
	if got := s.replayed(s.attempt(token.RefreshToken, provider.Answer{}), refusal(said)); got.Problem.Description != said {
		t.Errorf("got %q, want %q", got.Problem.Description, said)
	}
	got := s.replayed(s.attempt(token.RefreshToken, provider.Answer{}), refusal("no such key: a-key-of-the-gateway"))
	if got.Problem.Description != "no such key:[redacted]" { // with the blank of the header's own value
		t.Errorf("got %q", got.Problem.Description)
	}
}

// TestUnitReplayWithoutALogin: the credentials Secret is gone, so that nobody knows what the API may repeat.
func TestUnitReplayWithoutALogin(t *testing.T) {
	s := newScene(t)
	s.login = token.Login{}
	got := s.replayed(s.attempt(token.RefreshToken, provider.Answer{}), refusal("client secret "+sceneSecret+" does not match"))
	if got.Problem.Description != withheldWords || got.Problem.Code != "invalid_client" || got.Verdict != token.RefusedIntact {
		t.Errorf("got %s, %q, %q", got.Verdict, got.Problem.Code, got.Problem.Description)
	}
}

// refusal is the tape of a reply that refuses the client.
func refusal(description string) token.Secret {
	body, _ := json.Marshal(map[string]string{"error": "invalid_client", "error_description": description})
	const head = "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
	return token.NewSecret(fmt.Sprintf(head, len(body), body))
}

// TestUnitRenamedEntriesAreHidden: the client id is read from an entry that may hold a password. An honest server names
// the client that it does not know.
func TestUnitRenamedEntriesAreHidden(t *testing.T) {
	const value = "hunter2-of-the-database"
	for key, change := range map[string]func(*token.Login){
		"username":     func(l *token.Login) { l.Username, l.Hidden.Username = value, true },
		"client_id":    func(l *token.Login) { l.ClientID, l.Hidden.ClientID = value, true },
		"redirect_uri": func(l *token.Login) { l.RedirectURI, l.Hidden.RedirectURI = value, true },
	} {
		s := newScene(t)
		change(&s.login)
		for _, means := range []plan.Means{plan.ByRefresh, plan.ByPassword} {
			try, err := s.r.prepare(s.observation, means)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(try.request.Secrets, token.NewSecret(value).Equal) {
				t.Errorf("%s is no secret of the request", key)
			}
			try.spends = token.NewSecret(sceneRefresh)
			got := s.replayed(try, refusal("client "+value+" is not known"))
			if got.Problem.Description != "client [redacted] is not known" {
				t.Errorf("%s: the replay says %q", key, got.Problem.Description)
			}
		}
		if secrets := s.r.prepareRevocation(s.observation).request.Secrets; !slices.ContainsFunc(secrets, token.NewSecret(value).Equal) {
			t.Errorf("%s is no secret of a revocation", key)
		}
	}
}

// TestUnitReplayOfAnotherLogin: the login was changed since the request was sent, for example by an author who renames
// its entries. What the API may repeat is not known any more.
func TestUnitReplayOfAnotherLogin(t *testing.T) {
	s := newScene(t)
	try, err := s.r.prepare(s.observation, plan.ByRefresh)
	if err != nil {
		t.Fatal(err)
	}
	reply := refusal("client hunter2-of-the-database is not known")
	if got := s.replayed(try, reply); got.Problem.Description != "client hunter2-of-the-database is not known" {
		t.Errorf("the same login: %q", got.Problem.Description)
	}
	s.login.ClientID = "another"
	got := s.replayed(try, reply)
	if got.Problem.Description != withheldWords || got.Problem.Code != "invalid_client" || got.Verdict != token.RefusedIntact {
		t.Errorf("another login: %s, %q, %q", got.Verdict, got.Problem.Code, got.Problem.Description)
	}
}
