package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ProviderSpec is the authentication API: exactly one of its members.
//
// +kubebuilder:validation:XValidation:rule="[has(self.fluent), has(self.commerceLayer), has(self.nordea), has(self.oauth2)].exists_one(p, p)",message="set exactly one of fluent, commerceLayer, nordea, oauth2"
type ProviderSpec struct {
	// fluent is the Fluent Commerce API.
	// +optional
	Fluent *FluentProvider `json:"fluent,omitempty"`
	// commerceLayer is the Commerce Layer API.
	// +optional
	CommerceLayer *CommerceLayerProvider `json:"commerceLayer,omitempty"`
	// nordea is the Nordea Open Banking API.
	// +optional
	Nordea *NordeaProvider `json:"nordea,omitempty"`
	// oauth2 is any token endpoint of RFC 6749.
	// +optional
	OAuth2 *OAuth2Provider `json:"oauth2,omitempty"`
}

// EndpointOptions are common to all providers.
type EndpointOptions struct {
	// headers are extra request headers, name to value.
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^[A-Za-z0-9!#$%&*+.^_|~-]{1,128}$'))",message="a header's name is 1 to 128 letters, digits or -_. (RFC 9110 section 5.6.2)"
	// +kubebuilder:validation:XValidation:rule="self.map(k, size(k) + size(self[k])).sum() <= 16384",message="the headers have at most 16384 characters in all, with their names"
	// +optional
	Headers map[string]HeaderValue `json:"headers,omitempty"`
	// caBundle is PEM certificates to trust for this endpoint, beside the system's.
	// +kubebuilder:validation:MaxLength=65536
	// +optional
	CABundle string `json:"caBundle,omitempty"`
}

// HeaderValue is the value of a request header: visible characters, spaces and tabs on one line (RFC 9110 section 5.5).
//
// +kubebuilder:validation:MaxLength=4096
// +kubebuilder:validation:Pattern=`^[\x21-\x7E]([\x20-\x7E\t]*[\x21-\x7E])?$`
type HeaderValue string

// BaseURL is an absolute https:// URL without query and fragment, of visible ASCII characters. The scheme http is for development: see --insecure-http.
//
// +kubebuilder:validation:MaxLength=2048
// +kubebuilder:validation:Pattern=`^https?://[\x21\x22\x24-\x2E\x30-\x3E\x41-\x7E]+(/[\x21\x22\x24-\x3E\x40-\x7E]*)?$`
type BaseURL string

// TokenURL is an absolute https:// URL without fragment, of visible ASCII characters. The scheme http is for development: see --insecure-http.
//
// +kubebuilder:validation:MaxLength=2048
// +kubebuilder:validation:Pattern=`^https?://[\x21\x22\x24-\x2E\x30-\x3E\x41-\x7E]+(/[\x21\x22\x24-\x3E\x40-\x7E]*)?(\?[\x21\x22\x24-\x7E]*)?$`
type TokenURL string

// FluentProvider is the Fluent Commerce API.
//
// +kubebuilder:validation:XValidation:rule="has(self.account) || has(self.baseURL)",message="set account or baseURL"
type FluentProvider struct {
	// account is the account id; the host is <account>.sandbox.api.fluentretail.com, or <account>.api.fluentretail.com in
	// production.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$`
	// +optional
	Account string `json:"account,omitempty"`
	// environment of the account.
	// +kubebuilder:default=Sandbox
	// +optional
	Environment FluentEnvironment `json:"environment,omitempty"`
	// baseURL replaces the host that follows from account and environment.
	// +optional
	BaseURL BaseURL `json:"baseURL,omitempty"`
	// parameterStyle says where the parameters go: in the body (Form), or in the URL (Query), as older documentation of the API
	// shows.
	// +kubebuilder:default=Form
	// +optional
	ParameterStyle FluentParameterStyle `json:"parameterStyle,omitempty"`

	EndpointOptions `json:",inline"`
}

// FluentEnvironment is one of the environments of a Fluent account.
//
// +kubebuilder:validation:Enum=Sandbox;Production
type FluentEnvironment string

// The environments of a Fluent account.
const (
	FluentSandbox    FluentEnvironment = "Sandbox"
	FluentProduction FluentEnvironment = "Production"
)

// FluentParameterStyle says where the parameters of a request to the Fluent API go.
//
// +kubebuilder:validation:Enum=Form;Query
type FluentParameterStyle string

// CommerceLayerProvider is the Commerce Layer API.
type CommerceLayerProvider struct {
	// baseURL of the authentication API; the older https://<organization>.commercelayer.io works too.
	// +kubebuilder:default="https://auth.commercelayer.io"
	// +optional
	BaseURL BaseURL `json:"baseURL,omitempty"`

	EndpointOptions `json:",inline"`
}

// NordeaProvider is the Nordea Open Banking API.
type NordeaProvider struct {
	// baseURL of the API.
	// +kubebuilder:default="https://api.nordeaopenbanking.com"
	// +optional
	BaseURL BaseURL `json:"baseURL,omitempty"`
	// flow by which the user authorized: Redirect (/v3/authorize/token, form) or Decoupled (/v3/authorize-decoupled/token, JSON).
	// +kubebuilder:default=Redirect
	// +optional
	Flow NordeaFlow `json:"flow,omitempty"`
	// path replaces the flow's path, for later versions of the API.
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^/[\x21\x22\x24-\x3E\x40-\x7E]*$`
	// +optional
	Path string `json:"path,omitempty"`

	EndpointOptions `json:",inline"`
}

// NordeaFlow is the flow by which a user authorized.
//
// +kubebuilder:validation:Enum=Redirect;Decoupled
type NordeaFlow string

// The flows.
const (
	NordeaRedirect  NordeaFlow = "Redirect"
	NordeaDecoupled NordeaFlow = "Decoupled"
)

// OAuth2Provider is any token endpoint of RFC 6749.
type OAuth2Provider struct {
	// tokenURL is the token endpoint (RFC 6749 section 3.2).
	TokenURL TokenURL `json:"tokenURL"`
	// revocationURL is the revocation endpoint (RFC 7009); it must be on the host of tokenURL. The refresh token is revoked there
	// when the FluentCredential is deleted, unless spec.suspend is true or target.deletionPolicy is Retain.
	// +optional
	RevocationURL TokenURL `json:"revocationURL,omitempty"`
	// refreshTokenLifetime is how long the server keeps a refresh token that is not used. Where access tokens outlive it, they are
	// refreshed early, while a quarter of it is left. Unset: refresh tokens have no end.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=duration
	// +kubebuilder:validation:XValidation:rule="self >= duration('5m')",message="refreshTokenLifetime is at least 5m"
	// +optional
	RefreshTokenLifetime *metav1.Duration `json:"refreshTokenLifetime,omitempty"`
	// parameterStyle says how the parameters are sent: Form is the standard's.
	// +kubebuilder:default=Form
	// +optional
	ParameterStyle ParameterStyle `json:"parameterStyle,omitempty"`
	// clientAuthentication says how the client authenticates: with client_id and client_secret in the body, by HTTP Basic
	// (RFC 6749 section 2.3.1), or not at all (only client_id is sent).
	// +kubebuilder:default=Body
	// +optional
	ClientAuthentication ClientAuthentication `json:"clientAuthentication,omitempty"`

	EndpointOptions `json:",inline"`
}

// ParameterStyle says how the parameters of a request are sent.
//
// +kubebuilder:validation:Enum=Form;JSON;Query
type ParameterStyle string

// The parameter styles.
const (
	ParametersForm  ParameterStyle = "Form"
	ParametersJSON  ParameterStyle = "JSON"
	ParametersQuery ParameterStyle = "Query"
)

// ClientAuthentication says how the client authenticates.
//
// +kubebuilder:validation:Enum=Body;Basic;None
type ClientAuthentication string

// The ways of client authentication.
const (
	ClientAuthBody  ClientAuthentication = "Body"
	ClientAuthBasic ClientAuthentication = "Basic"
	ClientAuthNone  ClientAuthentication = "None"
)
