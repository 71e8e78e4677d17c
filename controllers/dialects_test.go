package controllers

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// speaking lets the server speak a dialect in which the client and the user are known.
func speaking(dialect authsim.Dialect, change func(*authsim.Config)) func(*authsim.Config) {
	return func(config *authsim.Config) {
		config.Dialect, config.AccessTokenLifetime, config.KillOnRefresh = dialect, 0, false
		config.Clients[0].Scope = ""
		if dialect == authsim.DialectCommerceLayer {
			config.Clients[0].Scope = "market:1234"
		}
		if change != nil {
			change(config)
		}
	}
}

// commerceLayer, nordea, decoupled and standard turn a FluentCredential that asks a server in Fluent's dialect into one that asks it
// in another.
func commerceLayer(cred *v1alpha1.FluentCredential) {
	cred.Spec.Provider = v1alpha1.ProviderSpec{CommerceLayer: &v1alpha1.CommerceLayerProvider{BaseURL: cred.Spec.Provider.Fluent.BaseURL}}
	cred.Spec.Scope = "market:1234"
}

func nordea(cred *v1alpha1.FluentCredential) {
	cred.Spec.Provider = v1alpha1.ProviderSpec{Nordea: &v1alpha1.NordeaProvider{BaseURL: cred.Spec.Provider.Fluent.BaseURL}}
	cred.Spec.Scope = ""
}

func decoupled(cred *v1alpha1.FluentCredential) {
	nordea(cred)
	cred.Spec.Provider.Nordea.Flow = v1alpha1.NordeaDecoupled
}

func standard(cred *v1alpha1.FluentCredential) {
	url := v1alpha1.TokenURL(cred.Spec.Provider.Fluent.BaseURL)
	cred.Spec.Provider = v1alpha1.ProviderSpec{OAuth2: &v1alpha1.OAuth2Provider{
		TokenURL: url + "/oauth/token", RevocationURL: url + "/oauth/revoke", ClientAuthentication: v1alpha1.ClientAuthBasic,
	}}
}

// api is one of the APIs, as a credential asks it and as the server speaks it.
type api struct {
	dialect authsim.Dialect
	asks    func(*v1alpha1.FluentCredential)
	source  authsim.Source
	client  authsim.ClientAuth
}

// apis are those that authsim speaks beside Fluent's, in every encoding.
var apis = map[string]api{
	"commerceLayer":    {authsim.DialectCommerceLayer, commerceLayer, authsim.SourceJSON, authsim.ClientAuthBody},
	"nordea":           {authsim.DialectNordea, nordea, authsim.SourceForm, authsim.ClientAuthHeader},
	"nordea decoupled": {authsim.DialectNordea, decoupled, authsim.SourceJSON, authsim.ClientAuthHeader},
	"oauth2 Basic":     {authsim.DialectOAuth2, standard, authsim.SourceForm, authsim.ClientAuthBasic},
	"oauth2 JSON": {authsim.DialectOAuth2, func(cred *v1alpha1.FluentCredential) {
		standard(cred)
		cred.Spec.Provider.OAuth2.ParameterStyle, cred.Spec.Provider.OAuth2.ClientAuthentication = v1alpha1.ParametersJSON, v1alpha1.ClientAuthBody
	}, authsim.SourceJSON, authsim.ClientAuthBody},
	"oauth2 Query": {authsim.DialectOAuth2, func(cred *v1alpha1.FluentCredential) {
		standard(cred)
		cred.Spec.Provider.OAuth2.ParameterStyle, cred.Spec.Provider.OAuth2.ClientAuthentication = v1alpha1.ParametersQuery, v1alpha1.ClientAuthBody
	}, authsim.SourceQuery, authsim.ClientAuthBody},
}

// withoutUser leaves a login that cannot begin by itself: a person has to bring a seed.
func withoutUser(login *corev1.Secret) {
	delete(login.StringData, "username")
	delete(login.StringData, "password")
}

// setSeed puts a seed into the credentials Secret, where the operator's cache sees it.
func (d *driven) setSeed(key, value string) {
	d.t.Helper()
	d.setLogin(func(login map[string][]byte) { login[key] = []byte(value) })
}

// setLogin changes the credentials Secret and waits for the cache to follow.
func (d *driven) setLogin(change func(map[string][]byte)) {
	d.t.Helper()
	written := edit(d.t, secret(d.t, d.cred.Namespace, "orders-login"), func(login *corev1.Secret) { change(login.Data) })
	eventually(d.t, "the cache shows the login", func() (bool, any) {
		cached := secretMetadata()
		err := d.Client.Get(d.t.Context(), keyOf(written), cached)
		return err == nil && cached.ResourceVersion == written.ResourceVersion, err
	})
}

// says is the reason and message of a condition.
func (d *driven) says(condition string) string {
	d.t.Helper()
	for _, found := range d.status().Conditions {
		if found.Type == condition {
			return strings.TrimSpace(string(found.Status) + " " + found.Reason + " " + found.Message)
		}
	}
	return ""
}

func newSpeaking(t *testing.T, of api, change func(*authsim.Config), login func(*corev1.Secret)) *driven {
	t.Helper()
	return newDrivenWith(t, speaking(of.dialect, change), login, of.asks)
}
