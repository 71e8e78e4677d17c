package authsim

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

// Dialect is the API that a tenant speaks. The empty one is DialectFluent.
type Dialect string

// The dialects.
const (
	DialectFluent        Dialect = "fluent"
	DialectCommerceLayer Dialect = "commercelayer"
	DialectNordea        Dialect = "nordea"
	DialectOAuth2        Dialect = "oauth2" // RFC 6749 and RFC 7009, nothing else
)

// Dialects are all of them.
func Dialects() []Dialect {
	return []Dialect{DialectFluent, DialectCommerceLayer, DialectNordea, DialectOAuth2}
}

// traits is what a dialect makes of the server that all of them share.
type traits struct {
	// endpoints are the token endpoints and the places where each reads its
	// parameters. What is elsewhere is not seen.
	endpoints map[string][]Source
	grants    []string
	// client finds the client's id and secret in the request.
	client func(*asked, *http.Request)
	// granted is the body of a reply that hands out tokens.
	granted func(s *Server, handed pair, expiresIn json.RawMessage) any
	// refused is the reply that says no; nil: the error of RFC 6749.
	refused func(ruling) answer
	// revoked is the reply of /oauth/revoke; nil: there is no such endpoint.
	revoked func() answer

	accessLifetime  time.Duration
	refreshLifetime time.Duration // 0: for ever
	perMinute       int           // token requests in a minute; 0: any number
	// repeatsUntil is how long before its expiry a token is replaced by another
	// one where client credentials ask again; 0: they get a new one each time.
	repeatsUntil time.Duration
}

var dialects = map[Dialect]traits{
	DialectFluent: {
		endpoints:      map[string][]Source{"/oauth/token": {SourceQuery, SourceForm}},
		grants:         []string{GrantPassword, GrantRefreshToken},
		client:         (*asked).clientInParameters,
		granted:        (*Server).fluentGrant,
		accessLifetime: 24 * time.Hour, // the vendor's examples: 86386 seconds remain of a token that is a few seconds old
	},
	DialectCommerceLayer: {
		endpoints:       map[string][]Source{"/oauth/token": {SourceJSON}},
		grants:          []string{GrantPassword, GrantRefreshToken, GrantClientCredentials, GrantAuthorizationCode},
		client:          (*asked).clientInParameters,
		granted:         (*Server).commerceLayerGrant,
		revoked:         func() answer { return jsonAnswer(http.StatusOK, struct{}{}) },
		accessLifetime:  2 * time.Hour,
		refreshLifetime: 14 * 24 * time.Hour,
		perMinute:       30,
		repeatsUntil:    15 * time.Minute,
	},
	DialectNordea: {
		endpoints: map[string][]Source{
			"/v3/authorize/token":           {SourceForm},
			"/v3/authorize-decoupled/token": {SourceJSON},
			"/personal/v5/authorize/token":  {SourceForm},
		},
		grants:         []string{GrantAuthorizationCode, GrantRefreshToken},
		client:         (*asked).clientInIBMHeaders,
		granted:        (*Server).nordeaGrant,
		refused:        nordeaRefusal,
		accessLifetime: 5 * time.Minute,
	},
	DialectOAuth2: {
		endpoints:      map[string][]Source{"/oauth/token": {SourceQuery, SourceForm, SourceJSON}},
		grants:         []string{GrantPassword, GrantRefreshToken, GrantClientCredentials, GrantAuthorizationCode},
		client:         (*asked).clientInParametersOrBasic,
		granted:        (*Server).plainGrant,
		revoked:        func() answer { return answer{status: http.StatusOK, header: http.Header{}} },
		accessLifetime: time.Hour,
	},
}

// revocationSources is where a dialect's revocation endpoint reads its
// parameters: never in the URL (RFC 7009 section 2.1).
func (t traits) revocationSources() []Source {
	places := slices.Clone(t.endpoints["/oauth/token"])
	return slices.DeleteFunc(places, func(place Source) bool { return place == SourceQuery })
}

func (t traits) knows(grant string) bool { return slices.Contains(t.grants, grant) }

// speak gives a refusal the dialect's shape.
func (t traits) speak(ruled ruling) ruling {
	if t.refused != nil && ruled.description != "" {
		ruled.answer = t.refused(ruled)
	}
	return ruled
}
