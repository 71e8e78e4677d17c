package custody

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/kubeerror"
)

// Relocate moves the state out of a Secret that was deleted or made immutable. Its order makes it safe to stop
// anywhere. First the old Secret records the new location, so that no process writes to it any more. Then the copy is
// written. Then the old Secret may be deleted. An immutable Secret cannot record the new location, and no process can
// write to it anyway: the copy records its origin.
func (s *Store) Relocate(ctx context.Context, owner Owner, from *Record) (*Record, error) {
	if from.Damaged {
		return from, s.letGo(ctx, from.secret) // nothing in it is worth a copy
	}
	if from.MovedTo == "" {
		next := from.State
		next.MovedTo = otherName(owner.Name, from.secret.Name)
		if from.IsFrozen() {
			return s.thaw(ctx, owner, from, next)
		}
		marked, err := s.Put(ctx, owner, from, next)
		if err != nil {
			return nil, err
		}
		from = marked
	}
	copied, err := s.Put(ctx, owner, from, from.State)
	if kubeerror.IsTerminating(err) {
		return from, s.letGo(ctx, from.secret) // there is no room for a copy, and nobody who could use it
	}
	if err != nil {
		return nil, err
	}
	return copied, s.letGo(ctx, from.secret)
}

// thaw copies a state out of an immutable Secret.
func (s *Store) thaw(ctx context.Context, owner Owner, from *Record, next State) (*Record, error) {
	copied, err := s.copy(ctx, owner, &Record{State: next, secret: from.secret}, next)
	if kubeerror.IsTerminating(err) {
		return from, s.letGo(ctx, from.secret)
	}
	if err != nil {
		return nil, err
	}
	return copied, s.retire(ctx, from)
}

// replace writes the next state beside an immutable Secret, and deletes that one. A process that ends between the two
// leaves both: the new one names the old one as its predecessor, and followFrozen finishes.
func (s *Store) replace(ctx context.Context, owner Owner, old *Record, next State) (*Record, error) {
	place := &Record{State: State{MovedTo: otherName(owner.Name, old.secret.Name)}, secret: old.secret}
	written, err := s.copy(ctx, owner, place, next)
	if err != nil {
		return nil, err
	}
	return written, s.retire(ctx, old)
}

// retire deletes a Secret whose state was copied. If the Secret is already being deleted, retire only removes the
// operator's finalizer.
func (s *Store) retire(ctx context.Context, old *Record) error {
	if !old.Leaving {
		if err := s.sendDelete(ctx, old.secret, client.Preconditions{UID: &old.secret.UID}); err != nil {
			return err
		}
	}
	changed := old.secret.DeepCopy()
	changed.Finalizers = slices.DeleteFunc(changed.Finalizers, func(f string) bool {
		return f == v1alpha1.StateFinalizer
	})
	return s.sendPatch(ctx, changed, client.MergeFrom(old.secret)) // the content cannot have changed
}

// copy writes the next state under the name that the old Secret announced. Another process that does so first is found
// by a conflict. A Secret of another type under that name does not go away by itself: ErrNoPlace.
func (s *Store) copy(ctx context.Context, owner Owner, from *Record, next State) (*Record, error) {
	next.MovedFrom = from.secret.Name
	next.MovedTo = ""
	written, err := s.create(ctx, owner, from.MovedTo, next)
	if errors.Is(err, ErrConflict) {
		if _, taken := s.read(ctx, owner, from.MovedTo); errors.Is(taken, ErrForeign) {
			return nil, fmt.Errorf("%w: %w", ErrNoPlace, err)
		}
	}
	return written, err
}

// follow finishes a relocation that was begun: the copy is the truth as soon as it exists; until then the old one is, and says
// that it is leaving.
func (s *Store) follow(ctx context.Context, owner Owner, found *Record) (*Record, error) {
	if found.Unconfirmed {
		return s.yield(ctx, owner, found)
	}
	if found.MovedTo == "" {
		if err := s.bury(ctx, owner, found); err != nil || !found.isImmutable() {
			return found, err
		}
		return s.followFrozen(ctx, owner, found)
	}
	copied, err := s.read(ctx, owner, found.MovedTo)
	if apierrors.IsNotFound(err) {
		return found, nil
	}
	if err != nil {
		return nil, fmt.Errorf("state Secret %s: %w", found.MovedTo, err)
	}
	if copied.Serial < found.Serial && !copied.Damaged {
		// A process that was held up wrote it, long after the truth had come back from there.
		return found, s.release(ctx, owner, found.MovedTo, copied)
	}
	return copied, s.letGo(ctx, found.secret)
}

