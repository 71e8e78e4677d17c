package controllers

import (
	"context"
	"errors"

	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/delivery"
	"github.com/fluent-credential/operator/internal/distribution"
	"github.com/fluent-credential/operator/internal/kubeerror"
	"github.com/fluent-credential/operator/internal/metrics"
	"github.com/fluent-credential/operator/internal/projection"
	"github.com/fluent-credential/operator/internal/watchdog"
)

// TokenReconciler publishes the access tokens of FluentCredentials for the FluentTokens that they permit. It takes a token from the
// state Secret, and spends nothing, ever.
type TokenReconciler struct {
	Client   client.Client // writes, and reads from the cache
	Live     client.Reader // never a cache
	Custody  *custody.Store
	Metrics  *metrics.Metrics
	Delivery *delivery.Deliverer // nil: none
	Recorder events.EventRecorder
	Watchdog *watchdog.Watchdog
	Clock    clock.PassiveClock
	// Namespaces are the ones that the operator works in; none means all.
	Namespaces []string
	// Domains are those that labels and annotations of targets may have.
	Domains projection.Domains
	// Selects says that the labels of namespaces can be read.
	Selects bool

	consumers *consumers
}

// What FluentTokens need beside what FluentCredentials do, and why.
//
// list and watch: to know the consumers. patch: to put our finalizer on, and to take it off.
// +kubebuilder:rbac:groups=auth.fluent-credential.dev,resources=fluenttokens,verbs=get;list;watch;patch
//
// patch: to write the status.
// +kubebuilder:rbac:groups=auth.fluent-credential.dev,resources=fluenttokens/status,verbs=patch
//
// update: to be the owner that a Secret's owner reference blocks the deletion of (OwnerReferencesPermissionEnforcement asks for it).
// +kubebuilder:rbac:groups=auth.fluent-credential.dev,resources=fluenttokens/finalizers,verbs=update
//
// get, list and watch: to see which namespaces spec.allowedNamespaces.selector selects, and at once that one is not selected any more.
// Where roles are given namespace by namespace this has no effect: selectors are ignored then, and the FluentCredential says so.
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch

