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
	Owner  Owner  `json:"owner"`
}

// Claimed is the state in which the owner uses the login, unless one does that is as old or older. An owner that is gone counts as
// none.
func (s State) Claimed(use Use, gone func(Owner) bool) (State, *Refusal) {
	s.Uses = slices.Clone(s.Uses)
	at := slices.IndexFunc(s.Uses, func(u Use) bool { return u.Client == use.Client && u.Scope == use.Scope })
	switch {
	case at < 0:
		s.Uses = append(s.Uses, use)
	case s.Uses[at].Owner.UID == use.Owner.UID:
	case !use.Owner.Created.Before(s.Uses[at].Owner.Created) && !gone(s.Uses[at].Owner):
		return s, &Refusal{Why: InUse, By: s.Uses[at].Owner}
	default:
		s.Uses[at] = use
	}
	return s, nil
}
