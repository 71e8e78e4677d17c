package binding

import (
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
	return token.Login{
		Username: text(v1alpha1.UsernameKey), Password: hidden(v1alpha1.PasswordKey),
		ClientID: text(v1alpha1.ClientIDKey), ClientSecret: hidden(v1alpha1.ClientSecretKey),
		Refresh: hidden(v1alpha1.RefreshTokenKey), Code: hidden(v1alpha1.CodeKey),
		RedirectURI: text(v1alpha1.RedirectURIKey),
	}
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