// Reconcile makes one pass over one FluentToken: observe, decide, perform one action, report.
func (t *TokenReconciler) Reconcile(ctx context.Context, token *v1alpha1.FluentToken) (ctrl.Result, error) {
	known := t.consumers.of(client.ObjectKeyFromObject(token), token.UID)
	if !known.take(ctx) {
		return ctrl.Result{}, ctx.Err()
	}
	defer known.leave()
	token, err := t.whole(ctx, token)
	if errors.Is(err, custody.ErrGone) {
		return ctrl.Result{RequeueAfter: lagWait}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	seen, err := t.observe(ctx, token, known, nil)
	if errors.Is(err, custody.ErrGone) {
		return ctrl.Result{RequeueAfter: lagWait}, nil // of the credential the cache does not know it yet
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	step := distribution.Next(seen.facts, seen.now)
	err = t.perform(ctx, seen, step)
	if isRace(err) {
		return ctrl.Result{RequeueAfter: raceWait}, nil // somebody else was faster: look again
	}
	if err != nil {
		seen.failed = err // people shall see it
	}
	return t.report(ctx, seen, step)
}

// perform carries out one step and brings what was seen up to date with it.
func (t *TokenReconciler) perform(ctx context.Context, seen *tokenObservation, step distribution.Step) error {
	ctx, cancel := context.WithTimeout(ctx, consumerPatience) // so that there is time left to say that nobody answers
	defer cancel()
	ctrl.LoggerFrom(ctx).V(1).Info("Decided", "do", step.Do, "why", step.Why, "at", step.At)
	switch step.Do {
	case distribution.Wait:
		return nil
	case distribution.Register:
		return t.register(ctx, seen)
	case distribution.Release:
		return t.release(ctx, seen)
	case distribution.Withdraw:
		return t.withdraw(ctx, seen)
	case distribution.Discard:
		return t.discard(ctx, seen)
	case distribution.Publish:
		return t.publish(ctx, seen)
	case distribution.Tidy:
		return t.tidy(ctx, seen)
	}
	return nil
}

func (t *TokenReconciler) publisher() publisher { return publisher{client: t.Client, live: t.Live} }

// register puts our finalizer on the FluentToken: from now on its Secret is let go as target.deletionPolicy says.
func (t *TokenReconciler) register(ctx context.Context, seen *tokenObservation) error {
	changed := seen.token.DeepCopy()
	controllerutil.AddFinalizer(changed, v1alpha1.ReleaseFinalizer)
	patch := client.MergeFromWithOptions(seen.token, client.MergeFromWithOptimisticLock{})
	if err := t.Client.Patch(ctx, changed, patch); err != nil {
		return err
	}
	seen.known.registered = changed.ResourceVersion
	seen.token = changed
	t.refresh(seen)
	return nil
}

// release lets everything go that belongs to a FluentToken that is being deleted, itself last.
func (t *TokenReconciler) release(ctx context.Context, seen *tokenObservation) error {
	err := t.publisher().release(ctx, seen.token.Namespace, seen.owner(), seen.token.Spec.Target.DeletionPolicy)
	if err != nil {
		return err
	}
	changed := seen.token.DeepCopy()
	controllerutil.RemoveFinalizer(changed, v1alpha1.ReleaseFinalizer)
	patch := client.MergeFromWithOptions(seen.token, client.MergeFromWithOptimisticLock{})
	return client.IgnoreNotFound(t.Client.Patch(ctx, changed, patch))
}

// withdraw lets the published Secrets go, because nobody permits them any more.
func (t *TokenReconciler) withdraw(ctx context.Context, seen *tokenObservation) error {
	policy := seen.token.Spec.Target.DeletionPolicy
	gone, err := t.publisher().withdraw(ctx, seen.token.Namespace, seen.owner(), policy, seen.held...)
	if gone > 0 {
		t.sayWithdrawn(seen)
	}
	if err != nil {
		return err
	}
	seen.held, seen.workload = nil, workload{}
	seen.known.forgetPublication()
	t.refresh(seen)
	return nil
}

// discard deletes the Secret that a former FluentToken of this name left behind with another credential's token in it.
func (t *TokenReconciler) discard(ctx context.Context, seen *tokenObservation) error {
	if err := t.publisher().discard(ctx, seen.targetKey(), seen.owner()); err != nil {
		return err
	}
	seen.workload = workload{wanted: seen.workload.wanted}
	seen.known.forgetPublication()
	t.refresh(seen)
	return nil
}

// tidy removes the workload Secrets under former names.
func (t *TokenReconciler) tidy(ctx context.Context, seen *tokenObservation) error {
	leftovers := seen.leftovers()
	if _, err := t.publisher().withdraw(ctx, seen.token.Namespace, seen.owner(), v1alpha1.DeletionDelete, leftovers...); err != nil {
		return err
	}
	seen.held = []string{seen.token.TargetName()}
	t.refresh(seen)
	return nil
}

// publish writes the workload Secret. What the Kubernetes API says against it is kept in the observation, for the status; a race is
// returned, and is nothing to tell people.
func (t *TokenReconciler) publish(ctx context.Context, seen *tokenObservation) error {
	before := seen.workload.serial
	written, err := t.publisher().put(ctx, &seen.workload, func() (bool, error) { return t.lookAgain(ctx, seen) })
	switch {
	case written != nil:
		t.Metrics.Distributed(true)
		t.deliver(seen, before)
		t.sayPublished(seen, before)
		seen.remember(*written)
		seen.workload.recall(*written, seen.record.Serial)
	case isRace(err):
		return err
	case err != nil:
		t.Metrics.Distributed(false)
		ctrl.LoggerFrom(ctx).Info("The workload Secret could not be written",
			"because", kubeerror.Words(err, seen.secrets()...))
	}
	seen.failed = err
	t.refresh(seen)
	return nil
}

// deliver hands a publication on.
func (t *TokenReconciler) deliver(seen *tokenObservation, before int64) {
	if t.Delivery == nil {
		return
	}
	if last := seen.token.Status.Token; last != nil && seen.known.source == seen.cred.UID {
		before = max(before, last.Serial) // the Secret may have been deleted meanwhile
	}
	wanted := seen.workload.wanted
	about := &v1alpha1.FluentToken{}
	about.Namespace = seen.token.Namespace
	about.Name = seen.token.Name
	about.UID = seen.token.UID
	about.ResourceVersion = seen.token.ResourceVersion
	t.Delivery.Deliver(delivery.Publication{
		Owner: about, Delivery: *seen.token.Spec.Delivery.DeepCopy(), Secret: wanted.Name, Serial: wanted.Serial,
		Changed: before > 0 && before < wanted.Serial,
	})
}
