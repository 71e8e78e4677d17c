package custody

import (
	"slices"

	"github.com/fluent-credential/operator/internal/token"
)

// The transitions of a State. Each returns a new State and leaves the old one as it was, so that a write that failed can be made
// again from what is stored by then.

// Claimed is the state with a claim in it. A seed counts as spent from here on, whatever comes of it.
func (s State) Claimed(claim Claim, rotate string) State {
	s.Claim = &claim
	s.Rotate = rotate
	s.rememberSeed(claim)
	if len(s.Lost) > 0 && claim.Spends != "" {
		s.Sent = append(slices.Clone(s.Sent), claim.Spends)
		s.Sent = s.Sent[max(0, len(s.Sent)-maxLost):]
	}
	return s
}

// Obtained is what a Granted reply adds to a state.
type Obtained struct {
	Token   Token
	Refresh token.Secret // zero: the reply had none, so the old one stays
	Sent    token.Secret // what the claim spent: a seed that stays becomes the chain
	Floor   int64        // the highest serial seen elsewhere; the new one is above it
}

// Granted is the state with a new token in it, and without the claim that produced it.
func (s State) Granted(claim Claim, got Obtained) State {
	s.Serial = max(s.Serial, got.Floor) + 1
	s.rememberSeed(claim)
	s.Token = &got.Token
	switch {
	case !got.Refresh.IsZero():
		s.Chain = &Chain{Refresh: got.Refresh, Origin: got.Token.Origin}
	case claim.Grant == token.RefreshToken && claim.Seed:
		s.Chain = chainOf(got.Sent, got.Token.Origin) // RFC 6749 section 6: no new one, so the old one goes on
	case claim.Grant == token.RefreshToken && s.Chain != nil:
		s.Chain = chainOf(s.Chain.Refresh, got.Token.Origin) // likewise
	default:
		s.Chain = nil // a new family, and it has none
	}
	s.Claim, s.LastClaim, s.Failure = nil, claim.ID, nil
	if s.Lost = s.lostSince(claim); s.Lost == nil {
		s.Sent = nil
	}
	return s
}

// lostSince are the lost claims that were made after this one: theirs would be the newer token, so their replies are still welcome.
func (s State) lostSince(claim Claim) []string {
	at := slices.Index(s.Lost, claim.ID)
	if at < 0 || at == len(s.Lost)-1 {
		return nil
	}
	return slices.Clone(s.Lost[at+1:])
}

func chainOf(refresh token.Secret, origin *Origin) *Chain {
	if refresh.IsZero() {
		return nil
	}
	return &Chain{Refresh: refresh, Origin: origin}
}

// Repeated records whether a reply was idle: the same token again, or one without life.
func (s State) Repeated(idle, repeats bool) State {
	s.Repeats = repeats
	s.Stagnant++
	if !idle {
		s.Stagnant = 0
	}
	return s
}

// Failed is the state after an exchange that brought no token. The token that was sent is needed where it may be spent and is not
// in the state yet: a seed.
func (s State) Failed(claim Claim, failure Failure, sent token.Secret) State {
	if s.Failure != nil {
		failure.Count = s.Failure.Count
	}
	failure.Count++
	s.Failure, s.Claim, s.LastClaim = &failure, nil, claim.ID
	switch failure.Verdict {
	case token.RefusedDead:
		if !claim.Seed || s.spendsChain(claim) {
			s.Chain = nil
		}
	case token.Unknown:
		s.lose(claim)
		s.doubt(claim, sent, false)
	case token.Declined:
		s.doubt(claim, sent, true)
	case token.Unsent, token.RefusedIntact, token.TryLater:
		s.unspend(claim)
	case token.Granted, token.LoginRefused:
	}
	return s
}

// doubt records that a refresh token may be spent. A seed becomes the chain where there is no better one: it is the only thread
// that is left.
func (s *State) doubt(claim Claim, sent token.Secret, declined bool) {
	if claim.Grant != token.RefreshToken || sent.IsZero() {
		return
	}
	if claim.Seed && s.Chain != nil && s.Chain.Presented == 0 && !s.spendsChain(claim) {
		return
	}
	s.Chain = &Chain{Refresh: sent, Presented: claim.Attempt, Declined: declined, Origin: s.OriginOf(claim)}
}

// lose remembers a claim whose reply may still come.
func (s *State) lose(claim Claim) {
	s.Lost = append(slices.Clone(s.Lost), claim.ID)
	s.Lost = s.Lost[max(0, len(s.Lost)-maxLost):]
}

// Abandoned is a state whose claim is not waited for any more, by one who has a token to store. Its reply is as welcome as before.
func (s State) Abandoned() State {
	s.lose(*s.Claim)
	s.Claim = nil
	return s
}

// Doubted is a state that came out of a backup: its refresh token is likely spent. The doubt is a part of the state from here on, and
// stays when the Secret is written.
func (s State) Doubted() State {
	if s.Chain != nil {
		doubted := *s.Chain
		doubted.Presented = max(1, doubted.Presented)
		s.Chain = &doubted
	}
	return s
}

// maxLost bounds the memory of lost replies.
const maxLost = 4

// unspend forgets a seed that was not spent after all.
func (s *State) unspend(claim Claim) {
	if claim.Seed {
		s.Seeds = slices.DeleteFunc(slices.Clone(s.Seeds), func(hash string) bool { return hash == claim.Spends })
	}
}

// Idle is the state after the failure of an exchange that never reached a claim.
func (s State) Idle(failure Failure) State {
	return s.Failed(Claim{ID: s.LastClaim}, failure, token.Secret{})
}

// Holds tells whether the claim is still there: only then may a refusal change the state (invariant I6).
func (s State) Holds(claim Claim) bool { return s.Claim != nil && s.Claim.ID == claim.ID }

// Awaits tells whether a granted result of the claim still belongs into this state: the claim is there, or was settled as lost
// and nothing newer was begun or stored since.
func (s State) Awaits(claim Claim) bool {
	if s.Claim != nil {
		return s.Holds(claim)
	}
	return s.lost(claim)
}

// Outran tells whether the refresh token of a late result was sent meanwhile: an API that gives the same pair again had given it to
// somebody else too, and it is spent.
func (s State) Outran(claim Claim, refresh token.Secret) bool {
	return !s.Holds(claim) && slices.Contains(s.Sent, refresh.Hash(s.Salt))
}

func (s State) lost(claim Claim) bool { return slices.Contains(s.Lost, claim.ID) }

// isLate tells whether the state has the result of a claim that the former one did not wait for any more. Whoever gave it up is told by
// an annotation: it may be another process, and wait for nothing.
func (s State) isLate(former State) bool {
	return former.Claim == nil && s.LastClaim != former.LastClaim
}

// Settled is the state after a claim whose process is gone: its reply is lost, and no result of it was stored.
func (s State) Settled(claim Claim, failure Failure, sent token.Secret) State {
	last := s.LastClaim
	s = s.Failed(claim, failure, sent)
	s.LastClaim = last
	return s
}
