package controllers

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/delivery"
	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/journal"
	"github.com/fluent-credential/operator/internal/kubeerror"
	"github.com/fluent-credential/operator/internal/loginguard"
	"github.com/fluent-credential/operator/internal/metrics"
	"github.com/fluent-credential/operator/internal/plan"
	"github.com/fluent-credential/operator/internal/projection"
	"github.com/fluent-credential/operator/internal/watchdog"
)

// Reconciler keeps the workload Secret of every FluentCredential supplied with a token that is valid now.
type Reconciler struct {
	Client   client.Client // writes, and reads from the cache
	Live     client.Reader // never a cache
	Custody  *custody.Store
	Dialer   exchange.Dialer
	Hosts    *Hosts
	Journal  *journal.Journal // nil: none
	Guard    *loginguard.Guard
	Metrics  *metrics.Metrics
	Delivery *delivery.Deliverer // nil: none
	Tokens   *TokenReconciler    // who else gets the token; nil: nobody
	Recorder events.EventRecorder
	Clock    clock.PassiveClock
	// Domains are those that labels and annotations of targets may have.
	Domains projection.Domains
	// Draw is a random number, 0 ≤ n < 1: the only source of jitter.
	Draw func() float64
	// Holder is this process, as claims name it.
	Holder custody.Holder

	// Watchdog watches the passes and the disk.
	Watchdog *watchdog.Watchdog

	memory   *memory
	passes   atomic.Int64              // passes in progress
	inFlight atomic.Int64              // exchanges that may have spent something
	unsealed atomic.Int64              // exchanges whose reply would be lost with this process
	draining atomic.Pointer[time.Time] // when the shutdown began to wait for held results
	drained  atomic.Int64              // how long the shutdown has waited for held results, in nanoseconds
}

// What the operator has to be permitted, and why. The permissions for internal/delivery are there.
//
// list and watch: to know the credentials. get: to look whether the owner of a login still exists. patch: to put our finalizer on, and
// to take it off.
// +kubebuilder:rbac:groups=auth.fluent-credential.dev,resources=fluentcredentials,verbs=get;list;watch;patch
//
// patch: to write the status.
// +kubebuilder:rbac:groups=auth.fluent-credential.dev,resources=fluentcredentials/status,verbs=patch
//
// update: to be the owner that a Secret's owner reference blocks the deletion of (OwnerReferencesPermissionEnforcement asks for it).
// +kubebuilder:rbac:groups=auth.fluent-credential.dev,resources=fluentcredentials/finalizers,verbs=update
//
// get: to read logins and states, live. list and watch: to see that one was changed or deleted; only metadata is watched. create,
// update and patch: to publish. create and update: to keep states, login guards and the journal's key, by compare-and-swap. patch: to
// take our finalizer off a state. delete: to remove what belongs to a FluentCredential that is gone.
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch;create;update;patch;delete
//
// create and patch: to tell what happened; a repeated event is counted by a patch.
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconcile makes one pass over one credential.
func (r *Reconciler) Reconcile(ctx context.Context, cred *v1alpha1.FluentCredential) (ctrl.Result, error) {
	r.passes.Add(1)
	defer r.passes.Add(-1)
	memory := r.memoryOf(ctx, cred)
	result, err := r.pass(ctx, cred, memory)
	return r.beforeExpiry(ctx, cred, memory, result, err)
}

// pass observes, decides, performs one action and reports.
func (r *Reconciler) pass(
	ctx context.Context, cred *v1alpha1.FluentCredential, memory *remembered,
) (ctrl.Result, error) {
	r.forsake(ctx, client.ObjectKeyFromObject(cred), cred.UID)
	if wait := r.holdBack(ctx, cred, memory); wait > 0 {
		return inLineAfter(wait), nil
	}
	seen, err := r.look(ctx, cred, memory)
	if err != nil {
		r.tellUnseen(ctx, cred, memory, err)
		return unseen(err)
	}
	memory.reads.worked()
	r.noticeEdit(ctx, seen)
	step := plan.Next(seen.facts, seen.now)
	before := seen.record
	err = r.perform(ctx, seen, step)
	// This process ends, or the error need not be reported.
	if err != nil && isStopping(ctx) || r.isLostRace(seen, err) {
		result, err := abandoned(err)
		return r.paced(seen, step, result), err
	}
	r.noteWrites(seen, step, before, err)
	if err != nil {
		seen.failed = err // the status reports it, and that a token expires meanwhile
		seen.denied = kubeerror.IsDenied(err)
	}
	r.mark(ctx, seen)
	return r.report(ctx, seen, step)
}

