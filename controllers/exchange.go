package controllers

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/journal"
	"github.com/fluent-credential/operator/internal/loginguard"
	"github.com/fluent-credential/operator/internal/plan"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
	"github.com/fluent-credential/operator/internal/watchdog"
)

// SpendBefore is the fence: a claim that is older than this, on the monotonic clock, is not spent any more. Its holder may have
// been frozen, and somebody else may be recovering it.
const SpendBefore = 5 * time.Second

// attempt is one exchange from its preparation to its result.
type attempt struct {
	claim   custody.Claim
	request provider.Request
	spends  token.Secret // the refresh token or the code; zero for a login
	answer  provider.Answer
	sent    time.Time // the moment before the request was sent
	replied time.Time
	retryAt time.Time // of a refused login, where the guard says so
	expires time.Time // of the token that the new one replaces; zero where there was none
	told    news      // of the token host
	landed  bool      // the host's slot is given back
}

// exchange obtains a token. This is the only place where a refresh token is spent, and the order is the point: dial (costs
// nothing), claim (so that whoever comes next knows), send once, commit (so that it cannot be lost), publish.
func (r *Reconciler) exchange(ctx context.Context, seen *observation, means plan.Means) error {
	try, err := r.prepare(seen, means)
	if err != nil {
		return err
	}
	if refused := r.admit(seen, try); refused != nil {
		try.answer = *refused
		return r.undialed(ctx, seen, try)
	}
	if !r.Hosts.Take(hostOf(seen.api), seen.waiter(), seen.now) {
		return nil // another credential was faster; report queues for the next turn
	}
	defer r.land(seen, try)
	slot, conn, refused := r.ready(ctx, seen, try)
	if refused != nil {
		try.answer, try.told = *refused, newsOf(*refused)
		if !isOfJournal(refused.Problem) { // the API has no part in that
			r.Metrics.Exchanged(seen.api.Name(), try.claim.Grant, refused.Verdict, 0)
		}
		return r.undialed(ctx, seen, try)
	}
	defer conn.Close()
	if ctx.Err() != nil {
		r.discard(ctx, slot)
		return ctx.Err() // SIGTERM: nothing new is begun
	}
	r.inFlight.Add(1)
	defer r.inFlight.Add(-1)
	claimed, err := r.claimLogin(ctx, conn, seen, try)
	// From here on a claim may exist and a token may be spent. The rest is finished even if this pass or the lease
	// ends.
	watchdog.Detach(ctx)
	ctx = context.WithoutCancel(ctx)
	if claimed == nil {
		r.discard(ctx, slot)
		return err
	}
	letGo := r.hold()
	defer letGo()
	r.send(ctx, conn, seen, try, slot)
	r.land(seen, try)
	r.warnUnsealed(ctx, slot)
	if slot != nil && slot.Err() == nil {
		letGo() // the next process finds the reply in the journal
	}
	isSettled := false
	switch {
	case try.answer.Verdict == token.LoginRefused:
		r.settleWithin(ctx, seen, try) // there is no token to wait for, and the guard sets the time of the next try
		isSettled = true
	case slot != nil && slot.Err() == nil:
		isSettled = r.spendSeed(ctx, seen, try)
	}
	h := &held{
		seen: seen, try: try, slot: slot, lost: claimed.Lost, settled: isSettled,
		pending: custody.NewPending(seen.owner(), claimed, r.result(seen, try)),
	}
	return r.finish(ctx, seen, h, custody.CommitTries)
}

// land gives the host's slot back, and passes on what was learned of the host.
func (r *Reconciler) land(seen *observation, try *attempt) {
	if !try.landed {
		try.landed = true
		r.Hosts.Land(hostOf(seen.api), client.ObjectKeyFromObject(seen.cred), try.told, r.Clock.Now())
		if try.told == silent {
			r.Hosts.Describe(hostOf(seen.api), seen.cred.Namespace, strings.Join(wordsOf(try.answer.Problem), ": "))
		}
	}
}

// finish stores an answer in the state first, then publishes it to the workloads. Everything else comes later. A result
// that cannot be stored is held, and later passes continue from here.
func (r *Reconciler) finish(ctx context.Context, seen *observation, h *held, tries int) error {
	err := r.commit(ctx, seen, h, tries)
	if err != nil && !isUnwanted(err) {
		r.trim(ctx, h) // before others can find it
		r.memory.hold(h)
		return err
	}
	r.memory.drop(h)
	h.gone = errors.Is(err, custody.ErrGone)
	ctx, cancel := context.WithTimeout(ctx, PassTimeout) // the next pass does the rest
	defer cancel()
	if err == nil {
		r.publishReply(ctx, seen, h.try)
	}
	// A process that settled the claim knows the seed's fate.
	if !h.settled && !h.journaled && (err == nil || !h.try.claim.Seed) {
		r.settleLogin(ctx, h.seen, h.try)
	}
	r.conclude(ctx, seen, h)
	return err
}

