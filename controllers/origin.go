package controllers

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"slices"
	"strings"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/plan"
	"github.com/fluent-credential/operator/internal/token"
)

// A refresh token belongs to the origin that it was obtained with, and is neither presented nor revoked under another
// one (docs/adr/0014-origin-of-a-family.md). Who may edit a FluentCredential may not be one who may read its tokens.

// originNow returns what the spec and the login make of an origin, hashed with the given salt.
func (o *observation) originNow(salt string) custody.Origin {
	identity := o.api.Identity()
	headers, _ := json.Marshal(identity.Headers) // strings always encode, sorted by name
	origin := custody.Origin{
		Salt:                 salt,
		Endpoint:             hashOf(salt, o.api.Name(), o.api.Endpoint().String()),
		Client:               hashOf(salt, o.login.ClientID),
		Scope:                hashOf(salt, o.login.Scope),
		ParameterStyle:       hashOf(salt, string(identity.ParameterStyle)),
		ClientAuthentication: hashOf(salt, string(identity.ClientAuthentication)),
		Headers:              hashOf(salt, string(headers)),
		Trust:                trustOf(salt, identity.CABundle),
		Revocation:           hashOf(salt, identity.RevocationURL),
	}
	if o.login.Username != "" {
		origin.User = hashOf(salt, o.login.Username)
	}
	return origin
}

// trustOf returns a hash for each certificate of a bundle, sorted, or one hash for all of them if they are many. What is no
// certificate is trusted by no connection.
func trustOf(salt, bundle string) []string {
	var trusted []string
	for rest := []byte(bundle); ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		if _, err := x509.ParseCertificate(block.Bytes); err == nil {
			trusted = append(trusted, short(hashOf(salt, string(block.Bytes))))
		}
	}
	slices.Sort(trusted)
	trusted = slices.Compact(trusted)
	if len(trusted) > custody.MaxTrust { // the state must not grow with the bundle
		return []string{hashOf(salt, trusted...)}
	}
	return trusted
}

// short cuts a hash to 64 bits, which do to tell the certificates of one bundle apart: the state holds three lists of them.
func short(hash string) string { return hash[:min(len(hash), 16)] }

// inputs is the part of an origin that former operators recorded.
func (o *observation) inputs() string {
	return hashOf("", o.api.Name(), o.api.Endpoint().String(), o.login.ClientID, o.login.Scope)
}

// user names the user of a family. It is kept apart: a login without a user name continues any family.
func (o *observation) user() string { return hashOf(o.record.Salt, o.login.Username) }

// changesSince returns what of an origin has changed, as nouns. Without an origin the former form decides, which an
// operator stored that recorded no more.
func (o *observation) changesSince(origin *custody.Origin) []string {
	stored := o.record.Token
	switch {
	case origin != nil:
		return origin.Changes(o.originNow(origin.Salt))
	case stored == nil:
		return nil
	case stored.Inputs != o.inputs():
		return []string{"token endpoint, client or scope"}
	case stored.User != "" && o.login.Username != "" && stored.User != o.user():
		return []string{"user"}
	}
	return nil
}

// canCompare reports whether the spec and the login can be read. What cannot be read is not another origin.
func (o *observation) canCompare() bool { return o.api != nil && o.obstacle.reason == "" }

// isStale reports whether the stored token belongs to another origin than the spec's. A new revocation endpoint alone is
// no reason to stop: the refresh token is presented where it always was, and revoked nowhere. A login that works without
// a person begins a family that can be revoked there.
func (o *observation) isStale() bool {
	stored := o.record.Token
	if stored == nil || !o.canCompare() || o.isOpen() {
		return false
	}
	if len(o.changesSince(stored.Origin)) > 0 {
		return true
	}
	return stored.Origin != nil && stored.Origin.RevocationChanged(o.originNow(stored.Origin.Salt)) &&
		o.record.Chain != nil && o.loginFact().Renews()
}

