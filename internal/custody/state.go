// Package custody keeps the state Secret: the refresh token, the access token and the claim, in one object that is one
// compare-and-swap domain. It is read live and written with its resourceVersion; nothing else in the operator is truth.
package custody

import (
	"slices"
	"time"

	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/token"
)

// State is all that is known of one credential.
type State struct {
	Salt   string `json:"salt"`   // of the hashes of logins in here; random
	Serial int64  `json:"serial"` // grows by one with every token stored

	Token *Token   `json:"token,omitempty"`
	Chain *Chain   `json:"chain,omitempty"`
	Seeds []string `json:"seeds,omitempty"` // hashes of the seeds that were spent, the newest last

	Claim     *Claim   `json:"claim,omitempty"`
	LastClaim string   `json:"lastClaim,omitempty"` // the claim whose result was stored last
	Lost      []string `json:"lost,omitempty"`      // claims since the newest token whose reply never came; a late one is welcome
	Sent      []string `json:"sent,omitempty"`      // hashes of the refresh tokens that were sent since the first of them
	Failure   *Failure `json:"failure,omitempty"`

	Rotate   string `json:"rotate,omitempty"`   // the rotate annotation that was last acted on
	Repeats  bool   `json:"repeats,omitempty"`  // the API gives the same token again until it expires
	Stagnant int    `json:"stagnant,omitempty"` // replies in a row that brought no more life

	// Reference is the name of the owner's credentials Secret. Who makes an object of the same name inherits the tokens only
	// with the same login: the author of a FluentCredential may get the Secret that it names, and may not be one who may get
	// another's tokens. Empty: an older version's.
	Reference string `json:"reference,omitempty"`

	// Unconfirmed is true of a first state until its maker has seen that there is none under the other name.
	Unconfirmed bool `json:"unconfirmed,omitempty"`

	MovedTo   string `json:"movedTo,omitempty"`   // the state Secret that follows this one, which is being deleted
	MovedFrom string `json:"movedFrom,omitempty"` // the one that this one follows, until it is known to be gone
}

// Token is the newest access token.
type Token struct {
	Access   token.Secret      `json:"-"`
	Type     string            `json:"type,omitempty"`
	Scope    string            `json:"scope,omitempty"`
	Grant    token.Grant       `json:"grant"`
	Obtained time.Time         `json:"obtained"` // the moment before the request was sent
	Expires  time.Time         `json:"expires"`
	Latest   time.Time         `json:"latest,omitzero"` // the latest end that the replies allow; zero: Expires
	Refresh  time.Time         `json:"refresh"`         // when the next one is due
	Schedule *Schedule         `json:"schedule,omitempty"`
	Inputs   string            `json:"inputs"`         // hash of endpoint, client and scope: for a former operator, and of one
	User     string            `json:"user,omitempty"` // hash of the user name, if there was one: likewise
	Origin   *Origin           `json:"origin,omitempty"`
	Identity token.Identity    `json:"identity,omitzero"`
	Extra    map[string]string `json:"extra,omitempty"`
}

// Schedule holds the inputs of Token.Refresh, so that it can be computed again with another lead; nil: an older version
// stored the token.
type Schedule struct {
	Before  time.Duration `json:"before,omitempty"`
	Percent int           `json:"percent,omitempty"`
	Draw    float64       `json:"draw"`
}

// Chain is the refresh token.
type Chain struct {
	Refresh token.Secret `json:"-"`
	// Presented is how often it was sent with no reply, or none that says what became of it. More than zero: it may be spent.
	Presented int `json:"presented,omitempty"`
	// Declined: the last answer to it was a refusal that says nothing of it. Only what a person changes makes another one worth while,
	// whatever became of other exchanges since.
	Declined bool `json:"declined,omitempty"`
	// Origin is nil if an operator stored the refresh token that recorded no origins.
	Origin *Origin `json:"origin,omitempty"`
}

