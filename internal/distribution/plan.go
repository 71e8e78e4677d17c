package distribution

import "time"

// Observed is all that a decision depends on.
type Observed struct {
	Deleting   bool // the FluentToken is being deleted
	Registered bool // the FluentToken carries our finalizer
	Allowed    bool // the FluentCredential exists and permits this namespace
	Holding    bool // a Secret of this FluentToken exists, under whatever name

	Unlisted   bool      // the target asks for what the owner does not list of the API's reply
	Obstructed bool      // the target asks for what cannot be made
	Expires    time.Time // of the credential's newest token; zero: there is none
	// The workload Secret against that token: somebody else's, missing or older or edited, or the same. None of them: it has a newer
	// one, or there is no token.
	Taken, Outdated, Current bool
	// Same is true if the workload Secret has the credential's newest token, in whatever form.
	Same bool
	// Former is true where the workload Secret holds the token of another FluentCredential, be it one of the same name that is gone.
	Former bool
	// Shared is true if others put something of theirs into the workload Secret: it is overwritten, and never deleted
	// to make room.
	Shared   bool
	Leftover bool // a workload Secret under a former name exists
}

// Action is what to do. One pass of the reconciler performs one.
type Action string

// The actions.
const (
	Wait     Action = "Wait"     // nothing, until Step.At or until something changes
	Register Action = "Register" // put our finalizer on the FluentToken
	Release  Action = "Release"  // let its Secrets and itself go
	Withdraw Action = "Withdraw" // let its Secrets go, as target.deletionPolicy says
	Discard  Action = "Discard"  // delete what was left of another credential's token, to make room for a serial that counts anew
	Publish  Action = "Publish"  // write the token to the workload Secret
	Tidy     Action = "Tidy"     // remove the workload Secret under a former name
)

// Why names the rule that decided; the status is made from it.
type Why string

// The rules' outcomes.
const (
	Deleted      Why = "Deleted"
	NotAllowed   Why = "NotAllowed"
	Replaced     Why = "Replaced" // another FluentCredential is meant now
	Unlisted     Why = "Unlisted"
	Obstructed   Why = "Obstructed"
	NoToken      Why = "NoToken"
	Expired      Why = "Expired"
	Unregistered Why = "Unregistered"
	TargetTaken  Why = "TargetTaken"
	Unpublished  Why = "Unpublished"
	Renamed      Why = "Renamed"
	Published    Why = "Published"
)

// Step is what to do next, and why.
type Step struct {
	Do  Action
	Why Why
	At  time.Time // of a Wait: when to look again; zero: when something changes
}

func do(action Action, why Why) *Step { return &Step{Do: action, Why: why} }

func wait(why Why) *Step { return &Step{Do: Wait, Why: why} }

type rule func(seen Observed, now time.Time) *Step

// rules is the policy: the first that decides wins.
var rules = []rule{
	released,     // whoever is going gets nothing new
	consented,    // without consent nothing is looked at that belongs to the credential
	replaced,     // the token of another credential is nobody's business any more
	unlisted,     // a Secret that needs what the owner does not list is withdrawn
	obstructed,   // what cannot be made is not tried
	supplied,     // there is a token that is valid now
	registered,   // nothing is published for an object that could vanish unseen
	unclaimed,    // what is somebody else's is left alone
	published,    // the token is where it belongs
	tidied,       // a former name goes when the new one is there
	untilExpires, // the conditions change there
}

// Next decides what to do with what was seen at the time now.
func Next(seen Observed, now time.Time) Step {
	for _, rule := range rules {
		if step := rule(seen, now); step != nil {
			return *step
		}
	}
	return Step{Do: Wait, Why: Published}
}

func released(seen Observed, _ time.Time) *Step {
	switch {
	case !seen.Deleting:
		return nil
	case !seen.Registered:
		return wait(Deleted)
	}
	return do(Release, Deleted)
}

func consented(seen Observed, _ time.Time) *Step {
	switch {
	case seen.Allowed:
		return nil
	case seen.Holding:
		return do(Withdraw, NotAllowed)
	}
	return wait(NotAllowed)
}

func replaced(seen Observed, _ time.Time) *Step {
	if !seen.Former || !seen.Holding {
		return nil
	}
	return do(Withdraw, Replaced)
}

func unlisted(seen Observed, _ time.Time) *Step {
	if !seen.Unlisted || !seen.Holding {
		return nil
	}
	return do(Withdraw, Unlisted)
}

func obstructed(seen Observed, _ time.Time) *Step {
	if !seen.Obstructed {
		return nil
	}
	return wait(Obstructed)
}

func supplied(seen Observed, now time.Time) *Step {
	switch {
	case seen.Expires.IsZero():
		return wait(NoToken)
	case !now.Before(seen.Expires) && !(seen.Same && seen.Outdated):
		return wait(Expired) // but what an expired token was published with can change
	}
	return nil
}

func registered(seen Observed, _ time.Time) *Step {
	if seen.Registered {
		return nil
	}
	return do(Register, Unregistered)
}

func unclaimed(seen Observed, _ time.Time) *Step {
	if !seen.Taken {
		return nil
	}
	return wait(TargetTaken)
}

func published(seen Observed, _ time.Time) *Step {
	switch {
	case seen.Former && !seen.Shared:
		return do(Discard, Replaced)
	case seen.Outdated:
		return do(Publish, Unpublished)
	}
	return nil
}

func tidied(seen Observed, _ time.Time) *Step {
	if !seen.Leftover || !seen.Current {
		return nil
	}
	return do(Tidy, Renamed)
}

func untilExpires(seen Observed, _ time.Time) *Step {
	return &Step{Do: Wait, Why: Published, At: seen.Expires}
}
