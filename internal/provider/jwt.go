package provider

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/fluent-credential/operator/internal/token"
)

// jwtLife returns the lifetime that an access token states if it is a JWT (RFC 7519 section 4.1): exp − iat, else exp −
// the reply's Date; zero if it is no JWT, or has no plausible claims. The signature is not checked, and the lifetime is
// a hint, never a proof.
//
// The age is the reply's Date − iat: how old the token was when the API answered, by the API's own clocks.
func jwtLife(access token.Secret, header http.Header) (life, age time.Duration) {
	parts := strings.Split(access.Reveal(), ".")
	if len(parts) != 3 {
		return 0, 0
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return 0, 0
	}
	claims, err := parseFields(payload)
	if err != nil {
		return 0, 0
	}
	expires := claims.numericDate("exp")
	issued := claims.numericDate("iat")
	answered, err := http.ParseTime(header.Get("Date"))
	hasDate := err == nil
	switch {
	case expires.IsZero():
		return 0, 0
	case issued.IsZero() && hasDate:
		return within(expires.Sub(answered)), 0
	case issued.IsZero():
		return 0, 0
	}
	if hasDate {
		age = within(answered.Sub(issued))
	}
	return within(expires.Sub(issued)), age
}

// within drops a negative time, and limits one that is longer than any token lives.
func within(span time.Duration) time.Duration { return max(0, min(span, maxLife)) }
