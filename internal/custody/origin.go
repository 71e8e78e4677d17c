package custody

import (
	"cmp"
	"slices"

	"github.com/fluent-credential/operator/internal/token"
)

// Origin says where, by whom and in which way a token family was obtained: hashes, under a salt of its own, of what must
// not change while a refresh token of the family is presented. It is written with the claim and handed on from token to
// token, so that neither a rotation nor a restart gives a family another origin. An Origin is never modified once it is
// stored.
type Origin struct {
	Salt                 string `json:"salt"`
	Endpoint             string `json:"endpoint"` // the API and its token endpoint
	Client               string `json:"client"`
	Scope                string `json:"scope"`
	User                 string `json:"user,omitempty"` // empty: the login names no user, and continues any family
	ParameterStyle       string `json:"parameterStyle"`
	ClientAuthentication string `json:"clientAuthentication"`
	Headers              string `json:"headers"`
	// Trust has one hash for each certificate that was trusted beside the system's, sorted, or one hash of all if there
	// were more than MaxTrust.
	Trust []string `json:"trust,omitempty"`
	// Revocation is the revocation endpoint. Empty: an operator without this field obtained the family, so its
	// revocation endpoint is not known.
	Revocation string `json:"revocation,omitempty"`
}

// MaxTrust is the maximum number of certificates that an origin lists. A caBundle of 64 KiB holds fewer.
const MaxTrust = 160

// Changes returns what of an origin is different now, as nouns for a sentence, and nothing if a refresh token of the
// family may be presented. Trust that became narrower is no change: what is trusted now was trusted then.
func (o *Origin) Changes(now Origin) []string {
	var changed []string
	differ := func(what, then, now string) {
		if then != now {
			changed = append(changed, what)
		}
	}
	differ("token endpoint", o.Endpoint, now.Endpoint)
	differ("client", o.Client, now.Client)
	differ("scope", o.Scope, now.Scope)
	differ("user", cmp.Or(o.User, now.User), cmp.Or(now.User, o.User))
	differ("parameterStyle", o.ParameterStyle, now.ParameterStyle)
	differ("clientAuthentication", o.ClientAuthentication, now.ClientAuthentication)
	differ("header", o.Headers, now.Headers)
	isNew := func(certificate string) bool { return !slices.Contains(o.Trust, certificate) }
	if slices.ContainsFunc(now.Trust, isNew) {
		changed = append(changed, "caBundle")
	}
	return changed
}

// RevocationChanged reports whether the revocation endpoint is known and is another one now.
func (o *Origin) RevocationChanged(now Origin) bool {
	return o.Revocation != "" && o.Revocation != now.Revocation
}

// LacksOrigin reports whether a token or a refresh token was stored by an operator that recorded no origins.
func (s State) LacksOrigin() bool {
	return s.Token != nil && s.Token.Origin == nil || s.Chain != nil && s.Chain.Origin == nil
}

// Adopted returns the state with an origin for what lacks one.
func (s State) Adopted(origin Origin) State {
	if s.Token != nil && s.Token.Origin == nil {
		adopted := *s.Token
		adopted.Origin = &origin
		s.Token = &adopted
	}
	if s.Chain != nil && s.Chain.Origin == nil {
		adopted := *s.Chain
		adopted.Origin = &origin
		s.Chain = &adopted
	}
	return s
}

// OriginOf returns the origin of what a claim obtains. A claim of an operator that recorded no origins has none: if it
// spends the stored refresh token, the family's origin is handed on.
func (s State) OriginOf(claim Claim) *Origin {
	if claim.Origin != nil || !s.spendsChain(claim) {
		return claim.Origin
	}
	return s.Chain.Origin
}

// InputsOf returns the former form of the origin of what a claim obtains: the present one, except for a claim without an
// origin that continues the stored family.
func (s State) InputsOf(claim Claim, now string) string {
	switch {
	case claim.Inputs != "":
		return claim.Inputs
	case s.Token != nil && s.spendsChain(claim):
		return s.Token.Inputs
	}
	return now
}

func (s State) spendsChain(claim Claim) bool {
	return s.Chain != nil && claim.Grant == token.RefreshToken && s.Chain.Refresh.Hash(s.Salt) == claim.Spends
}
