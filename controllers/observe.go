package controllers

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/binding"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/journal"
	"github.com/fluent-credential/operator/internal/plan"
	"github.com/fluent-credential/operator/internal/projection"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// observation is all that one pass knows. It is brought up to date by what the pass does.
type observation struct {
	now        time.Time
	cred       *v1alpha1.FluentCredential
	memory     *remembered
	record     *custody.Record
	api        provider.API // nil where the spec allows none
	login      token.Login
	hints      string // likely mistakes in the credentials Secret; reported when the API refuses the client
	template   projection.Templates
	obstacle   obstacle
	workload   workload
	journaled  *journal.Entry  // the reply of the state's claim
	unsealed   *journal.Defect // likewise, where it never came, or not whole
	unheard    bool            // the disk would not say whether there is one
	unreadable bool            // the state is there and is not ours to read
	hostSays   string          // the last failure of a token host that fails for this namespace
	policy     exchange.Policy // of this process
	domains    projection.Domains
	failed     error // what the Kubernetes API said to a publication, or to what an exchange has to write
	denied     bool  // it says so for good: no exchange can be made

	distributed     <-chan struct{}           // closed when all consumers had their turn; nil: there is nothing new for them
	consumers       *v1alpha1.ConsumersStatus // who else has the token; counted for the status
	selectorIgnored bool

	facts plan.Observed
}

// obstacle says why no exchange can happen, in the words of a condition.
type obstacle struct{ reason, message string }

func (o *observation) owner() custody.Owner {
	return stateOwner(o.cred)
}

// stateOwner is a FluentCredential as the owner of its state.
func stateOwner(cred *v1alpha1.FluentCredential) custody.Owner {
	return custody.Owner{
		Namespace: cred.Namespace, Name: cred.Name, UID: cred.UID, Reference: cred.Spec.CredentialsSecretRef.Name,
	}
}

// observe gathers the live state, the workload Secret and the inputs. An error is the Kubernetes API's; what is wrong with the
// spec or the login is an obstacle. The clock is read last: of a process that is frozen between the two, what it has seen must not
// seem to be older than it is, or it would take a claim that was made meanwhile for one that it has known for long.
func (r *Reconciler) observe(ctx context.Context, cred *v1alpha1.FluentCredential, memory *remembered) (*observation, error) {
	seen := &observation{cred: cred, memory: memory, policy: r.Dialer.Policy, domains: r.Domains}
	r.recallMark(seen)
	if err := r.observeState(ctx, seen); err != nil {
		return nil, err
	}
	if err := r.observeInputs(ctx, seen); err != nil {
		return nil, err
	}
	if err := r.observeWorkload(ctx, seen); err != nil {
		return nil, err
	}
	r.observeJournal(ctx, seen)
	seen.now = r.Clock.Now()
	r.refresh(seen)
	return seen, nil
}

func (r *Reconciler) observeState(ctx context.Context, seen *observation) error {
	record, err := r.Custody.Open(ctx, seen.owner())
	switch {
	case errors.Is(err, custody.ErrForeign), errors.Is(err, custody.ErrNewer):
		seen.obstacle = obstacle{v1alpha1.ReasonStateInvalid, err.Error()}
		seen.unreadable, record = true, &custody.Record{}
	case err != nil:
		return err
	case isBlocked(seen.memory.state.err):
		seen.memory.state.worked() // the obstacle is gone: the next write need not wait
	}
	seen.record = record
	if seen.witnessed() > record.Serial {
		return r.lookForNewer(ctx, seen)
	}
	return nil
}

// lookForNewer looks under the state's other name, where the status or this machine has seen a higher serial than the state has.
func (r *Reconciler) lookForNewer(ctx context.Context, seen *observation) error {
	newest, err := r.Custody.Newest(ctx, seen.owner(), seen.record)
	if err == nil {
		seen.record = newest
	}
	return err
}

