package binding

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/token"
)

// LoginOf reads the entries of a credentials Secret. A line end at the end of a value is an editor's, not the password's.
func LoginOf(secret *corev1.Secret, keys map[string]v1alpha1.SecretKey) token.Login {
	text := func(key string) string {
		return strings.TrimRight(string(secret.Data[KeyName(keys, key)]), "\r\n")
	}
	hidden := func(key string) token.Secret { return token.NewSecret(text(key)) }
	mayBeSecret := func(key string) bool { return text(key) != "" && !isCalled(KeyName(keys, key), key) }
	return token.Login{
		Username: text(v1alpha1.UsernameKey), Password: hidden(v1alpha1.PasswordKey),
		ClientID: text(v1alpha1.ClientIDKey), ClientSecret: hidden(v1alpha1.ClientSecretKey),
		Refresh: hidden(v1alpha1.RefreshTokenKey), Code: hidden(v1alpha1.CodeKey),
		RedirectURI: text(v1alpha1.RedirectURIKey),
		Hidden: token.Hidden{
			Username:    mayBeSecret(v1alpha1.UsernameKey),
			ClientID:    mayBeSecret(v1alpha1.ClientIDKey),
			RedirectURI: mayBeSecret(v1alpha1.RedirectURIKey),
		},
	}
}

// spellings are the names of entries that hold a user name, a client id and a redirect URI, in lower case and without
// dashes, underscores and dots. A value under any other name is treated as a secret: whoever names {client_id: password}
// in a manifest must not read the password in the API's answer.
var spellings = map[string][]string{
	v1alpha1.UsernameKey:    {"username", "user", "login", "userid", "userlogin", "loginname", "email"},
	v1alpha1.ClientIDKey:    {"clientid", "client", "oauthclientid", "appid", "applicationid", "consumerkey"},
	v1alpha1.RedirectURIKey: {"redirecturi", "redirecturl", "redirect", "callbackurl", "callbackuri", "callback"},
}

// isCalled reports whether the name of an entry says that it holds what the key stands for.
func isCalled(entry, key string) bool {
	bare := strings.NewReplacer("-", "", "_", "", ".", "").Replace(strings.ToLower(entry))
	return slices.Contains(spellings[key], bare)
}

// KeyName is the entry of a credentials Secret that holds a value: credentialsSecretRef.keys can rename it.
func KeyName(keys map[string]v1alpha1.SecretKey, key string) string {
	if renamed, ok := keys[key]; ok {
		return string(renamed)
	}
	return key
}

// Seeded is the data of a credentials Secret for a login that holds a refresh token and the client that it was given to. It never
// holds a user's password or an authorization code: the one is not kept, and the other was spent.
func Seeded(login token.Login, keys map[string]v1alpha1.SecretKey) map[string][]byte {
	data := map[string][]byte{
		KeyName(keys, v1alpha1.RefreshTokenKey): []byte(login.Refresh.Reveal()),
		KeyName(keys, v1alpha1.ClientIDKey):     []byte(login.ClientID),
	}
	if !login.ClientSecret.IsZero() {
		data[KeyName(keys, v1alpha1.ClientSecretKey)] = []byte(login.ClientSecret.Reveal())
	}
	return data
}
