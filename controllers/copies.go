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
// the operator's: only Secrets that the operator published itself are withdrawn.

// copies records, by UID, whether a Secret with an owner's marks is a copy (true) or was published by this operator.
type copies map[types.UID]bool

// published returns the owner's Secrets that this operator published under any name, from the cache, except those with
// the names in but. The names in certain are known to be published; other Secrets are read live, once. A Secret that is
// found to be a copy is returned separately, the first time.
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

// freeCopyOfState removes the finalizer from a copy of a state Secret, which has it from the original. Otherwise
// neither the copy nor its namespace could be deleted. Custody handles the state itself.
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

// copied is reported once for each copy. Kubernetes itself deletes the copy with its owner.
const copied = "Secret %s is a copy of the target Secret that this operator did not publish: it is left alone, and " +
	"its token is not renewed. Kubernetes deletes it with the %s that its ownerReferences name; remove them to keep it"
