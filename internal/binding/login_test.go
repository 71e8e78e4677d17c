package binding

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/token"
)

func TestUnitLoginOf(t *testing.T) {
	tests := map[string]struct {
		why  string
		data map[string]string
		keys map[string]v1alpha1.SecretKey
		want token.Login
	}{
		"all": {
			"the names of the API's documentation",
			map[string]string{
				"username": "u", "password": "p", "client_id": "c", "client_secret": "s", "refresh_token": "r", "code": "o", "redirect_uri": "https://x",
			},
			nil,
			token.Login{
				Username: "u", Password: token.NewSecret("p"), ClientID: "c", ClientSecret: token.NewSecret("s"),
				Refresh: token.NewSecret("r"), Code: token.NewSecret("o"), RedirectURI: "https://x",
			},
		},
		"a line end": {
			"it is an editor's", map[string]string{"username": "u\n", "password": "p\r\n", "client_id": "c\n\n"}, nil,
			token.Login{Username: "u", Password: token.NewSecret("p"), ClientID: "c"},
		},
		"spaces": {
			"they are the password's", map[string]string{"password": " p \t"}, nil, token.Login{Password: token.NewSecret(" p \t")},
		},
		"a line end within": {
			"it is the password's", map[string]string{"password": "p\nq\n"}, nil, token.Login{Password: token.NewSecret("p\nq")},
		},
		"nothing but a line end": {"it is nothing", map[string]string{"password": "\r\n"}, nil, token.Login{}},
		"renamed": {
			"the Secret may be somebody else's", map[string]string{"USER": "u", "PASS": "p"},
			map[string]v1alpha1.SecretKey{"username": "USER", "password": "PASS"}, token.Login{Username: "u", Password: token.NewSecret("p")},
		},
		"renamed, and under the old name": {
			"only the new name counts", map[string]string{"username": "old"}, map[string]v1alpha1.SecretKey{"username": "USER"}, token.Login{},
		},
		"swapped": {
			"each is read once", map[string]string{"username": "b", "client_id": "a"},
			map[string]v1alpha1.SecretKey{"username": "client_id", "client_id": "username"}, token.Login{
				Username: "a", ClientID: "b", Hidden: token.Hidden{Username: true, ClientID: true},
			},
		},
		"empty": {"there is nothing", nil, nil, token.Login{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			secret := &corev1.Secret{Data: map[string][]byte{}}
			for key, value := range test.data {
				secret.Data[key] = []byte(value)
			}
			if diff := cmp.Diff(test.want, LoginOf(secret, test.keys)); diff != "" {
				t.Errorf("%s (-want +got)\n%s", test.why, diff)
			}
		})
	}
}

// TestSeededIsReadBack: what is stored for a login is what the operator reads, and no password and no code is in it.
func TestSeededIsReadBack(t *testing.T) {
	keys := map[string]v1alpha1.SecretKey{"refresh_token": "SEED", "client_id": "APP"}
	login := token.Login{
		Username: "u", Password: token.NewSecret("p"), Code: token.NewSecret("o"), RedirectURI: "https://x", Scope: "api",
		ClientID: "c", ClientSecret: token.NewSecret("s"), Refresh: token.NewSecret("r"),
	}
	want := token.Login{
		ClientID: "c", ClientSecret: token.NewSecret("s"), Refresh: token.NewSecret("r"), Hidden: token.Hidden{ClientID: true},
	}
	data := Seeded(login, keys)
	if diff := cmp.Diff(want, LoginOf(&corev1.Secret{Data: data}, keys)); diff != "" {
		t.Errorf("read back (-want +got)\n%s", diff)
	}
	if len(data) != 3 {
		t.Errorf("%d entries, want 3", len(data))
	}
	login.ClientSecret = token.Secret{}
	if _, there := Seeded(login, nil)["client_secret"]; there {
		t.Error("an empty client secret is stored")
	}
}

// TestRenamedEntriesMayBeSecrets: an author who names the password as the client id does not read it in an answer that
// repeats the client id.
func TestRenamedEntriesMayBeSecrets(t *testing.T) {
	const user, client, redirect = v1alpha1.UsernameKey, v1alpha1.ClientIDKey, v1alpha1.RedirectURIKey
	tests := map[string]struct {
		why, key, entry string
		hidden          bool
	}{
		"not renamed":             {"the entry says what it is", client, "client_id", false},
		"another spelling":        {"it says the same", client, "CLIENT_ID", false},
		"in camel case":           {"likewise", client, "clientId", false},
		"with dashes":             {"likewise", client, "client-id", false},
		"a user":                  {"likewise", user, "USER", false},
		"an address":              {"users are often named by it", user, "email", false},
		"a callback":              {"likewise", redirect, "callback.url", false},
		"the password":            {"it is the purpose of the attack", client, "password", true},
		"the password as a user":  {"likewise", user, "password", true},
		"the password as a URI":   {"likewise", redirect, "password", true},
		"a name of another":       {"it may hold anything", client, "tls.key", true},
		"a name that begins so":   {"it is another word", client, "client_id_secret", true},
		"a name that ends so":     {"it may be the password of a user", user, "password_of_user", true},
		"the client's as a user":  {"what is no secret as one may be meant to be one as the other", user, "client_id", true},
		"the secret of a client":  {"it is one", client, "client_secret", true},
		"the seed":                {"it is one", user, "refresh_token", true},
		"an unknown abbreviation": {"in doubt it is hidden", client, "APP", true},
	}
	for name, test := range tests {
		secret := &corev1.Secret{Data: map[string][]byte{test.entry: []byte("its-value\n")}}
		login := LoginOf(secret, map[string]v1alpha1.SecretKey{test.key: v1alpha1.SecretKey(test.entry)})
		got := slices.ContainsFunc(login.Secrets(), token.NewSecret("its-value").Equal)
		if got != test.hidden {
			t.Errorf("%s: %s as %s is hidden: %t (%s)", name, test.entry, test.key, got, test.why)
		}
	}
}
