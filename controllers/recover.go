package controllers

import (
	"context"
	"errors"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/plan"
	"github.com/fluent-credential/operator/internal/token"
)

// register puts our finalizer on the FluentCredential: from now on it cannot vanish with a claim in flight.
func (r *Reconciler) register(ctx context.Context, seen *observation) error {
	changed := seen.cred.DeepCopy()
	controllerutil.AddFinalizer(changed, v1alpha1.ReleaseFinalizer)
	patch := client.MergeFromWithOptions(seen.cred, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Patch(ctx, changed, patch); err != nil {
		return err
	}
	seen.memory.registered = changed.ResourceVersion
	seen.cred = changed
	return nil
}

// isRegistered: the cache shows our finalizer, or is older than the write that put it there.
func isRegistered(seen *observation) bool {
	written := seen.memory.registered
	return written != "" && isNewer(written, seen.cred.ResourceVersion) || controllerutil.ContainsFinalizer(seen.cred, v1alpha1.ReleaseFinalizer)
}

// relocate brings the state out of a Secret that somebody deleted.
func (r *Reconciler) relocate(ctx context.Context, seen *observation) error {
	record, err := r.Custody.Relocate(ctx, seen.owner(), seen.record)
	if err != nil {
		return err
	}
	ctrl.LoggerFrom(ctx).Info(
		"The state Secret was deleted or made immutable by somebody; its content was brought to safety")
	if !seen.record.Damaged {
		r.sayStateSaved(seen)
	}
	seen.record = record
	return nil
}

// isMoveRefused reports whether the state waits for its other name to be free: a held result is stored there, at the pace
// of its own tries.
func (r *Reconciler) isMoveRefused(seen *observation) bool {
	return r.memory.holds(seen.cred.UID) && errors.Is(seen.memory.state.err, custody.ErrNoPlace)
}

// settle ends a claim whose holder is gone. The fate of its token is unknown, so the token counts as presented. settle
// reads the journal again, because the holder may have sent the request, sealed its reply and ended between the first
// look at the journal and the look at its lock. Only the journal's content after the holder's end shows what the holder
// did. If the disk does not show it, the claim waits for a later look until its life is over.
func (r *Reconciler) settle(ctx context.Context, seen *observation) error {
	if r.observeJournal(ctx, seen); seen.isJournaled() {
		return nil // the reply was sealed after the first look at the journal; the next pass stores it
	}
	if seen.unheard && r.Clock.Now().Before(r.claimFact(seen).Until) {
		return nil
	}
	claim, before := *seen.record.Claim, seen.record
	failed := r.orphaned(seen, claim)
	record, err := r.Custody.Put(ctx, seen.owner(), before, before.Settled(claim, failed, seen.sentBy(claim)))
	if err != nil {
		return err
	}
	seen.record = record
	if failed.Verdict == token.Unsent || claim.Seed {
		r.settleForOther(ctx, seen, claim, failed.Verdict)
	}
	r.Metrics.Recovered(recoveredAs[failed.Verdict])
	if seen.unsealed != nil {
		r.forgetSlot(ctx, claim.ID)
	}
	ctrl.LoggerFrom(ctx).Info("The holder of a claim is gone", "grant", claim.Grant, "attempt", claim.Attempt,
		"verdict", record.Failure.Verdict)
	seen.recallLost(claim)
	r.sayFailed(seen, before)
	return nil
}

// recoveredAs says in a metric what became of a claim whose process is gone.
var recoveredAs = map[token.Verdict]string{token.Unknown: "lost", token.Unsent: "unsent"}

// settleForOther tells the guard what became of the login, or the seed, of a process that is gone.
func (r *Reconciler) settleForOther(ctx context.Context, seen *observation, claim custody.Claim, verdict token.Verdict) {
	try := &attempt{claim: claim, spends: seen.sentBy(claim), sent: claim.Started}
	try.answer.Verdict = verdict
	if seen.api != nil && (claim.Grant == token.Password || !try.spends.IsZero()) {
		r.settleLogin(ctx, seen, try)
	}
}

// isUnsent tells whether it is proven that nothing was sent for the claim.
func (o *observation) isUnsent(claim custody.Claim) bool {
	return o.memory.isUnsent(claim.ID) || o.unsealed != nil && o.unsealed.Unsent
}

// orphaned is the failure of an exchange whose process is gone. A login whose answer nobody saw twice in a row is left alone like a
// refused one: a crash loop must not lock it.
func (r *Reconciler) orphaned(seen *observation, claim custody.Claim) custody.Failure {
	failed := custody.Failure{
		Last: seen.now, Verdict: token.Unknown, Reason: v1alpha1.ReasonReplyLost, Login: seen.attempted(),
		Message: "the operator was stopped while a reply was on its way", Class: failure.Time,
	}
	failed.RetryAt = r.backoff(seen, seen.joinRun(&failed), seen.now)
	if seen.isUnsent(claim) {
		failed.Verdict = token.Unsent
		failed.Reason = v1alpha1.ReasonProviderUnavailable
		failed.Message = "the operator was held up between the claim and the request, so nothing was sent"
		return failed
	}
	if claim.Grant == token.RefreshToken || claim.Grant == token.AuthorizationCode {
		if seen.isRetriedAtOnce(claim) {
			failed.RetryAt = seen.now
		}
		return failed
	}
	failed.Reason = v1alpha1.ReasonProviderUnavailable
	if wasLost(seen.record.Failure) {
		failed.RetryAt = seen.now.Add(plan.LoginBar) // this failure passes by itself
		failed.Barred = true
	}
	return failed
}

// sentBy finds the token that a claim spends: the chain's own, or the seed that is still in the credentials Secret.
func (o *observation) sentBy(claim custody.Claim) token.Secret {
	salt := o.record.Salt
	if o.record.Chain != nil && o.record.Chain.Refresh.Hash(salt) == claim.Spends {
		return o.record.Chain.Refresh
	}
	for _, seed := range []token.Secret{o.login.Refresh, o.login.Code} {
		if seed.Hash(salt) == claim.Spends {
			return seed
		}
	}
	return token.Secret{}
}

// handledRotate is the mark of the rotate annotation that this pass acts on.
func (o *observation) handledRotate() string {
	if asked := custody.RotateMark(o.cred.Rotate()); asked != "" {
		return asked
	}
	return o.record.Rotate
}

// isRotateAsked reports whether the rotate annotation has a value that was not acted on yet. Former versions kept the
// value itself, however long it was.
func (o *observation) isRotateAsked() bool {
	asked := custody.RotateMark(o.cred.Rotate())
	return asked != "" && asked != custody.RotateMark(o.record.Rotate) &&
		asked != custody.RotateMark(o.cred.Status.LastHandledRotateAt)
}
