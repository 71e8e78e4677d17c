package controllers

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/distribution"
	"github.com/fluent-credential/operator/internal/kubeerror"
)

// report writes the status, where it changed, and says when to look again.
func (t *TokenReconciler) report(ctx context.Context, seen *tokenObservation, done distribution.Step) (ctrl.Result, error) {
	key := client.ObjectKeyFromObject(seen.token)
	if done.Do == distribution.Release && seen.failed == nil {
		t.forget(key)
		return ctrl.Result{}, nil
	}
	seen.now = t.Clock.Now() // the pass may have taken long, and the token expired meanwhile
	next := distribution.Next(seen.facts, seen.now)
	comesAtOnce := done.Do == distribution.Register && next.Do != distribution.Wait // and has more to say
	isSilent := next.Why == distribution.Deleted && seen.failed == nil              // it goes, or waits for the finalizers of others
	if !isSilent && !comesAtOnce {
		status := tokenStatusOf(seen, next)
		t.Metrics.ObserveConsumer(key, meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady))
		if t.canWait(seen, status) {
			return ctrl.Result{RequeueAfter: viewWait}, nil
		}
		if err := t.apply(ctx, seen, status); err != nil {
			return ctrl.Result{}, err
		}
	}
	if seen.failed != nil {
		return ctrl.Result{}, errors.New(kubeerror.Words(seen.failed, seen.secrets()...)) // the workqueue backs off
	}
	return ctrl.Result{RequeueAfter: untilNextOf(next, t.Clock.Now())}, nil // the pass may have taken long
}

// viewWait is how long a status waits while Secrets are being written.
const viewWait = time.Second

// canWait: the status tells of a newer token and of nothing else, and others wait for a place to be given theirs.
func (t *TokenReconciler) canWait(seen *tokenObservation, status v1alpha1.FluentTokenStatus) bool {
	return seen.cred != nil && seen.failed == nil && t.consumers.isCrowded(seen.cred.UID) &&
		status.ObservedGeneration == seen.token.Status.ObservedGeneration && status.TargetName == seen.token.Status.TargetName &&
		cmp.Or(seen.known.status, digestOf(seen.token.Status)) != digestOf(status) && // there is something to write
		meta.IsStatusConditionTrue(seen.knownConditions(), v1alpha1.ConditionReady) &&
		meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady)
}

func untilNextOf(next distribution.Step, now time.Time) (wait time.Duration) {
	switch {
	case next.Do != distribution.Wait:
		return soon
	case next.At.IsZero():
		return 0 // only a change can help
	}
	return max(next.At.Sub(now), soon)
}

// forget lets go of what this process keeps of an object that is gone.
func (t *TokenReconciler) forget(key types.NamespacedName) {
	t.Metrics.ForgetConsumer(key)
	t.consumers.forget(key)
}

// apply writes the status unless it is what was written last. It is a merge patch, the cheapest write there is: nobody else has a part
// of this status, and there are as many as there are consumers.
func (t *TokenReconciler) apply(ctx context.Context, seen *tokenObservation, status v1alpha1.FluentTokenStatus) error {
	digest := digestOf(status)
	if seen.known.status == "" && digestOf(seen.token.Status) == digest {
		seen.known.status = digest
	}
	if seen.known.status == digest {
		isReplaced := seen.known.told != "" &&
			isStatusReplaced(seen.token, seen.token.Status.Conditions, seen.token.Status, seen.known.told, digest)
		if !isReplaced || !seen.known.rewritten.isDue(seen.now) {
			return nil
		}
	}
	patch, err := statusPatch(seen.token.UID, status)
	if err != nil {
		return err
	}
	target := &v1alpha1.FluentToken{ObjectMeta: metav1.ObjectMeta{Namespace: seen.token.Namespace, Name: seen.token.Name}}
	if err := t.Client.Status().Patch(ctx, target, patch, client.FieldOwner(v1alpha1.OperatorName)); err != nil {
		return client.IgnoreNotFound(err)
	}
	t.announce(seen, status)
	seen.known.status, seen.known.conditions = digest, status.Conditions
	seen.known.told = target.ResourceVersion
	return nil
}

// statusPatch replaces the status of exactly that object; what is not in it any more is taken out.
func statusPatch(uid types.UID, status v1alpha1.FluentTokenStatus) (client.Patch, error) {
	fields := map[string]any{
		"observedGeneration": status.ObservedGeneration, "conditions": status.Conditions, "token": status.Token, "targetName": nil,
	}
	if status.TargetName != "" {
		fields["targetName"] = status.TargetName
	}
	encoded, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": uid}, "status": fields})
	return client.RawPatch(types.MergePatchType, encoded), err
}

// announce tells why no token is published when that appears, and not again while it stays.
func (t *TokenReconciler) announce(seen *tokenObservation, status v1alpha1.FluentTokenStatus) {
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	if ready.Status == metav1.ConditionTrue || ready.Reason == v1alpha1.ReasonProgressing {
		return
	}
	before := meta.FindStatusCondition(seen.knownConditions(), v1alpha1.ConditionReady)
	if before == nil || before.Reason != ready.Reason || before.Message != ready.Message {
		t.Recorder.Eventf(seen.token, nil, corev1.EventTypeWarning, ready.Reason, "Observe", "%s", ready.Message)
	}
}

// sayPublished tells the first publication, and a repair. A new token is not told: it comes by itself, for years.
func (t *TokenReconciler) sayPublished(seen *tokenObservation, before int64) {
	name := seen.workload.wanted.Name
	switch {
	case before == 0 && seen.known.source != seen.cred.UID:
		t.Recorder.Eventf(seen.token, nil, corev1.EventTypeNormal, "TokenPublished", "Publish", "Published the access token in Secret %s", name)
	case seen.known.published.name == name && seen.known.published.serial == seen.record.Serial:
		t.Recorder.Eventf(seen.token, nil, corev1.EventTypeNormal, "SecretRestored", "Publish",
			"Restored Secret %s, which was deleted or edited; nothing was spent", name)
	}
}

func (t *TokenReconciler) sayWithdrawn(seen *tokenObservation) {
	t.Recorder.Eventf(seen.token, nil, corev1.EventTypeWarning, "TokenWithdrawn", "Withdraw",
		"The published token was withdrawn (target.deletionPolicy: %s): the FluentCredential it came from does not permit it any more, or is gone",
		cmp.Or(seen.token.Spec.Target.DeletionPolicy, v1alpha1.DeletionDelete))
}
