package authsim

import (
	"time"
)

// Ledger is everything a server was asked and everything it gave. It holds
// token values in the clear.
type Ledger struct {
	Requests       int `json:"requests"`       // to the token endpoint, whatever became of them
	PasswordGrants int `json:"passwordGrants"` // password grants that were granted
	RefreshGrants  int `json:"refreshGrants"`  // refresh grants that were granted
	LoginsRefused  int `json:"loginsRefused"`  // password grants refused for the login's sake, by a fault too
	Reuses         int `json:"reuses"`         // presentations of a refresh token or a code that was spent already
	Revocations    int `json:"revocations"`    // requests that revoked a refresh token of this server

	// Presentations counts by ID of the refresh token or code how often each was
	// sent here, also where a fault kept the request from being processed. What
	// this server never issued counts under UnknownToken.
	Presentations map[string]int `json:"presentations"`

	TokenRequests []TokenRequest `json:"tokenRequests"` // in the order of arrival
	AccessTokens  []AccessToken  `json:"accessTokens"`  // in the order of issue
	RefreshTokens []RefreshToken `json:"refreshTokens"` // in the order of issue

	Codes              []Code              `json:"codes,omitempty"`              // in the order of issue
	RevocationRequests []RevocationRequest `json:"revocationRequests,omitempty"` // in the order of arrival
}

// UnknownToken stands for any refresh token that this server never issued.
const UnknownToken = "unknown"

// Source tells where the parameters of a token request were.
type Source string

// The sources of parameters.
const (
	SourceQuery Source = "query" // all in the URL
	SourceForm  Source = "form"  // all in the body, urlencoded
	SourceJSON  Source = "json"  // all in the body, as a JSON object
	SourceBoth  Source = "both"  // some here, some there
	SourceNone  Source = "none"  // no parameter that this server knows
)

// ClientAuth tells how a client sent its secret.
type ClientAuth string

// The ways of client authentication. The empty one: no secret was sent.
const (
	ClientAuthBody   ClientAuth = "body"   // as a parameter, wherever the parameters are
	ClientAuthBasic  ClientAuth = "basic"  // HTTP Basic
	ClientAuthHeader ClientAuth = "header" // a header of the vendor's own
)

// Outcome is what the server made of a token request: one of these, or the code
// that a refuse fault chose.
type Outcome string

// The outcomes.
const (
	OutcomePending     Outcome = "pending"     // held up by a slow fault
	OutcomeGranted     Outcome = "granted"     // tokens were issued, or handed out again
	OutcomeUnprocessed Outcome = "unprocessed" // a fault came first: nothing changed here
	OutcomeLocked      Outcome = "locked"      // the answer for a locked SSO user

	OutcomeRevoked      Outcome = "revoked"       // the family of the refresh token was ended
	OutcomeUnknownToken Outcome = "unknown_token" // there was nothing to revoke, which is no error

	// The OAuth error codes that this server answers with.
	OutcomeInvalidRequest     Outcome = "invalid_request"
	OutcomeInvalidClient      Outcome = "invalid_client"
	OutcomeUnauthorizedClient Outcome = "unauthorized_client"
	OutcomeInvalidGrant       Outcome = "invalid_grant"
	OutcomeInvalidScope       Outcome = "invalid_scope"
	OutcomeUnsupportedGrant   Outcome = "unsupported_grant_type"
)

// The grant types that the dialects know.
const (
	GrantPassword          = "password"
	GrantRefreshToken      = "refresh_token"
	GrantClientCredentials = "client_credentials"
	GrantAuthorizationCode = "authorization_code"

	// GrantRevocation is no grant: it names requests to the revocation endpoint,
	// for faults.
	GrantRevocation = "revocation"
)

// TokenRequest is one request to the token endpoint.
type TokenRequest struct {
	Seq      int       `json:"seq"` // from 1
	Time     time.Time `json:"time"`
	Grant    string    `json:"grant,omitempty"`
	ClientID string    `json:"clientID,omitempty"`
	Username string    `json:"username,omitempty"` // as sent, or the owner of what is presented
	Account  string    `json:"account,omitempty"`  // the header fluent.account, as sent
	Source   Source    `json:"source"`

	ClientAuth ClientAuth `json:"clientAuth,omitempty"`

	Presented string  `json:"presented,omitempty"` // ID of the refresh token or code that was sent, or UnknownToken
	Reuse     bool    `json:"reuse,omitempty"`     // it was spent already
	Locked    bool    `json:"locked,omitempty"`    // the user name was locked
	Outcome   Outcome `json:"outcome"`
	Status    int     `json:"status,omitempty"` // of the HTTP reply; 0: none was sent
	Fault     string  `json:"fault,omitempty"`  // the fault applied, in its text form

	// Delivered: the whole reply was handed to the connection and the client
	// was still there, as far as a server can tell.
	Delivered bool `json:"delivered"`

	AccessToken  string `json:"accessToken,omitempty"`  // ID of the access token handed out, whether or not the reply arrived
	RefreshToken string `json:"refreshToken,omitempty"` // ID of the refresh token handed out with it
}

