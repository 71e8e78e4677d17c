package controllers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/fluent-credential/operator/api/v1alpha1"
	applyv1alpha1 "github.com/fluent-credential/operator/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/plan"
)

// report writes the status, where it changed, and says when to look again. It is the only author of a ctrl.Result.
func (r *Reconciler) report(ctx context.Context, seen *observation, done plan.Step) (ctrl.Result, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportTimeout)
	defer cancel()
	if done.Do == plan.Release && seen.failed == nil {
		r.forget(client.ObjectKeyFromObject(seen.cred))
		return ctrl.Result{}, nil
	}
	r.refresh(seen)
	next := plan.Next(seen.facts, seen.now)
	seen.consumers, seen.selectorIgnored = r.consumersOf(ctx, seen), r.ignoresSelector(seen.cred)
	status := statusOf(seen, next)
	r.queueUp(seen, next)
	r.Metrics.Observe(client.ObjectKeyFromObject(seen.cred), measured(seen, status))
	if err := r.apply(ctx, seen, status); err != nil {
		return ctrl.Result{}, err
	}
	if seen.failed != nil {
		return ctrl.Result{}, errors.New(custody.Refused(seen.failed)) // the workqueue backs off
	}
	return ctrl.Result{RequeueAfter: untilNext(next, seen.now), Priority: ptr.To(routine)}, nil
}

// routine is the priority of what comes due by itself: that of the initial list, so that after a start neither starves the other.
// What a person changes comes before both.
const routine = handler.LowPriority

// reportTimeout bounds the status of an exchange that was finished after SIGTERM.
const reportTimeout = 10 * time.Second

// soon is the shortest wait that controller-runtime takes for a wish to be called again.
const soon = time.Millisecond

func untilNext(next plan.Step, now time.Time) time.Duration {
	switch {
	case next.Do != plan.Wait:
		return soon
	case next.At.IsZero():
		return 0 // only a change can help
	}
	return max(next.At.Sub(now), soon)
}

// queueUp keeps the place of a credential that waits for the turn of its token host, and gives up that of one that does not.
func (r *Reconciler) queueUp(seen *observation, next plan.Step) {
	waits := next.Do == plan.Wait && !next.At.IsZero() && (next.Why == plan.HostBusy || next.Why == plan.Deleted)
	if !waits {
		r.Hosts.Leave(client.ObjectKeyFromObject(seen.cred), seen.now)
		return
	}
	r.Hosts.Wait(seen.api.Endpoint().Host, seen.waiter(), next.At, seen.now)
}

// forget lets go of what this process keeps of an object that is gone.
func (r *Reconciler) forget(key types.NamespacedName) {
	r.Metrics.Forget(key)
	r.forgetMark(r.memory.forget(key))
	r.Hosts.Leave(key, r.Clock.Now())
}

// apply writes the status unless it is what was written last: status is a view, and each write costs more than a rotation's other
// ones (see docs/adr).
func (r *Reconciler) apply(ctx context.Context, seen *observation, status v1alpha1.FluentCredentialStatus) error {
	digest := digestOf(status)
	if seen.memory.status == "" && digestOf(seen.cred.Status) == digest {
		seen.memory.status = digest
	}
	if seen.memory.status == digest {
		return nil
	}
	if err := r.applyStatus(ctx, seen.cred, status); err != nil {
		return client.IgnoreNotFound(err)
	}
	r.announce(seen, status)
	seen.memory.status, seen.memory.conditions, seen.memory.history = digest, status.Conditions, status.History
	return nil
}

func (r *Reconciler) applyStatus(ctx context.Context, cred *v1alpha1.FluentCredential, status v1alpha1.FluentCredentialStatus) error {
	view, err := statusApply(status)
	if err != nil {
		return err
	}
	apply := applyv1alpha1.FluentCredential(cred.Name, cred.Namespace).WithUID(cred.UID).WithStatus(view)
	return r.Client.Status().Apply(ctx, apply, client.FieldOwner(v1alpha1.OperatorName), client.ForceOwnership)
}

// announce tells an obstacle when it appears, and not again while it stays. Failed exchanges were told where they happened.
func (r *Reconciler) announce(seen *observation, status v1alpha1.FluentCredentialStatus) {
	renewable := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionRenewable)
	if renewable.Status != metav1.ConditionFalse || renewable.Reason == v1alpha1.ReasonSuspended || seen.facts.Failure != nil {
		return
	}
	before := meta.FindStatusCondition(seen.knownConditions(), v1alpha1.ConditionRenewable)
	if before == nil || before.Reason != renewable.Reason || before.Message != renewable.Message {
		r.sayBlocked(seen, renewable.Reason, renewable.Message)
	}
}

// knownConditions are the conditions that this process wrote last; after a start, those that the cache shows.
func (o *observation) knownConditions() []metav1.Condition {
	if o.memory.conditions != nil {
		return slices.Clone(o.memory.conditions)
	}
	return slices.Clone(o.cred.Status.Conditions)
}

func digestOf(status any) string {
	encoded, _ := json.Marshal(status) // plain data always encodes
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:])
}
