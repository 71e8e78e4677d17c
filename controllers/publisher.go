package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/kubeerror"
	"github.com/fluent-credential/operator/internal/projection"
)

// publisher reads, writes and removes workload Secrets, whoever owns them.
type publisher struct {
	client client.Client // writes, and reads from the cache
	live   client.Reader
}

func (r *Reconciler) publisher() publisher { return publisher{client: r.Client, live: r.Live} }

// publishTries bounds the races with somebody who edits the Secret at the same time; the next pass goes on.
const publishTries = 3

func isRace(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err)
}

// put writes the Secret that is wanted, and returns what it wrote. Where somebody else was faster, lookAgain reads what is there now
// and tells whether it still has to be written; nothing is returned where it has not.
func (p publisher) put(ctx context.Context, w *workload, lookAgain func() (bool, error)) (*publication, error) {
	var err error
	for range publishTries {
		if !w.examine() {
			if again, failed := lookAgain(); failed != nil || !again {
				return nil, failed
			}
		}
		wanted := w.wanted // a look at what is there may have brought a newer token
		var version string
		if version, err = p.write(ctx, w); err == nil {
			written := publicationOf(wanted, version, w.content.Shared)
			return &written, nil
		}
		if kubeerror.IsRefused(err) {
			return nil, w.explain(err)
		}
		again, failed := lookAgain()
		switch {
		case failed != nil:
			return nil, err
		case !again && w.current && !isRace(err): // only the answer was lost: consumers are to be told as ever
			written := publicationOf(w.wanted, w.version, w.content.Shared)
			return &written, nil
		case !again:
			return nil, nil
		case !isRace(err):
			return nil, err
		}
	}
	return nil, err
}

// write creates the Secret, or writes over exactly the version that was seen: so that a lower serial never overwrites a higher one,
// whoever else is publishing (invariant I5). A Secret that holds nothing but what is wanted is replaced, which is the cheapest for
// the API server; one that others put something into is patched.
func (p publisher) write(ctx context.Context, w *workload) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, custody.RequestTimeout)
	defer cancel()
	secret, owner := w.wanted.Secret(w.version), client.FieldOwner(v1alpha1.OperatorName)
	verb, err := kubeerror.Patch, error(nil)
	switch {
	case w.version == "":
		verb = kubeerror.Create
		err = p.client.Create(ctx, secret, owner)
	case !w.content.Shared:
		verb = kubeerror.Update
		err = p.client.Update(ctx, secret, owner)
	default:
		err = p.patch(ctx, w, secret)
	}
	if err != nil {
		err = &kubeerror.WriteError{
			Object:  "Secret " + w.wanted.Name,
			Subject: failure.TargetSecret,
			Verb:    verb,
			Err:     err,
		}
	}
	return secret.ResourceVersion, err
}

func (p publisher) patch(ctx context.Context, w *workload, into *corev1.Secret) error {
	patch, err := w.wanted.Patch(w.version, w.content.Dropped)
	if err != nil {
		return err
	}
	return p.client.Patch(ctx, into, client.RawPatch(types.StrategicMergePatchType, patch), client.FieldOwner(v1alpha1.OperatorName))
}

// explain adds advice to the refusal of a write if the API server only reports that a field is immutable.
func (w *workload) explain(err error) error {
	var refused *apierrors.StatusError
	if w.read == nil || !ptr.Deref(w.read.Immutable, false) || !errors.As(err, &refused) || !apierrors.IsInvalid(err) {
		return err
	}
	const help = "the Secret is immutable: delete it, and it is published again"
	explained := refused.ErrStatus.DeepCopy()
	explained.Message += "; " + help
	if explained.Details != nil {
		explained.Details.Causes = []metav1.StatusCause{
			{Type: metav1.CauseTypeForbidden, Field: "immutable", Message: help},
		}
	}
	return &apierrors.StatusError{ErrStatus: *explained}
}

// isUnchanged tells whether the Secret still is what this process last wrote or read: the cache has seen nothing newer.
func (p publisher) isUnchanged(ctx context.Context, key types.NamespacedName, known publication) (bool, error) {
	cached := secretMetadata()
	if err := p.client.Get(ctx, key, cached); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	return known.name == key.Name && !isNewer(cached.ResourceVersion, known.resourceVersion), nil
}

