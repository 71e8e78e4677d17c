package provider

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fluent-credential/operator/internal/token"
)

// TestHeadersOfTheUserAreSecrets, unless they are public by their name, or too short to be one.
func TestHeadersOfTheUserAreSecrets(t *testing.T) {
	tests := map[string]struct {
		name, value string
		want        []string
		why         string
	}{
		"a key":            {"X-Api-Key", "0123456789abcdef", []string{"0123456789abcdef"}, "gateways want one"},
		"with a scheme":    {"authorization", "Bearer abcdefgh", []string{"Bearer abcdefgh", "abcdefgh"}, "a server may repeat it without the scheme"},
		"a short one":      {"X-Pin", "Key abcdefg", []string{"Key abcdefg"}, "a text with its part would be withheld"},
		"a version":        {"X-Api-Version", "2", nil, "a digit is in many texts"},
		"a media type":     {"accept", "application/vnd.api+json", nil, "it says nothing of anyone"},
		"a cookie":         {"Cookie", "session=abcdefgh", []string{"session=abcdefgh"}, "it is as good as a password"},
		"a name for nginx": {"User-Agent", "our-integration/1.0", nil, "it says nothing of anyone"},
	}
	for name, test := range tests {
		api, err := NewOAuth2(OAuth2{TokenURL: "https://login.example/token", Options: Options{Headers: map[string]string{test.name: test.value}}})
		if err != nil {
			t.Fatal(err)
		}
		request, err := api.Request(token.RefreshToken, token.Login{Refresh: token.NewSecret("refresh")})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, secret := range request.Secrets {
			if value := secret.Reveal(); value != "" && value != "refresh" {
				got = append(got, value)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: other secrets (-want +got), but %s\n%s", name, test.why, diff)
		}
	}
}
