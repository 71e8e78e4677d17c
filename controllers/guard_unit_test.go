package controllers

import (
	"testing"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// TestUnitOneSpellingOfAnEndpoint: who spells the URL of one server in two ways would have two budgets at the login guard, and could
// be given the refresh token of the other.
func TestUnitOneSpellingOfAnEndpoint(t *testing.T) {
	const plain = "https://acme.sandbox.api.fluentretail.com"
	tests := map[string]struct {
		why  string
		url  v1alpha1.BaseURL
		same bool
	}{
		"as it is":           {"nothing differs", plain, true},
		"in capitals":        {"a host has no case", "https://ACME.Sandbox.api.fluentretail.com", true},
		"with its port":      {"443 is what https means", plain + ":443", true},
		"with an empty port": {"RFC 3986 section 6.2.3", plain + ":", true},
		"with a last dot":    {"the name of the same host", plain + "./", true},
		"with a slash":       {"the path follows it anyway", plain + "/", true},
		"another port":       {"another server", plain + ":8443", false},
		"another path":       {"another tenant, maybe", plain + "/other", false},
		"another scheme":     {"another server", "http://acme.sandbox.api.fluentretail.com", false},
		"a scheme's port":    {"80 is not what https means", plain + ":80", false},
	}
	want := spelledAs(t, plain)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := spelledAs(t, test.url); (got == want) != test.same {
				t.Errorf("%s, and the plain one is %s: %s", got, want, test.why)
			}
		})
	}
	if got := spelledAs(t, "https://[2001:DB8::1]:443"); got != "https://[2001:db8::1]/oauth/token" {
		t.Errorf("an address of IPv6 is spelled %s", got)
	}
}

func spelledAs(t *testing.T, url v1alpha1.BaseURL) string {
	t.Helper()
	s := newScene(t)
	s.cred.Spec.Provider = v1alpha1.ProviderSpec{Fluent: &v1alpha1.FluentProvider{BaseURL: url}}
	s.useSpec()
	return s.guarded().Endpoint
}
