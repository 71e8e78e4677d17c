package plan

import "time"

// The rules up to the point where something may be spent.

var releasing = map[string]decision{
	"a deletion": {
		why:  "whoever is going gets nothing new, however healthy",
		seen: func(o *Observed) { o.Deleting = true },
		want: Step{Do: Release, Why: Deleted},
	},
	"before all else": {
		why: "nothing that is wrong may keep a deletion from ending",
		seen: func(o *Observed) {
			o.Deleting, o.StateLeaving, o.Suspended, o.Publication, o.Obstacle = true, true, true, Taken, "CredentialsNotFound"
		},
		want: Step{Do: Release, Why: Deleted},
	},
	"already released": {
		why:  "without our finalizer there is nothing left to let go, and putting it on again would bring the object back",
		seen: func(o *Observed) { o.Deleting, o.Registered = true, false },
		want: Step{Do: Wait, Why: Deleted},
	},
	"during an exchange": {
		why:  "the holder of a claim would store its result in a state Secret that nobody would ever let go: first it must be done",
		seen: func(o *Observed) { o.Deleting, o.Claim = true, &Claim{Until: in(time.Minute)} },
		want: Step{Do: Wait, Why: InFlight, At: in(claimPoll)},
	},
	"after the holder of a claim": {
		why:  "its reply is lost, and nobody needs it any more",
		seen: func(o *Observed) { o.Deleting, o.Claim = true, &Claim{Until: in(time.Minute), Gone: true} },
		want: Step{Do: Release, Why: Deleted},
	},
	"with a refresh token that can be revoked": {
		why:  "nobody shall be able to use it once its owner is gone",
		seen: func(o *Observed) { o.Deleting, o.Revocable = true, true },
		want: Step{Do: Revoke, Why: Deleted},
	},
	"revocable, in the middle of an exchange": {
		why:  "what it brings may be the token to revoke",
		seen: func(o *Observed) { o.Deleting, o.Revocable, o.Claim = true, true, &Claim{Until: in(time.Minute)} },
		want: Step{Do: Wait, Why: InFlight, At: in(claimPoll)},
	},
	"revocable, with a host that is busy": {
		why: "of many that go at once, each gets its turn",
		seen: func(o *Observed) {
			o.Deleting, o.Revocable, o.HostFree, o.Patience = true, true, in(2*time.Second), in(10*time.Second)
		},
		want: Step{Do: Wait, Why: Deleted, At: in(2 * time.Second)},
	},
	"revocable, with a host that is busy for long": {
		why: "a deletion never hangs on the API: the effect finds that it has no turn, and says so",
		seen: func(o *Observed) {
			o.Deleting, o.Revocable, o.HostFree, o.Patience = true, true, in(time.Hour), in(10*time.Second)
		},
		want: Step{Do: Revoke, Why: Deleted},
	},
	"revocable, but not going": {
		why:  "a living credential keeps its refresh token",
		seen: func(o *Observed) { o.Revocable = true },
		want: Step{Do: Wait, Why: NotDue, At: healthy().Token.Refresh},
	},
	"after the time of a claim": {
		why:  "a holder that is silent for so long must not hold the deletion for ever",
		seen: func(o *Observed) { o.Deleting, o.Claim = true, &Claim{Until: now} },
		want: Step{Do: Release, Why: Deleted},
	},
}

var registering = map[string]decision{
	"a new object": {
		why:  "the finalizer comes before the first exchange: an object could vanish with a claim in flight",
		seen: func(o *Observed) { *o = Observed{Login: Login{Password: true}} },
		want: Step{Do: Register, Why: Unregistered},
	},
	"before a repair": {
		why:  "even a Secret that costs nothing is only written for an object that cannot vanish unseen",
		seen: func(o *Observed) { o.Registered, o.Publication = false, Outdated },
		want: Step{Do: Register, Why: Unregistered},
	},
	"before a relocation": {
		why:  "the copy is owned by the object too",
		seen: func(o *Observed) { o.Registered, o.StateLeaving = false, true },
		want: Step{Do: Register, Why: Unregistered},
	},
	"while suspended": {
		why:  "a suspended credential has a state that must not vanish either",
		seen: func(o *Observed) { o.Registered, o.Suspended = false, true },
		want: Step{Do: Register, Why: Unregistered},
	},
}

