package controllers

import (
	"context"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/projection"
)

// Indexes of the cache.
const (
	credentialsIndex = "spec.credentialsSecretRef.name"
	targetIndex      = "target"
	ownerIndex       = "owner"
)

// credentialChanged lets through what a person changed: the spec, the rotate annotation, a deletion, a finalizer that was taken
// away. The operator's own status is no news to it.
func credentialChanged() predicate.Predicate {
	return predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			return e.ObjectOld.GetAnnotations()[v1alpha1.RotateAnnotation] != e.ObjectNew.GetAnnotations()[v1alpha1.RotateAnnotation] ||
				len(e.ObjectNew.GetFinalizers()) < len(e.ObjectOld.GetFinalizers())
		},
	})
}

// secretChanged lets through what somebody else did to a Secret. The operator's own writes are known by what they change: a
// publication raises the serial, a rotation touches nothing of the state Secret but its data.
func secretChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := e.ObjectOld, e.ObjectNew
		if before.GetResourceVersion() == after.GetResourceVersion() {
			return false // a resync
		}
		if before.GetDeletionTimestamp().IsZero() != after.GetDeletionTimestamp().IsZero() {
			return true
		}
		return !isState(after) && !isPublication(before, after)
	}}
}

func isPublication(before, after client.Object) bool {
	return after.GetLabels()[v1alpha1.ManagedByLabel] == v1alpha1.OperatorName && serialOf(after) > serialOf(before)
}

func isState(secret client.Object) bool {
	name := secret.GetAnnotations()[v1alpha1.CredentialAnnotation]
	if name == "" || secret.GetLabels()[v1alpha1.ManagedByLabel] != v1alpha1.OperatorName {
		return false
	}
	names := custody.Names(name)
	return slices.Contains(names[:], secret.GetName())
}

// secretToCredentials maps a Secret to the FluentCredentials that read it, own it, or want to publish under its name.
func secretToCredentials(reader client.Reader) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, secret client.Object) []reconcile.Request {
		requests := map[types.NamespacedName]bool{}
		if name := secret.GetAnnotations()[v1alpha1.CredentialAnnotation]; name != "" {
			requests[types.NamespacedName{Namespace: secret.GetNamespace(), Name: name}] = true
		}
		for _, index := range []string{credentialsIndex, targetIndex} {
			var found v1alpha1.FluentCredentialList
			match := client.MatchingFields{index: secret.GetName()}
			if err := reader.List(ctx, &found, client.InNamespace(secret.GetNamespace()), match); err != nil {
				continue // the cache answers, or is not there
			}
			for i := range found.Items {
				requests[client.ObjectKeyFromObject(&found.Items[i])] = true
			}
		}
		return asRequests(requests)
	})
}

// turns wakes a credential whose turn at its token host comes earlier than it was told. One call that is lost costs one turn.
func (r *Reconciler) turns() source.Source {
	calls := make(chan event.GenericEvent, 16)
	r.Hosts.call = func(key types.NamespacedName) {
		called := event.GenericEvent{Object: &v1alpha1.FluentCredential{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}}
		select {
		case calls <- called:
		default:
		}
	}
	return source.Channel(calls, &handler.EnqueueRequestForObject{})
}

func asRequests(keys map[types.NamespacedName]bool) []reconcile.Request {
	requests := make([]reconcile.Request, 0, len(keys))
	for key := range keys {
		requests = append(requests, reconcile.Request{NamespacedName: key})
	}
	return requests
}

// addIndexes makes the look-ups of the watches and of the leftovers cheap.
func addIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	credential := &v1alpha1.FluentCredential{}
	err := indexer.IndexField(ctx, credential, credentialsIndex, func(object client.Object) []string {
		return []string{object.(*v1alpha1.FluentCredential).Spec.CredentialsSecretRef.Name}
	})
	if err != nil {
		return err
	}
	err = indexer.IndexField(ctx, credential, targetIndex, func(object client.Object) []string {
		return []string{object.(*v1alpha1.FluentCredential).TargetName()}
	})
	if err != nil {
		return err
	}
	if err := addTokenIndexes(ctx, indexer); err != nil {
		return err
	}
	return indexer.IndexField(ctx, secretMetadata(), ownerIndex, ownerOf)
}

// ownerOf is the UID of the object of ours that controls a Secret; a label alone is easily copied.
func ownerOf(object client.Object) []string {
	if owner := metav1.GetControllerOf(object); owner != nil && isOwnerKind(owner.Kind) {
		return []string{string(owner.UID)}
	}
	return nil
}

func isOwnerKind(kind string) bool {
	return kind == string(projection.Credential) || kind == string(projection.Token)
}

func controllerOnly(secret *metav1.PartialObjectMetadata) []metav1.OwnerReference {
	owner := metav1.GetControllerOf(secret)
	if owner == nil || !isOwnerKind(owner.Kind) {
		return nil
	}
	return []metav1.OwnerReference{*owner}
}

// strip takes from the cache's Secrets what nothing looks at: a cluster has many, and most are not ours.
func strip(object any) (any, error) {
	secret, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return object, nil
	}
	kept := metav1.ObjectMeta{
		Namespace: secret.Namespace, Name: secret.Name, UID: secret.UID, ResourceVersion: secret.ResourceVersion,
		DeletionTimestamp: secret.DeletionTimestamp, OwnerReferences: controllerOnly(secret),
	}
	if secret.Labels[v1alpha1.ManagedByLabel] == v1alpha1.OperatorName {
		kept.Labels = pick(secret.Labels, v1alpha1.ManagedByLabel, v1alpha1.CredentialLabel, v1alpha1.TokenLabel)
		kept.Annotations = pick(secret.Annotations, v1alpha1.CredentialAnnotation, v1alpha1.TokenAnnotation, v1alpha1.SerialAnnotation)
	}
	secret.ObjectMeta = kept
	return secret, nil
}

func pick(from map[string]string, keys ...string) map[string]string {
	picked := make(map[string]string, len(keys))
	for _, key := range keys {
		if value, ok := from[key]; ok {
			picked[key] = value
		}
	}
	return picked
}