// followFrozen finds the copy of an immutable state. Any other Secret under the other name is older, and stands in the
// way of a copy.
func (s *Store) followFrozen(ctx context.Context, owner Owner, found *Record) (*Record, error) {
	other, err := s.read(ctx, owner, otherName(owner.Name, found.secret.Name))
	switch {
	case apierrors.IsNotFound(err), errors.Is(err, ErrForeign):
		return found, nil
	case err != nil:
		return nil, fmt.Errorf("state Secret %s: %w", otherName(owner.Name, found.secret.Name), err)
	case other.Damaged:
		return found, nil
	case found.Damaged: // its serial may have been edited, too
		if other.MovedFrom != found.secret.Name {
			return found, nil
		}
		return other, s.retire(ctx, found)
	case other.Serial > found.Serial, other.Serial == found.Serial && other.MovedFrom == found.secret.Name:
		return other, s.retire(ctx, found)
	case other.Serial < found.Serial:
		return found, s.release(ctx, owner, other.secret.Name, other)
	}
	return found, nil
}

// yield gives way to a state under the other name, where there is one: a process that was held up made this first one after the
// truth had moved on to the other name, and nothing came of it yet.
func (s *Store) yield(ctx context.Context, owner Owner, found *Record) (*Record, error) {
	truth, err := s.read(ctx, owner, otherName(owner.Name, found.secret.Name))
	if apierrors.IsNotFound(err) || errors.Is(err, ErrForeign) {
		return found, nil
	}
	if err != nil {
		return nil, err
	}
	return truth, s.release(ctx, owner, found.secret.Name, found)
}

// bury lets the Secret go that this one follows, where nobody did so yet. The next Put forgets it.
func (s *Store) bury(ctx context.Context, owner Owner, found *Record) error {
	if found.MovedFrom == "" {
		return nil
	}
	old, err := s.read(ctx, owner, found.MovedFrom)
	switch {
	case apierrors.IsNotFound(err), errors.Is(err, ErrForeign):
	case err != nil:
		return fmt.Errorf("state Secret %s: %w", found.MovedFrom, err)
	case old.isImmutable():
		if err := s.retire(ctx, old); err != nil {
			return err
		}
	case old.Leaving:
		if err := s.letGo(ctx, old.secret); err != nil {
			return err
		}
	}
	found.MovedFrom = ""
	return nil
}

// letGo takes our finalizer from a Secret, so that a deletion can end. The patch fails when the Secret has changed.
func (s *Store) letGo(ctx context.Context, secret *corev1.Secret) error {
	changed := secret.DeepCopy()
	changed.Finalizers = slices.DeleteFunc(changed.Finalizers, func(f string) bool { return f == v1alpha1.StateFinalizer })
	patch := client.MergeFromWithOptions(secret, client.MergeFromWithOptimisticLock{})
	return s.sendPatch(ctx, changed, patch)
}

// Release deletes the state for good: the FluentCredential is going. It returns ErrConflict where somebody claimed or stored
// something since the state was seen; nil stands for a state that nobody can read.
func (s *Store) Release(ctx context.Context, owner Owner, seen *Record) error {
	for _, name := range Names(owner.Name) {
		if err := s.release(ctx, owner, name, seen); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) release(ctx context.Context, owner Owner, name string, seen *Record) error {
	var secret corev1.Secret
	if err := s.get(ctx, owner, name, &secret); err != nil {
		return client.IgnoreNotFound(err)
	}
	if secret.Type != v1alpha1.StateSecretType {
		return nil
	}
	if another, err := s.isAnothers(ctx, owner, &secret); another || err != nil {
		return err
	}
	if seen != nil && !seen.isOf(&secret) {
		return ErrConflict
	}
	uid := secret.UID
	preconditions := client.Preconditions{UID: &uid, ResourceVersion: &secret.ResourceVersion}
	if err := s.sendDelete(ctx, &secret, preconditions); err != nil {
		return err
	}
	if err := s.get(ctx, owner, name, &secret); err != nil || secret.UID != uid {
		return client.IgnoreNotFound(err)
	}
	return s.letGo(ctx, &secret)
}

// isOf tells whether the record was read from this version of the Secret, or from another Secret, which this one is a left-over of.
func (r *Record) isOf(secret *corev1.Secret) bool {
	return r.secret != nil && (r.secret.UID != secret.UID || r.secret.ResourceVersion == secret.ResourceVersion)
}

// isAnothers tells whether the state is that of a FluentCredential which was created anew under the same name. One that came out
// of a backup has an owner that does not exist.
func (s *Store) isAnothers(ctx context.Context, owner Owner, secret *corev1.Secret) (bool, error) {
	if ownedBy(secret, owner.UID) {
		return false, nil
	}
	var cred v1alpha1.FluentCredential
	if err := s.get(ctx, owner, owner.Name, &cred); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	return cred.UID != owner.UID && ownedBy(secret, cred.UID), nil
}
