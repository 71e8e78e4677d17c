package custody

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"

	"github.com/fluent-credential/operator/internal/token"
)

// A Secret holds 1 MiB of data. A state that grows beyond it after the request was sent can never be stored, and its
// tokens are lost. So every field that an author, an API or a person can make larger has a bound, except the tokens:
// they cannot be cut. Whether there is room for them is known before the claim.

// The bounds of the fields, in bytes of the encoded document.
const (
	maxRotate  = 256
	maxScope   = 4 << 10
	maxValue   = 1 << 10  // one value of an identity
	maxRoles   = 16 << 10 // all roles together
	maxMember  = 16 << 10 // one other member of a reply, without its name
	maxMembers = 64 << 10 // all other members of a reply
	maxMessage = 4 << 10
	// maxShortHash is of a hash of 64 bits.
	maxShortHash = 20
	maxWord      = 256 // an id, a hash, a name, or a value of a closed set
)

const (
	// maxDocument is the space that the state Secret has for the document, without the checksum.
	maxDocument = corev1.MaxSecretSize - 2*sha256.Size
	// maxRest bounds everything in the document except the tokens.
	maxRest = 128 << 10
	// maxGrant bounds the tokens of one reply: a reply has up to 256 KiB, and each byte of a token can need an escape.
	maxGrant = 512 << 10
)

// RotateMark returns what the state and the status keep of a value of the rotate annotation: the value itself if it is
// short and printable, and its hash otherwise.
func RotateMark(value string) string {
	isPlain := len(value) <= maxRotate && utf8.ValidString(value) &&
		!strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) })
	if isPlain {
		return value
	}
	return digest(value)
}