// observeInputs reads the spec and the login; the first obstacle is the one that is told.
func (r *Reconciler) observeInputs(ctx context.Context, seen *observation) error {
	if err := r.observeLogin(ctx, seen); err != nil {
		return err
	}
	spec := seen.cred.Spec
	template, err := projection.Parse(spec.Target.Data)
	if err != nil {
		seen.obstruct(v1alpha1.ReasonTemplateInvalid, err.Error())
	}
	seen.template = template
	api, err := binding.APIOf(spec.Provider)
	if err != nil {
		seen.obstruct(v1alpha1.ReasonEndpointNotAllowed, err.Error())
		return nil
	}
	seen.api = api
	if reason, refused := exchange.IsNotAllowed(r.Dialer.Policy.Check(api.Endpoint())); refused {
		seen.obstruct(v1alpha1.ReasonEndpointNotAllowed, reason)
	}
	seen.obstructByLogin()
	return nil
}

// obstructByLogin finds what the login lacks for the next exchange.
func (o *observation) obstructByLogin() {
	if missing := o.missing(); missing != "" {
		o.obstruct(v1alpha1.ReasonCredentialsIncomplete, missing)
	}
	target := o.cred.TargetName()
	if projection.IsStateName(target) && (o.isOwnState(target) || o.cred.Status.TargetName != target) {
		o.obstruct(v1alpha1.ReasonTargetConflict, targetIsState)
	}
	if why := targetProblems(o.cred.Name, o.cred.Spec.Target, o.cred.Status.TargetName == target); why != "" {
		o.obstruct(v1alpha1.ReasonPublishFailed, why)
	}
	if login := o.loginFact(); o.record.Damaged && !login.Renews() && !login.Seed {
		o.obstruct(v1alpha1.ReasonStateInvalid, "the state Secret was edited, and no login is left to start anew with: "+
			"undo the edit and set the rotate annotation, or put a new refresh_token into the credentials Secret"+o.andForget())
	}
}

const targetIsState = "spec.target.name is the name of the state Secret: choose another"

// isOwnState reports whether a name is that of the credential's own state Secret. The names of other credentials' state
// Secrets are refused too, except if a former release has published there.
func (o *observation) isOwnState(name string) bool {
	names := custody.Names(o.cred.Name)
	return slices.Contains(names[:], name)
}

// targetProblems returns why the Kubernetes API would refuse the target Secret, or an empty string if it would not.
// Admission checks this first, but an object can be older than the admission rules. No login is spent for a Secret that
// cannot be written. A target Secret that was published before keeps its type.
func targetProblems(object string, target v1alpha1.TargetSpec, isPublished bool) string {
	problems := projection.Problems(object, target)
	if isPublished {
		problems = projection.PublishedProblems(object, target)
	}
	problems = slices.DeleteFunc(problems, func(problem string) bool {
		return strings.HasPrefix(problem, "spec.target.name: ") // this obstacle is reported separately
	})
	if len(problems) == 0 {
		return ""
	}
	return "the target Secret would be refused: " + strings.Join(problems, "; ")
}

func (o *observation) obstruct(reason, message string) {
	if o.obstacle.reason == "" {
		o.obstacle = obstacle{reason, message}
	}
}

// andForget is what else a person has to do where the state does not even tell which seeds were spent.
func (o *observation) andForget() string {
	if !o.record.Forgotten {
		return ""
	}
	return ", then delete the state Secret"
}

// refresh derives the facts that the plan looks at from what is known now.
func (r *Reconciler) refresh(seen *observation) {
	if seen.record.Forgotten {
		seen.record.TakeForSpent(seen.login.Refresh, seen.login.Code)
	}
	cred, state, failure := seen.cred, seen.record.State, seen.failureFact()
	seen.facts = plan.Observed{
		Deleting:     !cred.DeletionTimestamp.IsZero(),
		Registered:   isRegistered(seen),
		Suspended:    cred.Spec.Suspend,
		Rotate:       seen.isRotateAsked(),
		Obstacle:     plan.Obstacle(seen.obstacle.reason),
		Publication:  seen.publication(),
		Leftover:     len(seen.workload.leftovers) > 0,
		StateLeaving: seen.record.HasToMove() && !r.isMoveRefused(seen),
		Claim:        r.claimFact(seen),
		Journaled:    seen.isJournaled(),
		Token:        seen.tokenFact(),
		ServedUntil:  seen.servedUntil(),
		Chain:        seen.chainFact(),
		Login:        seen.loginFact(),
		OnLostReply:  plan.Policy(cred.Spec.Refresh.OnLostReply),
		Failure:      failure,
		Mended:       state.Failure != nil && failure == nil,
		Unmarked:     seen.isUnmarked(),
		Revocable:    seen.isRevocable(),
		Writes:       r.writesFact(seen),
	}
	if seen.api != nil {
		host := hostOf(seen.api)
		seen.facts.HostFree = r.Hosts.FreeAt(host, seen.waiter(), seen.now)
		seen.hostSays = r.Hosts.LastFailure(host, seen.cred.Namespace)
		seen.facts.Patience = seen.memory.patience(seen.facts.Revocable, seen.now)
	}
}