// read reads the Secret live, and returns it where it is the owner's.
func (p publisher) read(ctx context.Context, w *workload, key types.NamespacedName, owner projection.Owner) (*corev1.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, custody.RequestTimeout)
	defer cancel()
	secret := &corev1.Secret{}
	if err := p.live.Get(ctx, key, secret); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	w.found, w.version, w.ours = true, secret.ResourceVersion, isOurs(secret, owner)
	if !w.ours {
		return nil, nil
	}
	w.read = secret
	w.serial, w.source = serialOf(secret), types.UID(secret.Annotations[v1alpha1.SourceAnnotation])
	return secret, nil
}

// ownedSecret is a Secret controlled by an owner.
type ownedSecret struct {
	name string
	uid  types.UID
}

// owned are the Secrets of an owner, by the cache, but those of these names.
func (p publisher) owned(
	ctx context.Context, namespace string, owner projection.Owner, but ...string,
) ([]ownedSecret, error) {
	list := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "SecretList"}}
	err := p.client.List(ctx, list, client.InNamespace(namespace), client.MatchingFields{ownerIndex: shelf(string(owner.UID))},
		client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, err
	}
	var found []ownedSecret
	for i := range list.Items {
		secret := &list.Items[i]
		if ownerOf(secret) == owner.UID && !slices.Contains(but, secret.Name) && secret.DeletionTimestamp.IsZero() {
			found = append(found, ownedSecret{name: secret.Name, uid: secret.UID})
		}
	}
	return found, nil
}

// withdraw removes Secrets of an owner by name, and returns how many; one that is not its own, or not any more, is left alone.
func (p publisher) withdraw(
	ctx context.Context, namespace string, owner projection.Owner, policy v1alpha1.DeletionPolicy, names ...string,
) (gone int, err error) {
	for _, name := range names {
		secret := &corev1.Secret{}
		err := p.live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, secret)
		if client.IgnoreNotFound(err) != nil {
			return gone, err
		}
		if err != nil || !isControlledBy(secret, owner) {
			continue
		}
		if err := p.letGo(ctx, secret, owner, policy); err != nil {
			return gone, fmt.Errorf("former workload Secret %s: %w", name, err)
		}
		gone++
	}
	return gone, nil
}

// release lets all Secrets of an owner go that is going itself.
func (p publisher) release(ctx context.Context, namespace string, owner projection.Owner, policy v1alpha1.DeletionPolicy) error {
	list := &corev1.SecretList{}
	err := p.live.List(ctx, list, client.InNamespace(namespace), client.MatchingLabels{owner.Label(): string(owner.UID)})
	if err != nil {
		return err
	}
	for i := range list.Items {
		secret := &list.Items[i]
		if !isControlledBy(secret, owner) {
			continue
		}
		if secret.Type == v1alpha1.StateSecretType {
			if err := p.freeCopyOfState(ctx, secret, owner); err != nil {
				return fmt.Errorf("copy %s of a state Secret: %w", secret.Name, err)
			}
			continue
		}
		if err := p.letGo(ctx, secret, owner, policy); err != nil {
			return fmt.Errorf("workload Secret %s: %w", secret.Name, err)
		}
	}
	return nil
}

// discard deletes a Secret that is the owner's, or was left behind by a former one of its name.
func (p publisher) discard(ctx context.Context, key types.NamespacedName, owner projection.Owner) error {
	secret, err := p.read(ctx, &workload{}, key, owner)
	if secret == nil || err != nil {
		return err
	}
	return p.letGo(ctx, secret, owner, v1alpha1.DeletionDelete)
}

func isControlledBy(secret *corev1.Secret, owner projection.Owner) bool {
	controller := metav1.GetControllerOf(secret)
	return controller != nil && controller.UID == owner.UID
}

// letGo deletes a Secret or leaves it, as target.deletionPolicy says.
func (p publisher) letGo(ctx context.Context, secret *corev1.Secret, owner projection.Owner, policy v1alpha1.DeletionPolicy) error {
	if policy == v1alpha1.DeletionRetain {
		return p.disown(ctx, secret, owner)
	}
	return client.IgnoreNotFound(p.client.Delete(ctx, secret, client.Preconditions{UID: &secret.UID}))
}

// disown takes the owner and the owner's label from a Secret, so that it stays when the owner goes.
func (p publisher) disown(ctx context.Context, secret *corev1.Secret, owner projection.Owner) error {
	changed := secret.DeepCopy()
	changed.OwnerReferences = slices.DeleteFunc(changed.OwnerReferences, func(reference metav1.OwnerReference) bool {
		return owner.IsFormer(reference) || reference.UID == owner.UID
	})
	delete(changed.Labels, owner.Label())
	return client.IgnoreNotFound(p.client.Patch(ctx, changed, client.MergeFrom(secret)))
}