func digest(value string) string {
	sum := sha256.Sum256([]byte(value))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// ErrNoRoom is returned by CheckRoom.
var ErrNoRoom = errors.New("there is no room for another token")

// CheckRoom returns ErrNoRoom if the state could exceed the size of a Secret after an exchange, whatever its result is.
// A grant adds at most the tokens of the largest reply. If that has no refresh token, the one that was sent stays.
// After any other result the old tokens stay, and a seed that was sent can become the chain.
func (s State) CheckRoom(grant token.Grant, sent token.Secret) error {
	var access, chain int
	if s.Token != nil {
		access = weight(s.Token.Access.Reveal())
	}
	if s.Chain != nil {
		chain = weight(s.Chain.Refresh.Reveal())
	}
	kept := 0
	if grant == token.RefreshToken {
		kept = weight(sent.Reveal())
	}
	needed := maxRest + max(maxGrant+kept, access+max(chain, kept))
	if needed <= maxDocument {
		return nil
	}
	return fmt.Errorf("%w in the state Secret: a Secret holds %d bytes, and the refresh token of %d bytes, the largest "+
		"reply and the rest of the state need %d: put a shorter refresh_token into the credentials Secret",
		ErrNoRoom, corev1.MaxSecretSize, max(kept, chain), needed)
}

// weight returns the size of a text in the document.
func weight(text string) int {
	size := len(`""`)
	for i := 0; i < len(text); {
		escaped, width := weightOfFirst(text[i:])
		size += escaped
		i += width
	}
	return size
}

// weightOfFirst returns the size in the document of a text's first character, and its size in the text.
func weightOfFirst(text string) (escaped, width int) {
	r, width := utf8.DecodeRuneInString(text)
	switch {
	case r == utf8.RuneError && width == 1, r == '\u2028', r == '\u2029':
		return len(`\u2028`), width
	case strings.ContainsRune("\"\\\b\f\n\r\t", r):
		return len(`\n`), width
	case r < ' ':
		return len(`\u0001`), width
	}
	return width, width
}

// prefix returns the length of the longest beginning of a text whose size in the document is within the bound.
func prefix(text string, most int) int {
	size := len(`""`)
	for i := 0; i < len(text); {
		escaped, width := weightOfFirst(text[i:])
		if size += escaped; size > most {
			return i
		}
		i += width
	}
	return len(text)
}

// fits returns the text, or an empty one if it is too long: a part of an id or a name would be another one.
func fits(text string, most int) string {
	if weight(text) > most {
		return ""
	}
	return text
}

// allFit returns the texts that are not too long, and the newest of them if there are too many.
func allFit(texts []string, most int) []string { return allWithin(texts, maxWord, most) }

// allWithin is allFit with a bound for each text.
func allWithin(texts []string, each, most int) []string {
	kept := slices.DeleteFunc(slices.Clone(texts), func(text string) bool { return weight(text) > each })
	return kept[max(0, len(kept)-most):]
}

// words returns as many whole words of a text as fit.
func words(text string, most int) string {
	end := prefix(text, most)
	if end == len(text) {
		return text
	}
	return text[:max(0, strings.LastIndexByte(text[:end+1], ' '))]
}

// shortened returns the beginning of a text for people.
func shortened(text string, most int) string {
	if weight(text) <= most {
		return text
	}
	return text[:prefix(text, most-len("…"))] + "…"
}

// Bounded returns the reply's values that a state holds, and the names of the fields that are too large for it.
func Bounded(set token.Set) (kept token.Set, cut []string) {
	kept = set
	kept.Type = fits(set.Type, maxWord)
	kept.Scope = words(set.Scope, maxScope)
	kept.Identity = boundedIdentity(set.Identity)
	kept.Extra = boundedMembers(set.Extra)
	for name, isCut := range map[string]bool{
		"token_type": kept.Type != set.Type,
		"scope":      kept.Scope != set.Scope,
		"identity":   !sameIdentity(kept.Identity, set.Identity),
		"members":    len(kept.Extra) != len(set.Extra),
	} {
		if isCut {
			cut = append(cut, name)
		}
	}
	slices.Sort(cut)
	return kept, cut
}

func sameIdentity(a, b token.Identity) bool {
	return slices.Equal(a.Roles, b.Roles) && a.RetailerID == b.RetailerID && a.FirstName == b.FirstName &&
		a.LastName == b.LastName && a.OwnerID == b.OwnerID && a.OwnerType == b.OwnerType
}

func boundedIdentity(who token.Identity) token.Identity {
	bounded := token.Identity{
		RetailerID: fits(who.RetailerID, maxValue),
		FirstName:  fits(who.FirstName, maxValue),
		LastName:   fits(who.LastName, maxValue),
		OwnerID:    fits(who.OwnerID, maxValue),
		OwnerType:  fits(who.OwnerType, maxValue),
	}
	size := 0
	for _, role := range who.Roles {
		if size += weight(role) + len(","); size > maxRoles {
			break
		}
		bounded.Roles = append(bounded.Roles, role)
	}
	return bounded
}

// boundedMembers keeps members in the order of their names, so that the same reply always leaves the same ones.
func boundedMembers(members map[string]string) map[string]string {
	if members == nil {
		return nil
	}
	kept := make(map[string]string, min(len(members), maxMembers/len(`"":"",`)))
	size := 0
	for _, name := range slices.Sorted(maps.Keys(members)) {
		value := members[name]
		more := weight(name) + weight(value) + len(":,")
		if weight(name) > maxWord || weight(value) > maxMember || size+more > maxMembers {
			continue
		}
		size += more
		kept[name] = value
	}
	return kept
}

// bounded returns the state with every field within its bound. A state of an older version can be larger.
func (s State) bounded() State {
	s.Salt = fits(s.Salt, maxWord)
	s.Seeds = allFit(s.Seeds, maxSeeds)
	s.Lost = allFit(s.Lost, maxLost)
	s.Sent = allFit(s.Sent, maxLost)
	s.LastClaim = fits(s.LastClaim, maxWord)
	s.Rotate = RotateMark(s.Rotate)
	s.Reference = shortHash(s.Reference)
	s.MovedTo = fits(s.MovedTo, maxWord)
	s.MovedFrom = fits(s.MovedFrom, maxWord)
	if s.Token != nil {
		s.Token = s.Token.bounded()
	}
	if s.Chain != nil && s.Chain.Origin != nil {
		chain := *s.Chain
		chain.Origin = chain.Origin.bounded()
		s.Chain = &chain
	}
	if s.Claim != nil {
		s.Claim = s.Claim.bounded()
	}
	if s.Failure != nil {
		s.Failure = s.Failure.bounded()
	}
	return s
}

func (t Token) bounded() *Token {
	t.Type = fits(t.Type, maxWord)
	t.Scope = words(t.Scope, maxScope)
	t.Grant = token.Grant(fits(string(t.Grant), maxWord))
	t.Inputs = fits(t.Inputs, maxWord)
	t.User = fits(t.User, maxWord)
	t.Identity = boundedIdentity(t.Identity)
	t.Extra = boundedMembers(t.Extra)
	t.Origin = t.Origin.bounded()
	return &t
}

// bounded never makes an origin wider: what is cut differs from every present spec.
func (o *Origin) bounded() *Origin {
	if o == nil {
		return nil
	}
	return &Origin{
		Salt:                 fits(o.Salt, maxWord),
		Endpoint:             fits(o.Endpoint, maxWord),
		Client:               fits(o.Client, maxWord),
		Scope:                fits(o.Scope, maxWord),
		User:                 shortHash(o.User),
		ParameterStyle:       fits(o.ParameterStyle, maxWord),
		ClientAuthentication: fits(o.ClientAuthentication, maxWord),
		Headers:              fits(o.Headers, maxWord),
		Trust:                allWithin(o.Trust, maxShortHash, MaxTrust),
		Revocation:           shortHash(o.Revocation),
	}
}

// shortHash replaces a text that is too long by its hash, if an empty one would mean something else.
func shortHash(text string) string {
	if weight(text) > maxWord {
		return digest(text)
	}
	return text
}

// bounded keeps the id: without it the claim could not be settled.
func (c Claim) bounded() *Claim {
	c.ID = shortHash(c.ID)
	c.Grant = token.Grant(fits(string(c.Grant), maxWord))
	c.Spends = fits(c.Spends, maxWord)
	c.Holder.Pod = fits(c.Holder.Pod, maxWord)
	c.Holder.Start = fits(c.Holder.Start, maxWord)
	c.Login = fits(c.Login, maxWord)
	c.Inputs = fits(c.Inputs, maxWord)
	c.Origin = c.Origin.bounded()
	return &c
}

func (f Failure) bounded() *Failure {
	f.Message = shortened(f.Message, maxMessage)
	f.Reason = fits(f.Reason, maxWord)
	f.Login = fits(f.Login, maxWord)
	f.Policy = fits(f.Policy, maxWord)
	if weight(string(f.Verdict))+weight(string(f.Class))+weight(string(f.Subject)) > maxWord {
		f.Verdict = token.Unknown
		f.Class = ""
		f.Subject = ""
	}
	return &f
}
