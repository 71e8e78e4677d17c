package controllers

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// release lets everything go that belongs to a FluentCredential that is being deleted, itself last.
func (r *Reconciler) release(ctx context.Context, seen *observation) error {
	if gone, err := r.isGone(ctx, seen); gone || err != nil {
		return err
	}
	if err := r.publisher().release(ctx, seen.cred.Namespace, seen.beneficiary(), seen.cred.Spec.Target.DeletionPolicy); err != nil {
		return err
	}
	record := seen.record
	if seen.unreadable {
		record = nil
	}
	if err := r.Custody.Release(ctx, seen.owner(), record); err != nil {
		return err
	}
	changed := seen.cred.DeepCopy()
	controllerutil.RemoveFinalizer(changed, v1alpha1.ReleaseFinalizer)
	patch := client.MergeFromWithOptions(seen.cred, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Patch(ctx, changed, patch); err != nil {
		return client.IgnoreNotFound(err)
	}
	r.forgetGuards(ctx, seen)
	return nil
}

// isGone asks whether somebody else let it go already: the cache may be behind, and what has the names by now is another object's.
func (r *Reconciler) isGone(ctx context.Context, seen *observation) (bool, error) {
	var now v1alpha1.FluentCredential
	err := r.Live.Get(ctx, client.ObjectKeyFromObject(seen.cred), &now)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	return now.UID != seen.cred.UID, err
}

// withdraw removes the workload Secrets under former names.
func (r *Reconciler) withdraw(ctx context.Context, seen *observation) error {
	_, err := r.publisher().withdraw(ctx, seen.cred.Namespace, seen.beneficiary(), v1alpha1.DeletionDelete, seen.workload.leftovers...)
	if err == nil {
		seen.workload.leftovers = nil
	}
	return err
}