// settleWithin does not delay the result for longer than a pass may take.
func (r *Reconciler) settleWithin(ctx context.Context, seen *observation, try *attempt) {
	ctx, cancel := context.WithTimeout(ctx, PassTimeout)
	defer cancel()
	r.settleLogin(ctx, seen, try)
}

// spendSeed records in the login guard that a seed was sent, and reports whether it did. It comes before the result is
// stored, if the log has the reply: a process that ends between the two must not leave a seed that only the state
// knows to be spent, since people can remove the state.
func (r *Reconciler) spendSeed(ctx context.Context, seen *observation, try *attempt) bool {
	if !try.claim.Seed || try.spends.IsZero() || seen.api == nil || isIntact(try.answer.Verdict) {
		return false
	}
	r.settleWithin(ctx, seen, try)
	return true
}

// ready brings everything up that can fail without a loss: a place on disk for the reply, and a connection.
func (r *Reconciler) ready(ctx context.Context, seen *observation, try *attempt) (*journal.Slot, *exchange.Conn, *provider.Answer) {
	slot, refused := r.reserve(seen, try)
	if refused != nil {
		return nil, nil, refused
	}
	conn, refused := r.Dialer.Dial(ctx, seen.api, try.request)
	if refused != nil {
		r.discard(ctx, slot)
		return nil, nil, refused
	}
	if slot != nil {
		conn.Record(slot)
	}
	return slot, conn, nil
}

// prepare chooses the grant and builds the request.
func (r *Reconciler) prepare(seen *observation, means plan.Means) (*attempt, error) {
	login := seen.login
	try := &attempt{claim: custody.Claim{
		ID: custody.NewID(), Attempt: 1, Holder: r.Holder, Started: r.Clock.Now(), Login: seen.attempted(),
	}}
	switch means {
	case plan.ByRefresh:
		login.Refresh = seen.record.Chain.Refresh
		try.claim.Grant, try.spends = token.RefreshToken, login.Refresh
		try.claim.Attempt = seen.facts.Chain.Presented + 1
	case plan.BySeed:
		try.claim.Grant, try.spends, try.claim.Seed = seen.seed().grant, seen.seed().secret, true
		try.claim.Attempt = seen.presentedSeed(try.spends) + 1
	case plan.ByPassword:
		try.claim.Grant = token.Password
	case plan.ByClient:
		try.claim.Grant = token.ClientCredentials
	}
	if !try.spends.IsZero() {
		try.claim.Spends = try.spends.Hash(seen.record.Salt)
	}
	try.claim.Inputs, try.claim.Origin = seen.inputs(), seen.originFor(means)
	request, err := seen.api.Request(try.claim.Grant, login)
	request.Secrets = seen.secretsBeside(request)
	try.request = request
	return try, err
}

// claimLogin asks the login guard first: it counts an attempt from before it is made. Without a claim and an error the guard
// refused. What is begun is finished; but whoever is told to stop while the guard is asked claims nothing any more.
func (r *Reconciler) claimLogin(pass context.Context, conn *exchange.Conn, seen *observation, try *attempt) (*custody.Record, error) {
	// It ends even if the Kubernetes API does not answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(pass), PassTimeout)
	defer cancel()
	refused, err := r.reserveLogin(ctx, seen, try)
	if err != nil {
		return nil, err
	}
	if refused != nil && refused.Problem.Code == string(loginguard.Spent) && seen.record.Chain != nil {
		return nil, r.noteSpent(ctx, seen, try)
	}
	if refused != nil {
		try.answer = *refused
		return nil, r.undialed(ctx, seen, try)
	}
	var claimed *custody.Record
	if err = pass.Err(); err == nil {
		claimed, err = r.claim(ctx, conn, seen, try)
	}
	if err != nil {
		seen.memory.unsent = try.claim.ID // should it be there after all, nothing was sent for it
		try.answer.Verdict = token.Unsent
		r.settleLogin(ctx, seen, try)
	}
	return claimed, err
}

// noteSpent records a seed that was spent although the state does not know it: the state was lost and came back from a
// reply. The next pass goes on with the stored refresh token.
func (r *Reconciler) noteSpent(ctx context.Context, seen *observation, try *attempt) error {
	next := seen.record.State
	next.TakeForSpent(try.spends)
	record, err := r.Custody.Put(ctx, seen.owner(), seen.record, next)
	if err != nil {
		return err
	}
	seen.record = record
	ctrl.LoggerFrom(ctx).Info("The seed was spent before; the stored refresh token goes on", "grant", try.claim.Grant)
	return nil
}