var relocating = map[string]decision{
	"a deleted state Secret": {
		why:  "only our finalizer keeps the refresh token alive; it is brought to safety before anything else",
		seen: func(o *Observed) { o.StateLeaving = true },
		want: Step{Do: Relocate, Why: StateDeleted},
	},
	"before an exchange": {
		why:  "a claim must not be written into a Secret that is on its way out",
		seen: func(o *Observed) { o.StateLeaving = true; due(o) },
		want: Step{Do: Relocate, Why: StateDeleted},
	},
	"while suspended": {
		why:  "suspend stops what is spent, and a copy spends nothing",
		seen: func(o *Observed) { o.StateLeaving, o.Suspended = true, true },
		want: Step{Do: Relocate, Why: StateDeleted},
	},
	"during an exchange": {
		why:  "the holder of the claim follows the state to its new name",
		seen: func(o *Observed) { o.StateLeaving, o.Claim = true, &Claim{Until: in(time.Minute)} },
		want: Step{Do: Relocate, Why: StateDeleted},
	},
	"before a conflict": {
		why:  "the chain is worth saving although nobody can use its token now",
		seen: func(o *Observed) { o.StateLeaving, o.Publication = true, Taken },
		want: Step{Do: Relocate, Why: StateDeleted},
	},
}

// replied is a claim whose process is gone, and its reply in our journal.
func replied(o *Observed) { o.Journaled, o.Claim = true, &Claim{Until: in(time.Minute), Gone: true} }

var restoring = map[string]decision{
	"a reply in the journal": {
		why:  "the token was paid for already: nothing is lost",
		seen: replied,
		want: Step{Do: Restore, Why: Journaled},
	},
	"before the holder is known to be gone": {
		why:  "whoever of the two is first stores it; the compare-and-swap decides",
		seen: func(o *Observed) { replied(o); o.Claim.Gone = false },
		want: Step{Do: Restore, Why: Journaled},
	},
	"without a claim": {
		why:  "the reply belongs to nothing that is still open",
		seen: func(o *Observed) { o.Journaled = true },
		want: Step{Do: Wait, Why: NotDue, At: in(9 * time.Minute)},
	},
	"while suspended": {
		why:  "suspend stops what is spent, and this is spent already",
		seen: func(o *Observed) { replied(o); o.Suspended = true },
		want: Step{Do: Restore, Why: Journaled},
	},
	"without a login": {
		why:  "the reply needs none",
		seen: func(o *Observed) { replied(o); o.Obstacle = "CredentialsNotFound" },
		want: Step{Do: Restore, Why: Journaled},
	},
	"with a target that is somebody else's": {
		why:  "the chain must not be lost for that",
		seen: func(o *Observed) { replied(o); o.Publication = Taken },
		want: Step{Do: Restore, Why: Journaled},
	},
	"with the state Secret deleted": {
		why:  "it is stored in the copy",
		seen: func(o *Observed) { replied(o); o.StateLeaving = true },
		want: Step{Do: Relocate, Why: StateDeleted},
	},
	"during a deletion": {
		why:  "nobody needs it any more",
		seen: func(o *Observed) { replied(o); o.Deleting = true },
		want: Step{Do: Release, Why: Deleted},
	},
}

var marking = map[string]decision{
	"a token of a former operator": {
		why:  "it is recorded at once where the refresh token belongs: until then the spec could change unnoticed",
		seen: func(o *Observed) { o.Unmarked = true },
		want: Step{Do: Mark, Why: Unmarked},
	},
	"suspended, and the target is taken": {
		why:  "it costs nothing, and both can last for long",
		seen: func(o *Observed) { o.Unmarked, o.Suspended, o.Publication = true, true, Taken },
		want: Step{Do: Mark, Why: Unmarked},
	},
	"during an exchange": {
		why:  "its result has an origin, and a write would race with it",
		seen: func(o *Observed) { o.Unmarked, o.Claim = true, &Claim{Until: in(time.Minute)} },
		want: Step{Do: Wait, Why: InFlight, At: in(claimPoll)},
	},
	"a state that could not be written a moment ago": {
		why:  "the write waits for the same back-off as any other",
		seen: func(o *Observed) { o.Unmarked, o.Writes.StateAt = true, in(time.Minute) },
		want: Step{Do: Wait, Why: NotDue, At: healthy().Token.Refresh},
	},
	"of an object that goes": {
		why:  "nothing is recorded for it any more",
		seen: func(o *Observed) { o.Unmarked, o.Deleting = true, true },
		want: Step{Do: Release, Why: Deleted},
	},
}