// Claim is written before a request is sent: whoever finds it knows that a token may be spent.
type Claim struct {
	ID          string      `json:"id"`
	Grant       token.Grant `json:"grant"`
	Spends      string      `json:"spends,omitempty"` // hash of the refresh token or seed to be spent
	Seed        bool        `json:"seed,omitempty"`   // it is a seed, not the stored chain
	Attempt     int         `json:"attempt"`          // of that token: 1 or 2
	Login       string      `json:"login,omitempty"`  // hash of the login and the spec; empty: an older version's
	Holder      Holder      `json:"holder"`
	Started     time.Time   `json:"started"`
	SpendBefore time.Time   `json:"spendBefore"`
	DoneBefore  time.Time   `json:"doneBefore,omitzero"` // end of the holder's work; zero: an older version's
	Inputs      string      `json:"inputs,omitempty"`    // of the token that the claim obtains; empty: an older version's
	Origin      *Origin     `json:"origin,omitempty"`    // likewise; nil: an older version's
}

// Holder is the process that made a claim.
type Holder struct {
	Pod   string `json:"pod"`   // the pod's UID; empty outside a cluster
	Start string `json:"start"` // a random name that a process gives itself when it starts
}

// Outlived tells whether the holder is known to be gone: its pod is ours, and its process is not.
func (h Holder) Outlived(by Holder) bool {
	return h.Pod != "" && h.Pod == by.Pod && h.Start != by.Start
}

// Failure is the last failed exchange, since which none succeeded.
type Failure struct {
	Count   int           `json:"count"`
	Last    time.Time     `json:"last"`
	RetryAt time.Time     `json:"retryAt,omitzero"` // zero: not until the login or the spec changes, or a person acts
	Barred  bool          `json:"barred,omitempty"` // the login was refused: not even the rotate annotation goes past RetryAt
	Verdict token.Verdict `json:"verdict"`
	Reason  string        `json:"reason"`
	Message string        `json:"message"`
	Login   string        `json:"login"` // hash of the login and the spec it failed with

	// Class is what the failure waits for, and Subject is the object or flag. Operators before these fields stored
	// neither.
	Class   failure.Class   `json:"class,omitempty"`
	Subject failure.Subject `json:"subject,omitempty"`
	First   time.Time       `json:"first,omitzero"`    // when the run of failures with this login and spec began
	Tries   int             `json:"tries,omitempty"`   // failures of the run; Count outlasts a change of login or spec
	Probes  int             `json:"probes,omitempty"`  // of class Input: how many were scheduled in the run
	Stalled bool            `json:"stalled,omitempty"` // a person is asked
	Policy  string          `json:"policy,omitempty"`  // hash of the endpoint policy, if it refused an address
}

// of returns the state with the reference of its owner.
func (s State) of(owner Owner) State {
	if owner.Reference != "" {
		s.Reference = owner.Reference
	}
	return s
}

// disinherited returns what a FluentCredential with another login keeps of the state of a former object of its name: the
// count of tokens, and which seeds were spent.
func (s State) disinherited() State {
	if s.Chain != nil && s.Chain.Presented > 0 { // as a seed it would be presented twice more
		s.TakeForSpent(s.Chain.Refresh)
	}
	return State{
		Salt: s.Salt, Serial: s.Serial, Seeds: s.Seeds, Sent: s.Sent, Reference: s.Reference,
		Unconfirmed: s.Unconfirmed, MovedTo: s.MovedTo, MovedFrom: s.MovedFrom,
	}
}

// maxSeeds bounds the memory of spent seeds.
const maxSeeds = 32

// rememberSeed keeps the hash of a seed that was spent, so that a manifest applied twice does not replay it.
func (s *State) rememberSeed(claim Claim) {
	if !claim.Seed || slices.Contains(s.Seeds, claim.Spends) {
		return
	}
	s.Seeds = append(slices.Clone(s.Seeds), claim.Spends)
	s.Seeds = s.Seeds[max(0, len(s.Seeds)-maxSeeds):]
}

// TakeForSpent remembers seeds of which nobody knows whether they were spent: the state that knew it is gone.
func (s *State) TakeForSpent(seeds ...token.Secret) {
	for _, seed := range seeds {
		if !seed.IsZero() {
			s.rememberSeed(Claim{Seed: true, Spends: seed.Hash(s.Salt)})
		}
	}
}

// Spent tells whether a seed was spent before.
func (s *State) Spent(seed token.Secret) bool { return slices.Contains(s.Seeds, seed.Hash(s.Salt)) }
