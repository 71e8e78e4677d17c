package controllers

import (
	"context"
	"slices"
	"time"

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
)

// credentialChanged lets through what a person changed: the spec, the rotate annotation, a deletion, a finalizer that was taken
// away, a status from a backup. The operator's own status is no news to it. After an interrupted watch, an update can be that of
// another object of the same name.
func credentialChanged() predicate.Predicate {
	return predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, after := e.ObjectOld.(*v1alpha1.FluentCredential), e.ObjectNew.(*v1alpha1.FluentCredential)
			return before.UID != after.UID || wentBack(before.Status.Conditions, after.Status.Conditions) ||
				before.Annotations[v1alpha1.RotateAnnotation] != after.Annotations[v1alpha1.RotateAnnotation] ||
				len(after.Finalizers) < len(before.Finalizers)
		},
	})
}

// wentBack reports whether a status is older than the one before it: all transitions are earlier than the last one was.
func wentBack(before, after []metav1.Condition) bool {
	return len(before) > 0 && lastTransition(after).Before(lastTransition(before))
}

func lastTransition(conditions []metav1.Condition) time.Time {
	var last time.Time
	for i := range conditions {
		last = later(last, conditions[i].LastTransitionTime.Time)
	}
	return last
}

// secretChanged lets through what somebody else did to a Secret. The operator's own writes are known by what they change: a
// publication raises the serial, a rotation touches nothing of the state Secret but its data. A reply that was stored late is news,
// whoever stored it.
func secretChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := e.ObjectOld, e.ObjectNew
		if before.GetResourceVersion() == after.GetResourceVersion() {
			return false // a resync
		}
		if before.GetDeletionTimestamp().IsZero() != after.GetDeletionTimestamp().IsZero() {
			return true
		}
		if isState(after) {
			return isLateReply(before, after)
		}
		return !isPublication(before, after)
	}}
}

func isLateReply(before, after client.Object) bool {
	late := after.GetAnnotations()[v1alpha1.LateReplyAnnotation]
	return late != "" && late != before.GetAnnotations()[v1alpha1.LateReplyAnnotation]
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

// secretToCredentials maps a Secret to the FluentCredentials that it concerns.
func secretToCredentials(reader client.Reader) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, secret client.Object) []reconcile.Request {
		return concernedBy(ctx, reader, secret)
	})
}

// concernedBy returns the FluentCredentials that read a Secret, own it, or want to create one under its name: the
// target or the state.
func concernedBy(ctx context.Context, reader client.Reader, secret client.Object) []reconcile.Request {
	requests := map[types.NamespacedName]bool{}
	if name := secret.GetAnnotations()[v1alpha1.CredentialAnnotation]; name != "" {
		requests[types.NamespacedName{Namespace: secret.GetNamespace(), Name: name}] = true
	}
	for _, key := range namingSecret(ctx, reader, client.ObjectKeyFromObject(secret)) {
		requests[key] = true
	}
	if name, isState := custody.CredentialOf(secret.GetName()); isState {
		key := types.NamespacedName{Namespace: secret.GetNamespace(), Name: name}
		if reader.Get(ctx, key, &v1alpha1.FluentCredential{}) == nil {
			requests[key] = true
		}
	}
	return asRequests(requests)
}

// turns wakes a credential whose turn at its token host comes earlier than it was told. One call that is lost costs one turn.
func (r *Reconciler) turns() source.Source {
	calls := make(chan event.GenericEvent, 256)
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
