package controllers

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/projection"
)

// A copy of a target Secret, made with "kubectl get -o yaml" under another name, carries its owner's marks. It is not
// the operator's: only what the operator published itself is withdrawn.

// copies remembers, by UID, which Secrets with an owner's marks are copies (true), and which this operator published.
type copies map[types.UID]bool

// published are the Secrets of an owner, by the cache, that this operator published under whatever name, but those of
// the names in but. Of the names in certain it is known; others are read live, once. What turns out to be a copy is
// returned apart, the first time.
func (p publisher) published(
	ctx context.Context, namespace string, owner projection.Owner, judged *copies, certain []string, but ...string,
) (names, copied []string, err error) {
	found, err := p.owned(ctx, namespace, owner, but...)
	for _, each := range found {
		isCopy, known := (*judged)[each.uid]
		if !known && !slices.Contains(certain, each.name) {
			var secret corev1.Secret
			err := p.live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: each.name}, &secret)
			if client.IgnoreNotFound(err) != nil {
				return nil, nil, err
			}
			if err != nil || secret.UID != each.uid {
				continue // the cache is behind: the next pass sees it
			}
			isCopy = !projection.IsPublishedBy(&secret, v1alpha1.OperatorName)
			if *judged == nil {
				*judged = copies{}
			}
			(*judged)[each.uid] = isCopy
			if isCopy {
				copied = append(copied, each.name)
			}
		}
		if !isCopy {
			names = append(names, each.name)
		}
	}
	return names, copied, err
}

// freeCopyOfState takes the finalizer from a copy of a state Secret, which has it from the original: no one else would,
// and the copy could not be deleted, nor its namespace. The state itself is custody's.
func (p publisher) freeCopyOfState(ctx context.Context, secret *corev1.Secret, owner projection.Owner) error {
	states := custody.Names(owner.Name)
	if slices.Contains(states[:], secret.Name) || !controllerutil.ContainsFinalizer(secret, v1alpha1.StateFinalizer) {
		return nil
	}
	changed := secret.DeepCopy()
	controllerutil.RemoveFinalizer(changed, v1alpha1.StateFinalizer)
	patch := client.MergeFromWithOptions(secret, client.MergeFromWithOptimisticLock{})
	return client.IgnoreNotFound(p.client.Patch(ctx, changed, patch))
}

// copied is said once of a copy. Kubernetes itself deletes it with its owner.
const copied = "Secret %s is a copy of the target Secret that this operator did not publish: it is left alone, and " +
	"its token is not renewed. Kubernetes deletes it with the %s that its ownerReferences name; remove them to keep it"