var conflicting = map[string]decision{
	"a foreign Secret": {
		why:  "a token that cannot be published is of no use to anybody; the conditions change at its expiry",
		seen: func(o *Observed) { o.Publication = Taken },
		want: Step{Do: Wait, Why: TargetTaken, At: in(20 * time.Minute)},
	},
	"a foreign Secret, no token": {
		why:  "only a change of the Secret helps, and that wakes us",
		seen: func(o *Observed) { o.Publication, o.Token = Taken, nil },
		want: Step{Do: Wait, Why: TargetTaken},
	},
	"with a token due": {
		why:  "nothing is spent for a token that cannot be published",
		seen: func(o *Observed) { o.Publication = Taken; due(o) },
		want: Step{Do: Wait, Why: TargetTaken, At: in(10 * time.Minute)},
	},
	"with the former Secret still there": {
		why:  "workloads that mount the old name keep what they have until the new one is published",
		seen: func(o *Observed) { o.Publication, o.Leftover = Taken, true },
		want: Step{Do: Wait, Why: TargetTaken, At: in(20 * time.Minute)},
	},
}

var publishing = map[string]decision{
	"a missing or edited Secret": {
		why:  "a repair from the state costs no call to the API (I8)",
		seen: func(o *Observed) { o.Publication = Outdated },
		want: Step{Do: Publish, Why: Unpublished},
	},
	"a token that is due": {
		why:  "workloads get the token that lives, before it is replaced",
		seen: func(o *Observed) { o.Publication = Outdated; due(o) },
		want: Step{Do: Publish, Why: Unpublished},
	},
	"while suspended": {
		why:  "suspend stops what is spent; a repair spends nothing",
		seen: func(o *Observed) { o.Publication, o.Suspended = Outdated, true },
		want: Step{Do: Publish, Why: Unpublished},
	},
	"without a login": {
		why:  "the token is there and lives, whatever became of the login",
		seen: func(o *Observed) { o.Publication, o.Obstacle = Outdated, "CredentialsNotFound" },
		want: Step{Do: Publish, Why: Unpublished},
	},
	"while backing off": {
		why:  "a back-off is the API's affair; the Secret waits for nobody",
		seen: func(o *Observed) { o.Publication, o.Failure = Outdated, &Failure{RetryAt: in(time.Minute)} },
		want: Step{Do: Publish, Why: Unpublished},
	},
	"an expired token": {
		why:  "a token that is no good is not published; a new one is obtained instead",
		seen: func(o *Observed) { o.Publication = Outdated; expired(o) },
		want: Step{Do: Exchange, Why: Due, Means: ByRefresh},
	},
	"a token that expires now": {
		why:  "at its expiry a token is expired",
		seen: func(o *Observed) { o.Publication, o.Token.Expires, o.Token.Refresh = Outdated, now, now },
		want: Step{Do: Exchange, Why: Due, Means: ByRefresh},
	},
	"a higher serial": {
		why:  "another replica is ahead: a lower serial never overwrites a higher one (I5)",
		seen: func(o *Observed) { o.Publication = Newer },
		want: Step{Do: Wait, Why: NotDue, At: in(9 * time.Minute)},
	},
}

var withdrawing = map[string]decision{
	"a former name": {
		why:  "the new Secret is published by now",
		seen: func(o *Observed) { o.Leftover = true },
		want: Step{Do: Withdraw, Why: Renamed},
	},
	"before the new name": {
		why:  "renaming publishes the new one, then removes the old one",
		seen: func(o *Observed) { o.Leftover, o.Publication = true, Outdated },
		want: Step{Do: Publish, Why: Unpublished},
	},
	"with nothing to publish": {
		why:  "the old Secret's token lives perhaps; the new one comes first",
		seen: func(o *Observed) { o.Leftover, o.Publication = true, Outdated; expired(o) },
		want: Step{Do: Exchange, Why: Due, Means: ByRefresh},
	},
	"with a token that is due": {
		why:  "a Secret that cannot be removed must not hold up a refresh",
		seen: func(o *Observed) { o.Leftover = true; due(o) },
		want: Step{Do: Exchange, Why: Due, Means: ByRefresh},
	},
	"while suspended": {
		why:  "removing a Secret spends nothing",
		seen: func(o *Observed) { o.Leftover, o.Suspended = true, true },
		want: Step{Do: Withdraw, Why: Renamed},
	},
}

