package loginguard

import (
	"slices"
	"time"
)

// Owner is a FluentCredential.
type Owner struct {
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	UID       string    `json:"uid"`
	Created   time.Time `json:"created"`
}

// Use says who logs in with the user name by which client and for which scope. Two that do so can be given one refresh token, and
// would steal it from each other.
type Use struct {
	Client string `json:"client"`
	Scope  string `json:"scope,omitempty"`
	// Query is that of the endpoint: two that differ in it share a budget, and may be two tenants.
	Query string `json:"query,omitempty"`
	Owner Owner  `json:"owner"`
	// Trial is true until the first login of the owner is granted: who names a login does not have it by that.
	Trial bool      `json:"trial,omitempty"`
	At    time.Time `json:"at,omitzero"`     // of a user name: the newest login that was granted, or the trial
	Seed  bool      `json:"seed,omitempty"`  // it is a seed; an earlier version did not say so
	Spent bool      `json:"spent,omitempty"` // it is a seed, and was sent
	Claim string    `json:"claim,omitempty"` // of a seed: the exchange that took it; none where several did
}

// maxUses bounds the clients and scopes of one user name or seed: a guard is one Secret.
const maxUses = 64

// formerLogins is how many of the logins that one FluentCredential was granted it may still refresh: that of the token it
// holds, and a newer one whose token it could not store.
const formerLogins = 2

// Claimed is the state in which the owner uses the login, unless another one has it. The first to log in keeps it for as long as it
// lives: whoever took it away could be given the very refresh token that the other one is about to spend. A trial holds it
// until its attempt counts no more, and then only where left says that its owner was given a token after all.
func (s State) Claimed(now time.Time, use Use, left func(Use) bool) (State, *Refusal) {
	s.Uses = slices.Clone(s.Uses)
	at := slices.IndexFunc(s.Uses, use.isSame)
	switch {
	case at < 0 && len(s.Uses) >= maxUses:
		return s, &Refusal{Why: Paced, Until: now.Add(Window)}
	case at < 0:
		s.Uses = append(s.Uses, use)
	case s.Uses[at].Owner.UID == use.Owner.UID:
		if s.Uses[at].Claim != use.Claim {
			s.Uses[at].Claim = "" // what became of the former exchange was never written down: it may have sent the seed
		}
		// A trial that nothing is known of any more was granted where its owner works with its token.
		s.Uses[at].Trial = s.Uses[at].Trial && (s.isTried(now, s.Uses[at]) || left(s.Uses[at]))
	case s.isTried(now, s.Uses[at]), !left(s.Uses[at]):
		return s, &Refusal{Why: InUse, By: s.Uses[at].Owner}
	default:
		s.Uses[at] = use
	}
	return s, nil
}

// isTried reports whether a use is a trial with an attempt that may be granted yet, or was granted unheard.
func (s State) isTried(now time.Time, use Use) bool {
	return use.Trial && slices.ContainsFunc(s.Attempts, func(a Attempt) bool {
		return a.Owner == use.Owner.UID && !a.Settled && now.Before(a.until())
	})
}

// withoutIdleTrials is the state without the trials of an owner that were refused, or never reached the API.
func (s State) withoutIdleTrials(now time.Time, owner string) State {
	s.Uses = slices.DeleteFunc(slices.Clone(s.Uses), func(u Use) bool {
		return u.Trial && u.Owner.UID == owner && !s.isTried(now, u)
	})
	return s
}

// withoutFormer is the state without the logins that an owner uses no more, because it was granted others of the user since.
func (s State) withoutFormer(owner string) State {
	left := leftAmong(s.Uses, owner)
	s.Uses = slices.DeleteFunc(slices.Clone(s.Uses), func(u Use) bool { return !u.Trial && left(u) })
	return s
}

// leftAmong returns which of its own logins a living owner uses no more: it was granted others since. A trial was not granted, as
// far as is known.
func leftAmong(uses []Use, owner string) func(Use) bool {
	isOwn := func(u Use) bool { return u.Owner.UID == owner && !u.isSeed() }
	own := slices.DeleteFunc(slices.Clone(uses), func(u Use) bool { return !isOwn(u) })
	slices.SortFunc(own, func(a, b Use) int {
		switch {
		case a.Trial == b.Trial:
			return b.At.Compare(a.At)
		case a.Trial:
			return 1
		}
		return -1
	})
	kept := own[:min(formerLogins, len(own))]
	return func(u Use) bool { return isOwn(u) && !slices.Contains(kept, u) }
}

// Unclaimed is the state in which the owner uses the login no more. A seed stays taken that was sent before, or that more than one
// exchange of the same owner has taken: one of them knows of itself only that it did not send it.
func (s State) Unclaimed(use Use) State {
	s.Uses = slices.DeleteFunc(slices.Clone(s.Uses), func(u Use) bool { return u.is(use) && !u.Spent && u.Claim == use.Claim })
	return s
}

// Spending is the state in which the owner has sent the seed.
func (s State) Spending(use Use) State {
	s.Uses = slices.Clone(s.Uses)
	for i := range s.Uses {
		s.Uses[i].Spent = s.Uses[i].Spent || s.Uses[i].is(use)
	}
	return s
}

// isSpent tells whether the owner sent the seed before.
func (s State) isSpent(use Use) bool {
	return slices.ContainsFunc(s.Uses, func(u Use) bool { return u.is(use) && u.Spent })
}

// is tells whether both are one owner's use of one login.
func (u Use) is(other Use) bool { return u.isSame(other) && u.Owner.UID == other.Owner.UID }

// isSame reports whether both use the login alike, whoever they are. A seed is one refresh token or code, whatever scope is
// asked for with it.
func (u Use) isSame(other Use) bool {
	isSeed := u.Seed || other.Seed
	return u.Client == other.Client && u.Query == other.Query && (u.Scope == other.Scope || isSeed)
}
