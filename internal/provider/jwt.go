package provider

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/fluent-credential/operator/internal/token"
)

// jwtLife is the life that an access token says of itself if it is a JWT (RFC 7519 section 4.1): exp − iat, else exp − the reply's Date; zero
// if it is no JWT, or says nothing that makes sense. The signature is not checked, and the life is a hint, never a proof of anything.
//
// The age is the reply's Date − iat: how old the token was when the API answered, by clocks of its own.
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
	expires, issued := claims.numericDate("exp"), claims.numericDate("iat")
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

// within drops a time that is negative, and cuts one that is longer than any token lives.
func within(span time.Duration) time.Duration { return max(0, min(span, maxLife)) }
