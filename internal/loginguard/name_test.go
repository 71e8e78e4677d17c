package loginguard

import (
	"testing"

	"github.com/fluent-credential/operator/internal/token"
)

const (
	plainURL  = "https://acme.example.com/oauth/token"
	plainName = "shop-service-user"
)

// TestSecretNameHasOneSpelling: the API locks one user, however its name and the endpoint are written.
func TestSecretNameHasOneSpelling(t *testing.T) {
	cases := map[string]struct {
		endpoint, username string
		same               bool
		why                string
	}{
		"as it is":          {plainURL, plainName, true, "nothing differs"},
		"a query":           {plainURL + "?x=1", plainName, true, "a server ignores what it does not know"},
		"an empty query":    {plainURL + "?", plainName, true, "it says nothing"},
		"a last slash":      {plainURL + "/", plainName, true, "many servers take it for none"},
		"two slashes":       {"https://acme.example.com//oauth//token", plainName, true, "many servers take them for one"},
		"dots":              {"https://acme.example.com/./x/../oauth/token", plainName, true, "RFC 3986 section 6.2.2.3"},
		"an escaped slash":  {"https://acme.example.com/oauth%2Ftoken", plainName, true, "some servers take it for a slash"},
		"escaped twice":     {"https://acme.example.com/oauth%252Ftoken", plainName, true, "a proxy may unescape it too"},
		"an escaped letter": {"https://acme.example.com/%6Fauth/token", plainName, true, "RFC 3986 section 6.2.2.2"},
		"a path parameter":  {plainURL + ";x=1", plainName, true, "servlet containers drop it"},
		"a backslash":       {`https://acme.example.com/oauth%5Ctoken`, plainName, true, "some servers take it for a slash"},
		"a last blank":      {plainURL + "%20", plainName, true, "some servers trim it"},
		"another host":      {"https://other.example.com/oauth/token", plainName, false, "another server"},
		"another port":      {"https://acme.example.com:8443/oauth/token", plainName, false, "another server"},
		"another scheme":    {"http://acme.example.com/oauth/token", plainName, false, "another server"},
		"another path":      {"https://acme.example.com/other/token", plainName, false, "another tenant, maybe"},
		"another case of the path": {"https://acme.example.com/OAuth/token", plainName, false,
			"paths have a case, and tenants may differ in it"},
		"capitals":           {plainURL, "Shop-Service-USER", true, "user names have no case on most servers"},
		"blanks around":      {plainURL, " shop-service-user\u00a0\t\u3000", true, "data bases pad and trim"},
		"a zero-width space": {plainURL, "shop-\u200bservice-user", true, "it shows nothing"},
		"a long s":           {plainURL, "\u017fhop-service-user", true, "its capital is S"},

		"wide letters":          {plainURL, "\uff53\uff48\uff4f\uff50-service-user", true, "their plain forms are ASCII"},
		"another user":          {plainURL, "shop-service-user2", false, "another user"},
		"a blank within":        {plainURL, "shop-service- user", false, "another user"},
		"with a NUL at its end": {plainURL, plainName + "\x00", true, "where it ends for a server in C"},
	}
	want := secretName(Login{Endpoint: plainURL, Username: plainName})
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			got := secretName(Login{Endpoint: test.endpoint, Username: test.username})
			if same := got == want; same != test.same {
				t.Errorf("the same guard: %t, want %t: %s", same, test.same, test.why)
			}
		})
	}
}

// TestPlainSpellingKeepsItsName: an upgrade finds the guards of logins that are written plainly where they were.
func TestPlainSpellingKeepsItsName(t *testing.T) {
	for name, login := range map[string]Login{
		"a user": {Endpoint: plainURL, Username: plainName},
		"a port": {Endpoint: "http://127.0.0.1:8080/oauth/token", Username: plainName},
		"a host": {Endpoint: "https://acme.example.com", Username: plainName},
		"a seed": {Endpoint: plainURL, Seed: token.NewSecret("seed-that-is-long-enough")},
	} {
		if secretName(login) != formerName(login) {
			t.Errorf("%s has a new name", name)
		}
	}
}

// TestTenantsOfAQueryShareABudgetOnly: two tenants with one user name have a refresh token each.
func TestTenantsOfAQueryShareABudgetOnly(t *testing.T) {
	login := func(endpoint, username string) Login {
		return Login{Endpoint: endpoint, Username: username, Use: Use{Client: "client"}}
	}
	plain := login(plainURL, plainName)
	if other := login(plainURL+"?tenant=b", plainName); plain.IsSame(other) || secretName(plain) != secretName(other) {
		t.Error("two tenants are one login, or have two budgets")
	}
	if !plain.IsSame(login(plainURL+"/", "SHOP-service-user")) {
		t.Error("one user of one endpoint is two logins: both could be given one refresh token")
	}
	seeded := login(plainURL+"?tenant=b", "")
	seeded.Seed = token.NewSecret("seed-that-is-long-enough")
	again := seeded
	again.Endpoint = plainURL
	if !again.IsSame(seeded) {
		t.Error("a seed is spent twice, by two spellings of its endpoint")
	}
}

func TestMergedForgetsNothing(t *testing.T) {
	owner := Owner{UID: "owner"}
	old := State{Salt: "old"}.Granted("", Use{Client: "client", Owner: owner})
	old, _ = old.Reserve(noon, Attempt{ID: "old", Credentials: "wrong"})
	state, _ := State{Salt: "new"}.Reserve(noon, Attempt{ID: "new", Credentials: "other"})
	for range 2 { // where the old one could not be removed it is merged again
		state = state.merged(old, "tenant=b")
	}
	if len(state.Attempts) != 2 {
		t.Errorf("%d attempts, want both, once", len(state.Attempts))
	}
	if len(state.Uses) != 1 || state.Uses[0].Query != "tenant=b" || state.Uses[0].Owner != owner {
		t.Errorf("the owner of the login is %+v", state.Uses)
	}
	if lost := damaged("old", noon); len(State{Salt: "new"}.merged(lost, "").Attempts) != Budget {
		t.Error("one that cannot be read does not count as a full budget")
	}
}
