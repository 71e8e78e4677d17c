package token

import "time"

// Grant is the way by which a token is obtained; its values are those of grant_type (RFC 6749).
type Grant string

// The grants.
const (
	Password          Grant = "password"
	RefreshToken      Grant = "refresh_token"
	AuthorizationCode Grant = "authorization_code"
	ClientCredentials Grant = "client_credentials"
)

// Set is what one granted reply brings.
type Set struct {
	Access  Secret
	Refresh Secret // zero where the reply has none
	Type    string // as the API writes it
	Scope   string // empty where the reply has none
	// Life is the life of the access token, counted from the moment before the request was sent.
	Life time.Duration
	// LifeUnknown is true where the reply does not say how long the token lives.
	LifeUnknown bool
	// Age is how old the token was when the API answered, by the API's own clock; zero where it does not tell.
	Age      time.Duration
	Identity Identity
	Extra    map[string]string // the reply's other fields that are scalars
}

// Identity is whose token it is, as the API's reply says.
type Identity struct {
	RetailerID string   `json:"retailerID,omitempty"`
	Roles      []string `json:"roles,omitempty"`
	FirstName  string   `json:"firstName,omitempty"`
	LastName   string   `json:"lastName,omitempty"`
	OwnerID    string   `json:"ownerID,omitempty"`
	OwnerType  string   `json:"ownerType,omitempty"`
}

// Login is what a credentials Secret holds, and what is sent with it.
type Login struct {
	Username     string
	Password     Secret
	ClientID     string
	ClientSecret Secret
	Refresh      Secret // a seed: a refresh token that a person obtained
	Code         Secret // a seed: an authorization code
	RedirectURI  string
	Scope        string
}