// claimLife is how long the holder of a claim can be at work: it sends within SpendBefore, reads until ReplyTimeout, and has some
// time to store what it read.
const claimLife = SpendBefore + exchange.ReplyTimeout + 5*time.Second

// longestClaim bounds the duration that a claim states: another version may wait longer for replies, or the claim may
// have been edited.
const longestClaim = 10 * time.Minute

// lifeOf returns how long the holder of a claim can be at work, counted from the claim. The claim states the duration,
// except if an older version wrote it.
func lifeOf(claim custody.Claim) time.Duration {
	if claim.DoneBefore.IsZero() || claim.Started.IsZero() {
		return claimLife
	}
	return min(max(claim.DoneBefore.Sub(claim.Started), claimLife), longestClaim)
}

// isHolderGone reports whether the process that made a claim is known to have ended: it is a former process
// of this pod, or its lock is free.
func (r *Reconciler) isHolderGone(holder custody.Holder) bool {
	return holder.Outlived(r.Holder) ||
		holder.Start != r.Holder.Start && r.Journal != nil && r.Journal.IsGone(holder.Start)
}

func (r *Reconciler) claimFact(seen *observation) *plan.Claim {
	claim := seen.record.Claim
	if claim == nil {
		return nil
	}
	first := seen.memory.firstSeen(claim.ID, r.Clock.Now()) // not the pass's: the state may have been read anew since
	gone := r.isHolderGone(claim.Holder) || seen.memory.isUnsent(claim.ID) || claim.ID == seen.memory.leaving.claim
	return &plan.Claim{Until: first.Add(lifeOf(*claim)), Gone: gone && !seen.unheard}
}

func (o *observation) isJournaled() bool {
	return o.journaled != nil && o.record.Claim != nil && o.record.Claim.ID == o.journaled.ID
}

func (o *observation) tokenFact() *plan.Token {
	stored := o.record.Token
	if stored == nil {
		return nil
	}
	return &plan.Token{
		Obtained: stored.Obtained, Expires: stored.Expires, Refresh: o.refreshAt(), Stale: o.isStale(),
	}
}

// chainFact doubts a refresh token that the workload Secret, the status or the mark shows to be an old one: it is likely spent.
func (o *observation) chainFact() plan.Chain {
	chain := o.record.Chain
	if chain == nil {
		return plan.Chain{}
	}
	presented := chain.Presented
	if o.isRolledBack() {
		presented = max(presented, 1)
	}
	return plan.Chain{Stored: true, Presented: presented, Declined: chain.Declined, Foreign: o.isForeign()}
}

// isRolledBack: others have seen a higher serial than the state's.
func (o *observation) isRolledBack() bool {
	return max(o.workload.serial, o.witnessed()) > o.record.Serial
}

// secretsBeside returns all secrets that the reply to a request can repeat. A reply that is read from the journal is
// searched for the same ones as a reply on arrival.
func (o *observation) secretsBeside(request provider.Request) []token.Secret {
	return append(request.Secrets, o.secrets()...)
}

// secrets returns all known secrets of this credential. Messages of others must not repeat them.
func (o *observation) secrets() []token.Secret {
	known := o.login.Secrets()
	if o.record != nil && o.record.Token != nil {
		known = append(known, o.record.Token.Access)
	}
	if o.record != nil && o.record.Chain != nil {
		known = append(known, o.record.Chain.Refresh)
	}
	return append(known, provider.SecretHeaders(binding.HeadersOf(o.cred.Spec.Provider))...)
}
