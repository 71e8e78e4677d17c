package controllers

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// release lets everything go that belongs to a FluentCredential that is being deleted, itself last.
func (r *Reconciler) release(ctx context.Context, seen *observation) error {
	if gone, err := r.isGone(ctx, seen); gone || err != nil {
		return err
	}
	if err := r.releaseWorkloads(ctx, seen); err != nil {
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
	return client.IgnoreNotFound(r.Client.Patch(ctx, changed, patch))
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

// releaseWorkloads deletes or leaves the workload Secrets, as target.deletionPolicy says.
func (r *Reconciler) releaseWorkloads(ctx context.Context, seen *observation) error {
	owned := &corev1.SecretList{}
	err := r.Live.List(ctx, owned, client.InNamespace(seen.cred.Namespace),
		client.MatchingLabels{v1alpha1.CredentialLabel: string(seen.cred.UID)})
	if err != nil {
		return err
	}
	letGo := r.remove
	if seen.cred.Spec.Target.DeletionPolicy == v1alpha1.DeletionRetain {
		letGo = r.disown
	}
	for i := range owned.Items {
		secret := &owned.Items[i]
		if secret.Type == v1alpha1.StateSecretType || !metav1.IsControlledBy(secret, seen.cred) {
			continue
		}
		if err := letGo(ctx, secret); err != nil {
			return fmt.Errorf("workload Secret %s: %w", secret.Name, err)
		}
	}
	return nil
}

// withdraw removes the workload Secrets under former names.
func (r *Reconciler) withdraw(ctx context.Context, seen *observation) error {
	for _, name := range seen.workload.leftovers {
		secret := &corev1.Secret{}
		err := r.Live.Get(ctx, types.NamespacedName{Namespace: seen.cred.Namespace, Name: name}, secret)
		if client.IgnoreNotFound(err) != nil {
			return err
		}
		if err == nil && metav1.IsControlledBy(secret, seen.cred) {
			if err := r.remove(ctx, secret); err != nil {
				return fmt.Errorf("former workload Secret %s: %w", name, err)
			}
		}
	}
	seen.workload.leftovers = nil
	return nil
}

func (r *Reconciler) remove(ctx context.Context, secret *corev1.Secret) error {
	return client.IgnoreNotFound(r.Client.Delete(ctx, secret, client.Preconditions{UID: &secret.UID}))
}

// disown takes the owner and the credential's label from a Secret, so that it stays when the owner goes.
func (r *Reconciler) disown(ctx context.Context, secret *corev1.Secret) error {
	changed := secret.DeepCopy()
	changed.OwnerReferences = slices.DeleteFunc(changed.OwnerReferences, func(owner metav1.OwnerReference) bool {
		return owner.Kind == credentialKind
	})
	delete(changed.Labels, v1alpha1.CredentialLabel)
	return client.IgnoreNotFound(r.Client.Patch(ctx, changed, client.MergeFrom(secret)))
}
