package plan

import "time"

// Action is what to do. One pass of the reconciler performs one.
type Action string

// The actions.
const (
	Wait     Action = "Wait"     // nothing, until Step.At or until something changes
	Register Action = "Register" // put our finalizer on the FluentCredential
	Revoke   Action = "Revoke"   // ask the API to end the life of the refresh token, before the Release
	Release  Action = "Release"  // let its Secrets and itself go
	Relocate Action = "Relocate" // copy the state Secret under its other name, then let the deleted one go
	Publish  Action = "Publish"  // write the stored token to the workload Secret
	Withdraw Action = "Withdraw" // remove the workload Secret under a former name
	Restore  Action = "Restore"  // store the reply of a claim out of the journal
	Deliver  Action = "Deliver"  // store the result of an exchange that this process holds
	Mark     Action = "Mark"     // record the origin of a token that a former operator stored
	Settle   Action = "Settle"   // record that the reply of a claim is lost
	Exchange Action = "Exchange" // claim, send, commit, publish
)

// Means is what an exchange obtains a token with.
type Means string

// The means.
const (
	ByRefresh  Means = "Refresh"
	BySeed     Means = "Seed"
	ByPassword Means = "Password"
	ByClient   Means = "Client"
)

// Why names the rule that decided; the status is made from it.
type Why string

// The rules' outcomes.
const (
	Deleted      Why = "Deleted"
	Unregistered Why = "Unregistered"
	StateDeleted Why = "StateDeleted"
	TargetTaken  Why = "TargetTaken"
	Unpublished  Why = "Unpublished"
	Renamed      Why = "Renamed"
	Unmarked     Why = "Unmarked"
	Suspended    Why = "Suspended"
	InFlight     Why = "InFlight"
	Orphaned     Why = "Orphaned"
	Journaled    Why = "Journaled"
	Obstructed   Why = "Obstructed"
	Refused      Why = "Refused"
	BackingOff   Why = "BackingOff"
	NotDue       Why = "NotDue"
	HostBusy     Why = "HostBusy"
	ReplyLost    Why = "ReplyLost"
	NoMeans      Why = "NoMeans"
	Stopped      Why = "Stopped" // onLostReply: Stop

	Undelivered   Why = "Undelivered"   // a result is held that cannot be stored yet
	Unwritable    Why = "Unwritable"    // a write of the state Secret or the login guard failed a moment ago
	Unpublishable Why = "Unpublishable" // likewise, of the target Secret

	Due Why = "Due"
)

// Step is what to do next, and why.
type Step struct {
	Do    Action
	Why   Why
	Means Means     // of an Exchange
	At    time.Time // of a Wait: when to look again; zero: when something changes
}

func do(action Action, why Why) *Step { return &Step{Do: action, Why: why} }

func wait(why Why, at time.Time) *Step { return &Step{Do: Wait, Why: why, At: at} }