var suspending = map[string]decision{
	"a token that is due": {
		why:  "nothing is spent while suspended; the conditions change when the token expires",
		seen: func(o *Observed) { o.Suspended = true; due(o) },
		want: Step{Do: Wait, Why: Suspended, At: in(10 * time.Minute)},
	},
	"an expired token": {
		why:  "nothing changes any more until a person ends it",
		seen: func(o *Observed) { o.Suspended = true; expired(o) },
		want: Step{Do: Wait, Why: Suspended},
	},
	"no token yet": {
		why:  "the first token is spending too",
		seen: func(o *Observed) { *o = Observed{Registered: true, Suspended: true, Login: Login{Password: true}} },
		want: Step{Do: Wait, Why: Suspended},
	},
	"a rotate annotation": {
		why:  "suspend is the stronger word; the annotation is acted on afterwards",
		seen: func(o *Observed) { o.Suspended, o.Rotate = true, true },
		want: Step{Do: Wait, Why: Suspended, At: in(20 * time.Minute)},
	},
	"an orphaned claim": {
		why:  "recovering it could spend something; until then it keeps others away",
		seen: func(o *Observed) { o.Suspended, o.Claim = true, &Claim{Until: in(-time.Second)} },
		want: Step{Do: Wait, Why: Suspended, At: in(20 * time.Minute)},
	},
}

var finishing = map[string]decision{
	"another process at work": {
		why:  "one exchange at a time, whoever began it; it may be done any moment",
		seen: func(o *Observed) { o.Claim = &Claim{Until: in(time.Minute)} },
		want: Step{Do: Wait, Why: InFlight, At: in(claimPoll)},
	},
	"another process, nearly out of time": {
		why:  "the wait ends with the claim",
		seen: func(o *Observed) { o.Claim = &Claim{Until: in(time.Second)} },
		want: Step{Do: Wait, Why: InFlight, At: in(time.Second)},
	},
	"a claim out of time": {
		why:  "at its end its holder cannot be at work any more",
		seen: func(o *Observed) { o.Claim = &Claim{Until: now} },
		want: Step{Do: Settle, Why: Orphaned},
	},
	"a holder that is gone": {
		why:  "a process that is known to be gone is not waited for",
		seen: func(o *Observed) { o.Claim = &Claim{Until: in(time.Minute), Gone: true} },
		want: Step{Do: Settle, Why: Orphaned},
	},
	"without a login": {
		why:  "what became of a claim does not depend on the login",
		seen: func(o *Observed) { o.Claim, o.Obstacle = &Claim{Gone: true}, "CredentialsNotFound" },
		want: Step{Do: Settle, Why: Orphaned},
	},
	"with a token due": {
		why: "the token may be spent by the claim: it is never presented beside it",
		seen: func(o *Observed) {
			o.Claim, o.Rotate, o.Login = &Claim{Until: in(time.Minute)}, true, Login{Seed: true, Password: true}
			due(o)
		},
		want: Step{Do: Wait, Why: InFlight, At: in(claimPoll)},
	},
}

var obstructing = map[string]decision{
	"a token that lives": {
		why:  "the early warning comes at once, not when the token is due; the conditions change at its expiry",
		seen: func(o *Observed) { o.Obstacle = "CredentialsIncomplete" },
		want: Step{Do: Wait, Why: Obstructed, At: in(20 * time.Minute)},
	},
	"an expired token": {
		why:  "only a change of the login or the spec helps",
		seen: func(o *Observed) { o.Obstacle = "EndpointNotAllowed"; expired(o) },
		want: Step{Do: Wait, Why: Obstructed},
	},
	"a rotate annotation": {
		why:  "there is nothing to ask with",
		seen: func(o *Observed) { o.Obstacle, o.Rotate = "CredentialsNotFound", true; expired(o) },
		want: Step{Do: Wait, Why: Obstructed},
	},
	"a state that cannot be read": {
		why: "Ready ends with the token that workloads have",
		seen: func(o *Observed) {
			o.Obstacle, o.Token, o.Publication, o.ServedUntil = "StateInvalid", nil, "", in(5*time.Minute)
		},
		want: Step{Do: Wait, Why: Obstructed, At: in(5 * time.Minute)},
	},
	"a failure": {
		why:  "the obstacle is what a person has to mend first",
		seen: func(o *Observed) { o.Obstacle, o.Failure = "CredentialsNotFound", &Failure{} },
		want: Step{Do: Wait, Why: Obstructed, At: in(20 * time.Minute)},
	},
}
