package provider

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/fluent-credential/operator/internal/token"
)

func TestConfigurationRefused(t *testing.T) {
	fluent := func(c Fluent) error { _, err := NewFluent(c); return err }
	cases := map[string]struct {
		err  error
		want string
		why  string
	}{
		"host in account":    {fluent(Fluent{Account: "evil.example/x"}), "provider.fluent.account: it cannot be part of a host name", "the credentials would go to another host"},
		"query in account":   {fluent(Fluent{Account: "evil.example?x="}), "provider.fluent.account: it cannot be part of a host name", "the credentials would go to another host"},
		"user in account":    {fluent(Fluent{Account: "user@evil.example:443/x"}), "provider.fluent.account: it cannot be part of a host name", "the credentials would go to another host"},
		"fluent":             {fluent(Fluent{BaseURL: "https://h/%zz"}), "provider.fluent.baseURL: the URL cannot be parsed", "the member to mend is named"},
		"commerce layer":     {second(NewCommerceLayer(CommerceLayer{BaseURL: "auth.commercelayer.io"})), "provider.commerceLayer.baseURL: the URL names no host", "the member to mend is named"},
		"nordea":             {second(NewNordea(Nordea{BaseURL: "https:///v3"})), "provider.nordea.baseURL: the URL names no host", "the member to mend is named"},
		"fragment":           {second(NewNordea(Nordea{BaseURL: "https://host/#x"})), "provider.nordea.baseURL: the URL has a fragment", "a fragment would swallow the path"},
		"account upper case": {fluent(Fluent{Account: "ACME"}), "", "an account is written in any case"},
	}
	for name, c := range cases {
		got := ""
		if c.err != nil {
			got = c.err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q, because %s", name, got, c.want, c.why)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestSupports(t *testing.T) {
	cases := map[string]struct {
		password, refresh, code, client bool
		why                             string
	}{
		"fluent":        {true, true, false, false, "these two are documented"},
		"commerceLayer": {true, true, true, true, "each kind of application has some of them"},
		"nordea":        {false, true, true, false, "a person must authorize"},
		"oauth2":        {true, true, true, true, "the server decides"},
	}
	for _, api := range apis() {
		if alone := api.ClientActsAlone(); alone != (api.Name() == "commerceLayer") {
			t.Errorf("%s gives a client without a secret a token of its own: %t; only a sales channel of Commerce Layer is given one", api.Name(), alone)
		}
		c, known := cases[api.Name()]
		if !known {
			t.Errorf("%s is no member of spec.provider", api.Name())
		}
		for grant, want := range map[token.Grant]bool{
			token.Password: c.password, token.RefreshToken: c.refresh, token.AuthorizationCode: c.code, token.ClientCredentials: c.client,
		} {
			if got := api.Supports(grant); got != want {
				t.Errorf("%s supports %s: %t, want %t, because %s", api.Name(), grant, got, want, c.why)
			}
		}
	}
}

// Whatever is sent as a secret is among those that package exchange takes out of error messages.
func TestSecretsAreNamed(t *testing.T) {
	login := token.Login{
		Username: "name", ClientID: "id", Password: token.NewSecret("hidden-1"), ClientSecret: token.NewSecret("hidden-2"),
		Refresh: token.NewSecret("hidden-3"), Code: token.NewSecret("hidden-4"),
	}
	basic := base64.StdEncoding.EncodeToString([]byte("id:hidden-2"))
	for _, api := range append(apis(), oauth2(JSON, ClientBasic), oauth2(Query, ClientNone)) {
		for _, grant := range grants {
			request, err := api.Request(grant, login)
			if err != nil {
				continue // Nordea has two grants only
			}
			sent := request.URL.Reveal() + request.Body.Reveal()
			for _, value := range request.Header {
				sent += " " + value.Reveal()
			}
			for _, secret := range request.Secrets {
				sent = strings.ReplaceAll(sent, secret.Reveal(), "")
			}
			if strings.Contains(sent, "hidden") || strings.Contains(sent, basic) {
				t.Errorf("%s of %s sends a secret that is not named as one: %s", grant, api.Name(), sent)
			}
		}
	}
}

// TestRenewalWindow: who asks Commerce Layer by client credentials early is given the same token.
func TestRenewalWindow(t *testing.T) {
	for _, api := range apis() {
		for _, grant := range grants {
			want := time.Duration(0)
			if api.Name() == "commerceLayer" && grant == token.ClientCredentials {
				want = 15 * time.Minute
			}
			if got := api.RenewalWindow(grant); got != want {
				t.Errorf("%s by %s has a window of %s, want %s", api.Name(), grant, got, want)
			}
		}
	}
}

func TestUnknownGrant(t *testing.T) {
	for _, api := range apis() {
		if _, err := api.Request("device_code", standardLogin); err == nil {
			t.Errorf("%s builds a request for a grant that nobody knows", api.Name())
		}
	}
}

// TestRequestsPerMinute: Commerce Layer is the only one that documents a limit.
func TestRequestsPerMinute(t *testing.T) {
	for _, api := range apis() {
		want := 0
		if api.Name() == "commerceLayer" {
			want = 30
		}
		if got := api.RequestsPerMinute(); got != want {
			t.Errorf("%s: %d requests a minute, want %d", api.Name(), got, want)
		}
	}
}
