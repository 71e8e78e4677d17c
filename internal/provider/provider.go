// Package provider knows the authentication APIs, one file each: how a request is built and how a reply is read. It does no I/O.
package provider

import (
	"net/http"
	"net/url"
	"time"

	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/token"
)

// API is one authentication API, as one FluentCredential configures it.
type API interface {
	// Name is the member of spec.provider: fluent, commerceLayer, nordea or oauth2.
	Name() string
	// Endpoint is the token endpoint, without the parameters of a request.
	Endpoint() *url.URL
	// Identity is what a token family is bound to beside the login.
	Identity() Identity
	// Supports tells whether the API documents a grant. Request builds the others too, where it can: an API may know more than its
	// documentation.
	Supports(grant token.Grant) bool
	// ClientActsAlone tells whether a client that has no secret is given a token of its own (client credentials), too.
	ClientActsAlone() bool
	// Request builds the request of one exchange.
	Request(grant token.Grant, login token.Login) (Request, error)
	// Read says what a reply means. It never fails: what cannot be understood is Unknown.
	Read(grant token.Grant, reply Reply) Answer
	// Revocation builds the request that ends the life of the login's refresh token; ok is false where the API has none.
	Revocation(login token.Login) (request Request, ok bool)
	// IdleLife is how long a refresh token lives that is not used; zero where the API sets or documents no end.
	IdleLife() time.Duration
	// RenewalWindow is the last part of an access token's life, in which alone the grant brings another one; zero where it does at any
	// time, or where nothing is documented.
	RenewalWindow(grant token.Grant) time.Duration
	// RequestsPerMinute is how many requests the API takes from one client; zero where it sets or documents no limit.
	RequestsPerMinute() int
}

// Request is one request, in parts that cannot be printed by accident.
type Request struct {
	URL    token.Secret // with query parameters, where the API wants them there
	Header map[string]token.Secret
	Body   token.Secret
	// CABundle is PEM certificates to trust beside the system's.
	CABundle string
	// Secrets are the values that must not come back in an error message.
	Secrets []token.Secret
}

// Reply is the API's reply.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// Answer is what a reply means.
type Answer struct {
	Verdict token.Verdict
	Set     token.Set // of a Granted answer
	Problem Problem   // of any other
	// Cause is what to wait for after any answer other than Granted. The verdict and the Cause are independent of each
	// other.
	Cause failure.Cause
	// RetryAfter is how long the API asks to wait; zero where it does not.
	RetryAfter time.Duration
}

// Problem is what the API says is wrong, in its own words; package exchange makes them fit to be shown.
type Problem struct {
	Status      int    // HTTP status; zero where there was no reply
	Code        string // the API's error code, for example invalid_grant
	Description string
}

// Identity is what decides where a refresh token of this API is sent to, in which form, and whom the operator believes
// to be there. A family that was obtained under one Identity is presented under no other.
type Identity struct {
	// RevocationURL is where a refresh token is revoked, if the spec names that endpoint on its own.
	RevocationURL string
	// NamesRevocation is true if the spec can name the revocation endpoint; it follows from the token endpoint otherwise.
	NamesRevocation      bool
	ParameterStyle       ParameterStyle
	ClientAuthentication ClientAuthentication
	Headers              map[string]string
	CABundle             string
}

// Options are common to all APIs.
type Options struct {
	Headers  map[string]string
	CABundle string
}
