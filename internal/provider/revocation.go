package provider

import (
	"net/url"
	"strings"

	"github.com/fluent-credential/operator/internal/token"
)

// revocationParameters are those of RFC 7009 section 2.1, without client authentication.
func revocationParameters(login token.Login) parameters {
	return parameters{"token": login.Refresh, "token_type_hint": token.NewSecret(string(token.RefreshToken))}
}

// ReadRevocation tells what is wrong where a reply does not say that the token is revoked. Any 2xx does: an API answers so for a
// token that it does not know, too (RFC 7009 section 2.2).
func ReadRevocation(reply Reply) (problem Problem, revoked bool) {
	switch reply.Status / 100 {
	case 2:
		return Problem{}, true
	case 3:
		return redirected(reply), false
	}
	problem = dialect{}.problem("", read(reply), reply)
	problem.Status = reply.Status
	return problem, false
}

// sameOrigin tells whether two endpoints are on the same host: a token goes to nobody else than who gave it.
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Host, b.Host)
}