// isStopping reports whether this process ends. An expired deadline of the pass is different: a server did not answer.
func isStopping(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }

// beforeExpiry schedules the pass after an error no later than the token's expiry. The back-off of the workqueue can be
// longer, and Ready would be True meanwhile.
func (r *Reconciler) beforeExpiry(
	ctx context.Context, cred *v1alpha1.FluentCredential, memory *remembered, result ctrl.Result, err error,
) (ctrl.Result, error) {
	if err == nil {
		memory.errors = 0
		return result, nil
	}
	backoff := min(errorBackoff<<min(memory.errors, 10), errorBackoffMost) // the same as the workqueue's
	memory.errors++
	if cred.Status.Token == nil || !meta.IsStatusConditionTrue(cred.Status.Conditions, v1alpha1.ConditionReady) {
		return result, err
	}
	left := cred.Status.Token.ExpirationTime.Add(time.Second).Sub(r.Clock.Now()) // the status has whole seconds
	if left <= 0 || left >= backoff {
		return result, err
	}
	ctrl.LoggerFrom(ctx).Error(err, "The pass failed; another one is made when the token expires")
	return ctrl.Result{RequeueAfter: left}, nil
}

// unseen is the result of a pass that could not look, or that was about an object which is no more: its cache is behind.
func unseen(err error) (ctrl.Result, error) {
	if errors.Is(err, custody.ErrGone) {
		return ctrl.Result{RequeueAfter: lagWait}, nil
	}
	return ctrl.Result{}, err
}

// abandoned is the result of a pass that came to nothing.
func abandoned(err error) (ctrl.Result, error) {
	if isOthers(err) && !errors.Is(err, custody.ErrGone) {
		return inLineAfter(raceWait), nil // somebody else was faster: look again
	}
	return unseen(err)
}

// isOthers tells whether nothing is wrong with a pass that came to nothing: somebody else has changed meanwhile what it was about, or
// let it go.
func isOthers(err error) bool {
	if errors.Is(err, custody.ErrHeld) {
		return false // there is a result to store, whatever the obstacle was
	}
	return isRace(err) || errors.Is(err, custody.ErrConflict) || errors.Is(err, custody.ErrSuperseded) || errors.Is(err, custody.ErrGone)
}

// lagWait is how often to look whether the cache knows by now that an object is gone, or that another one has its name.
const lagWait = 2 * time.Second

// memoryOf is what is remembered of a credential. Before the first, those that are due are put into their lines.
func (r *Reconciler) memoryOf(ctx context.Context, cred *v1alpha1.FluentCredential) *remembered {
	r.memory.linedUp.Do(func() { r.lineUp(ctx) })
	return r.memory.of(client.ObjectKeyFromObject(cred), cred.UID)
}

// look observes a credential whose status shows what this process wrote last.
func (r *Reconciler) look(ctx context.Context, cred *v1alpha1.FluentCredential, memory *remembered) (*observation, error) {
	cred, err := r.caughtUp(ctx, cred, memory)
	if err != nil {
		return nil, err
	}
	return r.observe(ctx, cred, memory)
}

// raceWait is how long to let somebody else go first.
const raceWait = 50 * time.Millisecond

// perform carries out one step and brings what was seen up to date with it.
func (r *Reconciler) perform(ctx context.Context, seen *observation, step plan.Step) error {
	ctrl.LoggerFrom(ctx).V(1).Info("Decided", "do", step.Do, "why", step.Why, "means", step.Means, "at", step.At)
	switch step.Do {
	case plan.Wait:
		return nil
	case plan.Register:
		return r.register(ctx, seen)
	case plan.Revoke:
		return r.revoke(ctx, seen)
	case plan.Release:
		return r.release(ctx, seen)
	case plan.Relocate:
		return r.relocate(ctx, seen)
	case plan.Deliver:
		return r.storeHeld(ctx, seen)
	case plan.Restore:
		return r.restore(ctx, seen)
	case plan.Mark:
		return r.markOrigin(ctx, seen)
	case plan.Settle:
		return r.settle(ctx, seen)
	case plan.Publish:
		return r.republish(ctx, seen)
	case plan.Withdraw:
		return r.withdraw(ctx, seen)
	case plan.Exchange:
		return r.exchange(ctx, seen, step.Means)
	}
	return nil
}
