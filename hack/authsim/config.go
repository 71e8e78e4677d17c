package authsim

import (
	"cmp"
	"strings"
	"time"
)

// defaultScope is granted where neither the client nor the request names one.
const defaultScope = "api"

// Config describes one simulated tenant.
type Config struct {
	Account string           // the tenant's name; told by /healthz, enforced nowhere
	Clock   func() time.Time // nil: time.Now
	Dialect Dialect          // empty: DialectFluent
	Wrapped bool             // Nordea's replies come in an envelope

	Clients []Client
	Users   []User

	AccessTokenLifetime  time.Duration // 0: the dialect's
	RefreshTokenLifetime time.Duration // from issue; 0: the dialect's; negative: for ever
	RateLimit            int           // token requests in any minute; 0: the dialect's; negative: any number

	// SameToken makes a repeated password grant return the same access token
	// while it lives, with the seconds that remain of it and with its still
	// unused refresh token.
	SameToken bool
	// KillOnRefresh lets the access tokens of a family die at the instant its
	// refresh token is honoured. Otherwise they live on until they expire.
	KillOnRefresh bool
	// Lockout locks a user name after 5 refused logins in a rolling 15
	// minutes, until 15 minutes after the last refused one. Meanwhile the right
	// password gets the answer of a wrong one, byte for byte; an SSO user gets
	// an HTTP 500 whose body says code 400.
	Lockout bool

	Faults []Fault // as if given to AddFault at once
}

// Client is one API client of the tenant.
type Client struct {
	ID     string
	Secret string // empty: none is asked for, as of FLUENT_INTEGRATION
	Scope  string // the scopes it may ask for, space separated; empty: any

	NoRefreshTokens     bool          // replies carry no refresh token
	ActsAlone           bool          // client credentials work though it has no secret
	AccessTokenLifetime time.Duration // 0: the tenant's
}

// User is one account that may log in by password.
type User struct {
	Username string
	Password string

	RetailerID int
	Roles      []string
	FirstName  string
	LastName   string
	OwnerID    string // the customer's id at Commerce Layer

	SSO             bool // answers differently while locked, see Config.Lockout
	NoRefreshTokens bool // replies carry no refresh token
}

// mayAsk reports whether every requested scope is one of the client's.
func (c Client) mayAsk(requested string) bool {
	return c.Scope == "" || scopeWithin(requested, c.Scope)
}

// grantedScope is the scope of a new login: what was asked for, or everything
// the client has.
func (c Client) grantedScope(requested string) string {
	switch {
	case requested != "":
		return requested
	case c.Scope != "":
		return c.Scope
	}
	return defaultScope
}

func scopeWithin(requested, granted string) bool {
	allowed := map[string]bool{}
	for _, scope := range strings.Fields(granted) {
		allowed[scope] = true
	}
	for _, scope := range strings.Fields(requested) {
		if !allowed[scope] {
			return false
		}
	}
	return true
}

// accessLifetime is the life of an access token for one client.
func (cfg Config) accessLifetime(c Client) time.Duration {
	if c.AccessTokenLifetime > 0 {
		return c.AccessTokenLifetime
	}
	return cfg.AccessTokenLifetime
}

func (cfg Config) traits() traits {
	known, ok := dialects[cmp.Or(cfg.Dialect, DialectFluent)]
	if !ok {
		panic("authsim: New: no dialect " + string(cfg.Dialect))
	}
	return known
}

// complete fills in what the dialect decides where the config does not.
func (cfg Config) complete(of traits) Config {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	cfg.AccessTokenLifetime = cmp.Or(max(0, cfg.AccessTokenLifetime), of.accessLifetime)
	cfg.RefreshTokenLifetime = max(0, cmp.Or(cfg.RefreshTokenLifetime, of.refreshLifetime))
	cfg.RateLimit = max(0, cmp.Or(cfg.RateLimit, of.perMinute))
	return cfg
}
