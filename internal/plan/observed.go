// Package plan decides what to do next with one credential: a pure function of what was observed and of the time. It imports
// nothing but time, draws no random number and holds no client, so that every decision can be read, replayed and tested.
package plan

import "time"

// Observed is all that a decision depends on.
type Observed struct {
	Deleting   bool // the FluentCredential is being deleted
	Registered bool // the FluentCredential carries our finalizer
	Suspended  bool // spec.suspend
	Rotate     bool // the rotate annotation has a value that was not acted on

	Obstacle    Obstacle    // why no exchange can happen with this spec and login
	Publication Publication // the workload Secret against the state Secret
	Leftover    bool        // a workload Secret under a former name still exists

	StateLeaving bool // the state Secret is being deleted and our finalizer holds it, or it is immutable
	Claim        *Claim
	Journaled    bool      // the reply of the claim is in this replica's journal
	Token        *Token    // nil: no token was ever stored
	ServedUntil  time.Time // expiry of the token that workloads have although the state cannot be read; zero: none
	Chain        Chain
	// Revocable is true where the API can end the life of the stored refresh token and was not asked to.
	Revocable   bool
	Patience    time.Time // until when a deletion waits for the host's turn
	Login       Login
	OnLostReply Policy
	Failure     *Failure
	Mended      bool // the last exchange failed, and the login or the spec has changed since
	Unmarked    bool // the stored token belongs to the present spec, which a former operator did not record in full
	Writes      Writes
	HostFree    time.Time // when the token host may be asked again (its rate is limited); zero: now
}

// Obstacle says why no exchange can happen. Its values are condition reasons.
type Obstacle string

// Publication compares the workload Secret with the state Secret.
type Publication string

// The states of a publication.
const (
	Current  Publication = "Current"  // the workload Secret holds the newest token
	Outdated Publication = "Outdated" // it is missing, edited, or holds an older token
	Newer    Publication = "Newer"    // it holds a higher serial than the state: another replica is ahead
	Taken    Publication = "Taken"    // a Secret of that name belongs to somebody else
)

// Claim is an exchange that was begun and has no result yet.
type Claim struct {
	// Until is when its holder cannot be at work any more, on this process's own monotonic clock.
	Until time.Time
	// Gone is true when the holder is known to be gone before that.
	Gone bool
}

// Token is the newest access token.
type Token struct {
	Obtained time.Time // the moment before the request was sent
	Expires  time.Time
	Refresh  time.Time // when the next one is due; drawn and stored with the token
	Stale    bool      // it was obtained with another login, endpoint or scope than the spec's
}

// Life is the whole life of the token.
func (t Token) Life() time.Duration { return t.Expires.Sub(t.Obtained) }

// Chain is the refresh token that came with the newest access token.
type Chain struct {
	Stored    bool
	Presented int  // how often it may have been presented with no reply
	Declined  bool // its last presentation was refused, and the API did not say what that means for it
	Foreign   bool // it was obtained with another login, endpoint or trust than the spec's: it is not presented
}

// Login tells which grants the credentials Secret allows.
type Login struct {
	Seed     bool // a refresh token or a code that was never spent
	Password bool
	Client   bool // a client id and secret of which client credentials are made
}

// Renews tells whether the login can obtain a token without a refresh token and without a person.
func (l Login) Renews() bool { return l.Password || l.Client }

// Policy is spec.refresh.onLostReply.
type Policy string

// The policies.
const (
	Auto           Policy = "Auto"
	Retry          Policy = "Retry"
	Reauthenticate Policy = "Reauthenticate"
	Stop           Policy = "Stop"
)

// Failure is the last failed exchange, since which none succeeded.
type Failure struct {
	// RetryAt is when to try again. Zero means that there is no try until the login or the spec changes, or a person
	// acts.
	RetryAt time.Time
	// Barred overrides even the rotate annotation: the login was rejected, and another try could lock the user.
	Barred bool
	// Stalled is true when a person can help. A try before that, at RetryAt, is a slow probe.
	Stalled bool
}