// isOpen reports whether the stored refresh token is in the credentials Secret, too: an API gives no new one, or the seed
// brought no token yet. The author of the spec may read it there, and a person who corrects the spec means this token.
func (o *observation) isOpen() bool {
	chain := o.record.Chain
	return chain != nil && chain.Refresh.Equal(o.login.Refresh)
}

// isForeign reports whether the stored refresh token belongs to another origin than the spec's.
func (o *observation) isForeign() bool {
	chain := o.record.Chain
	return chain != nil && o.canCompare() && !o.isOpen() && len(o.changesSince(chain.Origin)) > 0
}

// isUnmarked reports whether an operator stored the token that recorded no origin, and the spec is unchanged as far as
// that operator recorded it.
func (o *observation) isUnmarked() bool {
	return o.canCompare() && o.record.LacksOrigin() && len(o.changesSince(nil)) == 0
}

// adopted returns the present spec and login as the origin of what a former operator stored. The revocation endpoint is
// unknown if the spec names it: that one could be changed unnoticed, and is never asked.
func (o *observation) adopted() custody.Origin {
	origin := o.originNow(o.record.Salt)
	if stored := o.record.Token; stored != nil {
		origin.User = stored.User
	}
	if o.api.Identity().NamesRevocation {
		origin.Revocation = ""
	}
	return origin
}

// markOrigin records the origin of a token that a former operator stored.
func (r *Reconciler) markOrigin(ctx context.Context, seen *observation) error {
	record, err := r.Custody.Put(ctx, seen.owner(), seen.record, seen.record.Adopted(seen.adopted()))
	if err != nil {
		return err
	}
	seen.record = record
	ctrl.LoggerFrom(ctx).V(1).Info("The origin of a token was recorded that a former operator stored")
	return nil
}

// originFor returns the origin of what an exchange obtains. A refresh token hands its own on: a family never changes its
// origin by being refreshed.
func (o *observation) originFor(means plan.Means) *custody.Origin {
	now := o.originNow(o.record.Salt)
	if means != plan.ByRefresh || o.isOpen() {
		return &now
	}
	family := o.adopted()
	if known := o.record.Chain.Origin; known != nil {
		family = *known
	}
	if family.User == "" {
		family.User = o.originNow(family.Salt).User
	}
	return &family
}

// foreignMessage reports why the stored refresh token is not presented, and what a person can do.
func (o *observation) foreignMessage() string {
	changed := o.changesSince(o.record.Chain.Origin)
	return "the stored refresh token was obtained with another " + strings.Join(changed, " and another ") +
		", so it is not presented: undo the change, or put a new refresh_token, or a username and password, " +
		"into the credentials Secret"
}

// revocationOrigin returns why the stored refresh token does not belong to what would be asked to revoke it, or an empty
// string.
func (o *observation) revocationOrigin() string {
	chain := o.record.Chain
	if changed := o.changesSince(chain.Origin); len(changed) > 0 {
		return "it was obtained with another " + strings.Join(changed, " and another ")
	}
	isUnknown := chain.Origin == nil || chain.Origin.Revocation == ""
	switch {
	case isUnknown && o.api.Identity().NamesRevocation:
		return "a former version of the operator obtained it, and did not record the revocation endpoint"
	case chain.Origin != nil && chain.Origin.RevocationChanged(o.originNow(chain.Origin.Salt)):
		return "it was obtained with another revocation endpoint"
	}
	return ""
}

// maxPresentations is how often a refresh token is presented, ever.
const maxPresentations = 2

// presentedSeed returns how often the seed was presented as the stored refresh token: a person may move a refresh token
// from the state Secret into the credentials Secret.
func (o *observation) presentedSeed(seed token.Secret) int {
	if chain := o.record.Chain; chain != nil && chain.Refresh.Equal(seed) {
		return o.chainFact().Presented
	}
	return 0
}