// refusedLogin reports whether the client was told that its login is no good.
func (r TokenRequest) refusedLogin() bool {
	return r.Grant == GrantPassword && (r.Outcome == OutcomeInvalidGrant || r.Outcome == OutcomeLocked)
}

// AccessToken is one access token that was issued.
type AccessToken struct {
	ID       string `json:"id"`
	Value    string `json:"value"`
	Family   int    `json:"family"` // one per login or seed, from 1
	Serial   int    `json:"serial"` // within the access tokens of the family, from 1
	ClientID string `json:"clientID"`
	Username string `json:"username"`
	Scope    string `json:"scope"`

	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"`
	Killed  time.Time `json:"killed,omitzero"` // zero: it lives, or lived, until it expires

	Accepted int `json:"accepted"` // times it opened /api/ping
	Rejected int `json:"rejected"` // times it was presented there dead
}

// lives reports whether the token opens a protected endpoint.
func (t *AccessToken) lives(now time.Time) bool {
	return t.Killed.IsZero() && now.Before(t.Expires)
}

// kill ends the life of a token; one that is dead stays as it is.
func (t *AccessToken) kill(now time.Time) {
	if t.lives(now) {
		t.Killed = now
	}
}

// RefreshTokenState is where a refresh token is in its life.
type RefreshTokenState string

// The states of a refresh token.
const (
	RefreshTokenUnused  RefreshTokenState = "unused"
	RefreshTokenSpent   RefreshTokenState = "spent"
	RefreshTokenExpired RefreshTokenState = "expired" // never spent, too old now
	RefreshTokenRevoked RefreshTokenState = "revoked" // never spent, its family was ended
)

// RefreshToken is one refresh token that was issued.
type RefreshToken struct {
	ID       string `json:"id"`
	Value    string `json:"value"`
	Family   int    `json:"family"`
	Serial   int    `json:"serial"` // within the refresh tokens of the family, from 1
	ClientID string `json:"clientID"`
	Username string `json:"username"`
	Scope    string `json:"scope"`

	Issued         time.Time         `json:"issued"`
	Expires        time.Time         `json:"expires,omitzero"` // zero: never
	Presentations  int               `json:"presentations"`
	FirstPresented time.Time         `json:"firstPresented,omitzero"`
	Spent          time.Time         `json:"spent,omitzero"` // when it was honoured and replaced
	Revoked        time.Time         `json:"revoked,omitzero"`
	State          RefreshTokenState `json:"state"` // at the time the ledger was read
}

// stateAt is the state of a token at one instant.
func (t *RefreshToken) stateAt(now time.Time) RefreshTokenState {
	switch {
	case !t.Spent.IsZero():
		return RefreshTokenSpent
	case !t.Revoked.IsZero():
		return RefreshTokenRevoked
	case !t.Expires.IsZero() && !now.Before(t.Expires):
		return RefreshTokenExpired
	}
	return RefreshTokenUnused
}

// usable reports whether a refresh with this token would be granted.
func (t *RefreshToken) usable(now time.Time) bool {
	return t.stateAt(now) == RefreshTokenUnused
}

// RequestsOf counts the requests for one grant type, granted or not.
func (l Ledger) RequestsOf(grant string) int {
	count := 0
	for _, request := range l.TokenRequests {
		if request.Grant == grant {
			count++
		}
	}
	return count
}

// AccessTokenByValue finds an issued access token.
func (l Ledger) AccessTokenByValue(value string) (AccessToken, bool) {
	for _, token := range l.AccessTokens {
		if token.Value == value {
			return token, true
		}
	}
	return AccessToken{}, false
}

// RefreshTokenByValue finds an issued refresh token.
func (l Ledger) RefreshTokenByValue(value string) (RefreshToken, bool) {
	for _, token := range l.RefreshTokens {
		if token.Value == value {
			return token, true
		}
	}
	return RefreshToken{}, false
}