// claim writes down what is about to be spent. On a conflict everything is dropped: somebody else was first.
func (r *Reconciler) claim(ctx context.Context, conn *exchange.Conn, seen *observation, try *attempt) (*custody.Record, error) {
	try.claim.Started = r.Clock.Now()
	conn.Arm(SpendBefore)
	try.claim.SpendBefore = try.claim.Started.Add(SpendBefore)
	try.claim.DoneBefore = try.claim.Started.Add(claimLife)
	next := seen.record.Claimed(try.claim, seen.handledRotate())
	ctx, cancel := context.WithTimeout(ctx, SpendBefore)
	defer cancel()
	return r.Custody.Claim(ctx, seen.owner(), seen.record, next)
}

// send spends the token, once, unless the claim has become too old meanwhile.
func (r *Reconciler) send(ctx context.Context, conn *exchange.Conn, seen *observation, try *attempt, slot *journal.Slot) {
	refused := r.noteSending(slot)
	try.sent = r.Clock.Now()
	switch {
	case refused != nil:
		try.answer = *refused
	case isLate(try):
		try.answer = provider.Answer{Verdict: token.Unsent, Problem: provider.Problem{Description: "this process was held up"}}
	default:
		try.answer = bounded(ctx, conn.Send(ctx, seen.api, try.claim.Grant, try.request))
		try.told = newsOf(try.answer)
	}
	try.replied = r.Clock.Now()
	r.Metrics.Exchanged(seen.api.Name(), try.claim.Grant, try.answer.Verdict, try.replied.Sub(try.sent))
	ctrl.LoggerFrom(ctx).Info("Exchanged", "grant", try.claim.Grant, "verdict", try.answer.Verdict,
		"status", try.answer.Problem.Status, "code", try.answer.Problem.Code, "took", try.replied.Sub(try.sent).String())
}

// isLate looks at the monotonic clock, which does not count while a virtual machine is paused, and at the wall clock, which can be
// set: whichever says more.
func isLate(try *attempt) bool {
	return try.sent.Sub(try.claim.Started) > SpendBefore || try.sent.Round(0).Sub(try.claim.Started.Round(0)) > SpendBefore
}

// hold records that a reply is expected, or is here and not durable. The returned function ends that; it may be called
// twice.
func (r *Reconciler) hold() (letGo func()) {
	r.unsealed.Add(1)
	return sync.OnceFunc(func() { r.unsealed.Add(-1) })
}

// Holds reports whether a reply would be lost with this process.
func (r *Reconciler) Holds() bool {
	isAtStake := func(h *held) bool { return !h.isDurable() }
	return r.unsealed.Load() > 0 || slices.ContainsFunc(r.memory.allHeld(), isAtStake)
}

// commit makes a round of storing the result.
func (r *Reconciler) commit(ctx context.Context, seen *observation, h *held, tries int) error {
	before := seen.record
	tried := func(err error) {
		r.Metrics.CommitRetried()
		ctrl.LoggerFrom(ctx).Info("The result of an exchange could not be stored yet",
			"verdict", h.try.answer.Verdict, "because", wordsOfWrite(h.seen, err))
	}
	h.waited(r.Clock.Now())
	record, err := r.Custody.Deliver(ctx, h.pending, tries, tried)
	h.tried = r.Clock.Now()
	if isUnwanted(err) {
		ctrl.LoggerFrom(ctx).Info("The result of an exchange is not wanted any more", "because", err.Error())
	}
	if err != nil {
		return err
	}
	seen.now, seen.record = r.Clock.Now(), record
	r.tell(seen, before, h.try)
	return nil
}

// result is what the answer makes of a state: the token that is stored by then, not the one of this pass, is what it is applied
// to.
func (r *Reconciler) result(seen *observation, try *attempt) custody.Result {
	if try.answer.Verdict == token.Granted {
		wanted := func(state custody.State, claim custody.Claim) bool {
			return state.Awaits(claim) && !state.Outran(claim, try.answer.Set.Refresh)
		}
		return custody.Result{Claim: try.claim, Wanted: wanted, Apply: r.granted(seen, try), Patience: claimLife}
	}
	failure := r.failure(seen, try)
	apply := func(state custody.State) custody.State { return state.Failed(try.claim, failure, try.spends) }
	return custody.Result{Claim: try.claim, Wanted: custody.State.Holds, Apply: apply, Patience: claimLife}
}

// undialed records a failure before the claim: nothing was sent, so a conflict is no loss.
func (r *Reconciler) undialed(ctx context.Context, seen *observation, try *attempt) error {
	seen.now = r.Clock.Now()
	before := seen.record
	next := before.Idle(r.failure(seen, try))
	next.Rotate = seen.handledRotate()
	record, err := r.Custody.Put(ctx, seen.owner(), before, next)
	if err != nil {
		return err
	}
	seen.record = record
	r.tell(seen, before, try)
	return nil
}
