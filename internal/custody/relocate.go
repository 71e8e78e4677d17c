package custody

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// Relocate brings the state out of a Secret that somebody deleted. The order makes it safe to stop anywhere: the old Secret first
// says where the state goes, so that nobody writes to it any more; then the copy is written; then the old one may go.
func (s *Store) Relocate(ctx context.Context, owner Owner, from *Record) (*Record, error) {
	if from.Damaged {
		return from, s.letGo(ctx, from.secret) // nothing in it is worth a copy
	}
	target := otherName(owner.Name, from.secret.Name)
	if from.MovedTo == "" {
		next := from.State
		next.MovedTo = target
		marked, err := s.Put(ctx, owner, from, next)
		if err != nil {
			return nil, err
		}
		from = marked
	}
	state := from.State
	state.MovedTo = ""
	copied, err := s.create(ctx, owner, target, state)
	if isNamespaceGone(err) {
		return from, s.letGo(ctx, from.secret) // there is no room for a copy, and nobody who could use it
	}
	if err != nil {
		return nil, err
	}
	return copied, s.letGo(ctx, from.secret)
}

// letGo takes our finalizer from a Secret, so that a deletion can end. The patch fails when the Secret has changed.
func (s *Store) letGo(ctx context.Context, secret *corev1.Secret) error {
	changed := secret.DeepCopy()
	changed.Finalizers = slices.DeleteFunc(changed.Finalizers, func(f string) bool { return f == v1alpha1.StateFinalizer })
	patch := client.MergeFromWithOptions(secret, client.MergeFromWithOptimisticLock{})
	return client.IgnoreNotFound(s.Writer.Patch(ctx, changed, patch))
}

// Release deletes the state for good: the FluentCredential is going.
func (s *Store) Release(ctx context.Context, owner Owner) error {
	for _, name := range Names(owner.Name) {
		if err := s.release(ctx, types.NamespacedName{Namespace: owner.Namespace, Name: name}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) release(ctx context.Context, key types.NamespacedName) error {
	var secret corev1.Secret
	if err := s.Reader.Get(ctx, key, &secret); err != nil {
		return client.IgnoreNotFound(err)
	}
	if secret.Type != v1alpha1.StateSecretType {
		return nil
	}
	err := s.Writer.Delete(ctx, &secret, client.Preconditions{UID: &secret.UID})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	if err := s.Reader.Get(ctx, key, &secret); err != nil {
		return client.IgnoreNotFound(err)
	}
	return s.letGo(ctx, &secret)
}
