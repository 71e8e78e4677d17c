package token

import (
	"strings"
	"time"
)

// Grant is the way by which a token is obtained; its values are those of grant_type (RFC 6749).
type Grant string

// The grants.
const (
	Password          Grant = "password"
	RefreshToken      Grant = "refresh_token"
	AuthorizationCode Grant = "authorization_code"
	ClientCredentials Grant = "client_credentials"
)

// Grants returns all grants in the order of their declaration.
func Grants() []Grant { return []Grant{Password, RefreshToken, AuthorizationCode, ClientCredentials} }

// Set is what one granted reply brings.
type Set struct {
	Access  Secret
	Refresh Secret // zero where the reply has none
	Type    string // as the API writes it, without characters that no type has
	Scope   string // empty where the reply has none
	// Life is the life of the access token, counted from the moment before the request was sent.
	Life time.Duration
	// LifeUnknown is true where the reply does not say how long the token lives.
	LifeUnknown bool
	// LifeZero is true if the reply states that the token has no life left, and the API documents no such reply.
	// LifeUnknown is true then, too.
	LifeZero bool
	// JWTLife and JWTAge are the life and age that the access token itself states if it is a JWT; zero if it is none.
	JWTLife time.Duration
	JWTAge  time.Duration
	// Age is how old the token was when the API answered, by the API's own clock; zero where it does not tell.
	Age      time.Duration
	Identity Identity
	Extra    map[string]string // the reply's other fields that are scalars
}

// LongLife is the life beyond which an access token's life is more likely a mistake, such as milliseconds, than
// intended.
const LongLife = 30 * 24 * time.Hour

// maxType bounds a token type.
const maxType = 64

// CleanType returns the part of a token type that is a token of HTTP (RFC 9110 section 5.6.2). It begins a header, so
// nothing is kept that could end the header or be read as a part of the credentials.
func CleanType(tokenType string) string {
	tokenType = strings.TrimSpace(tokenType)
	if end := strings.IndexFunc(tokenType, func(r rune) bool { return !isTokenChar(r) }); end >= 0 {
		tokenType = tokenType[:end]
	}
	return tokenType[:min(len(tokenType), maxType)]
}

func isTokenChar(r rune) bool {
	isAlphanumeric := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	return isAlphanumeric || strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// Scheme returns a token type in the form that begins the header Authorization. Every spelling of bearer, and no type
// at all, becomes Bearer (RFC 6750 section 2.1); another type stays as it is.
func Scheme(tokenType string) string {
	clean := CleanType(tokenType)
	switch strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(clean)) {
	case "", "bearer", "bearertoken":
		return "Bearer"
	}
	return clean
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
	// Hidden says which of the values that are usually no secrets come from an entry that may hold one.
	Hidden Hidden
}

// Hidden names values of a Login that are treated as secrets.
type Hidden struct{ Username, ClientID, RedirectURI bool }

// Secrets returns the values of a login that must not be shown.
func (l Login) Secrets() []Secret {
	secrets := []Secret{l.Password, l.ClientSecret, l.Refresh, l.Code}
	if l.Hidden.Username {
		secrets = append(secrets, NewSecret(l.Username))
	}
	if l.Hidden.ClientID {
		secrets = append(secrets, NewSecret(l.ClientID))
	}
	if l.Hidden.RedirectURI {
		secrets = append(secrets, NewSecret(l.RedirectURI))
	}
	return secrets
}
