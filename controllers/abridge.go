package controllers

import (
	"context"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
)

// The cache holds every FluentCredential and every FluentToken, with or without consent, and their authors choose how
// large they are. An object with a large target, or with many finalizers, is therefore cached without them, and each
// pass over it reads the whole object live. What other objects look for is always cached: names, the provider, the
// consent, the schedule.

const (
	// mostCached is how many bytes of an object's target and finalizers the cache keeps: more than most have.
	mostCached = 2 << 10
	// mostStatus is the largest status that the cache keeps, in bytes. The operator writes a few KiB; a larger one was
	// written by another client, and the next pass replaces it.
	mostStatus = 32 << 10
)

// abridged is an annotation in the cache of an object that is not cached whole. A transform can meet its own result, so
// the annotation stays once it is there. An author who writes it gains nothing: the object is read live.
var abridged = map[string]string{abridgedKey: "true"}

const abridgedKey = "auth.fluent-credential.dev/abridged"

func isAbridged(object client.Object) bool { return object.GetAnnotations()[abridgedKey] != "" }

// abridge leaves out what makes an object large, and reports whether it did.
func abridge(meta *metav1.ObjectMeta, target *v1alpha1.TargetSpec, delivery *v1alpha1.DeliverySpec) bool {
	size := 0
	for _, finalizer := range meta.Finalizers {
		size += len(finalizer)
	}
	for key, value := range target.Labels {
		size += len(key) + len(value)
	}
	for key, value := range target.Annotations {
		size += len(key) + len(value)
	}
	for key, value := range target.Data {
		size += len(key) + len(value)
	}
	for _, workload := range delivery.Restart {
		size += len(workload.Name)
	}
	if size <= mostCached {
		return false
	}
	meta.Finalizers = nil
	target.Labels = nil
	target.Annotations = nil
	target.Data = nil
	delivery.Restart = nil
	return true
}

// stripMeta leaves what a pass needs of an object's metadata.
func stripMeta(meta *metav1.ObjectMeta) {
	*meta = metav1.ObjectMeta{
		Namespace: same(meta.Namespace), Name: meta.Name, UID: meta.UID, ResourceVersion: meta.ResourceVersion,
		Generation: meta.Generation, CreationTimestamp: meta.CreationTimestamp, DeletionTimestamp: meta.DeletionTimestamp,
		DeletionGracePeriodSeconds: meta.DeletionGracePeriodSeconds, Finalizers: slices.Clone(meta.Finalizers),
	}
	for i := range meta.Finalizers {
		meta.Finalizers[i] = same(meta.Finalizers[i])
	}
}

// stripToken is stripCredential for FluentTokens.
func stripToken(object any) (any, error) {
	token, ok := object.(*v1alpha1.FluentToken)
	if !ok {
		return object, nil
	}
	token.TypeMeta = metav1.TypeMeta{}
	wasAbridged := isAbridged(token)
	stripMeta(&token.ObjectMeta)
	if abridge(&token.ObjectMeta, &token.Spec.Target, &token.Spec.Delivery) || wasAbridged {
		token.Annotations = abridged
	}
	if conditionsSize(token.Status.Conditions)+len(token.Status.TargetName) > mostStatus {
		token.Status = v1alpha1.FluentTokenStatus{}
	}
	status := &token.Status
	status.TargetName = alike(status.TargetName, token.TargetName())
	stripConditions(status.Conditions)
	token.Spec.CredentialRef.Namespace = same(token.Spec.CredentialRef.Namespace)
	token.Spec.CredentialRef.Name = same(token.Spec.CredentialRef.Name)
	stripTarget(&token.Spec.Target)
	return token, nil
}

// stripTarget keeps the words once that many targets have.
func stripTarget(target *v1alpha1.TargetSpec) {
	target.Type = same(target.Type)
	target.DeletionPolicy = v1alpha1.DeletionPolicy(same(string(target.DeletionPolicy)))
}

func stripConditions(conditions []metav1.Condition) {
	for i := range conditions {
		condition := &conditions[i]
		condition.Type = same(condition.Type)
		condition.Reason = same(condition.Reason)
		condition.Status = metav1.ConditionStatus(same(string(condition.Status)))
	}
}

func conditionsSize(conditions []metav1.Condition) int {
	size := 0
	for i := range conditions {
		size += len(conditions[i].Type) + len(conditions[i].Reason) + len(conditions[i].Message)
	}
	return size
}

// statusSize returns the size of what is of any length in a status.
func statusSize(status *v1alpha1.FluentCredentialStatus) int {
	size := conditionsSize(status.Conditions) + len(status.TargetName) + len(status.LastHandledRotateAt)
	if summary := status.Summary; summary != nil {
		size += len(summary.Reason) + len(summary.Message) + len(summary.Provider)
	}
	if token := status.Token; token != nil {
		size += len(token.Grant) + len(token.Type) + len(token.Scope)
	}
	for i := range status.History {
		size += len(status.History[i].Grant) + len(status.History[i].Verdict) + len(status.History[i].Reason)
	}
	if who := status.Identity; who != nil {
		size += len(who.Account) + len(who.RetailerID) + len(who.FirstName) + len(who.LastName)
		size += len(who.OwnerID) + len(who.OwnerType)
		for _, role := range who.Roles {
			size += len(role)
		}
	}
	return size
}

// whole returns a FluentToken with everything that its author wrote. It returns custody.ErrGone if there is another
// object of the name by now, or none: the cache is behind.
func (t *TokenReconciler) whole(ctx context.Context, cached *v1alpha1.FluentToken) (*v1alpha1.FluentToken, error) {
	if !isAbridged(cached) {
		return cached, nil
	}
	token := &v1alpha1.FluentToken{}
	err := t.Live.Get(ctx, client.ObjectKeyFromObject(cached), token)
	if apierrors.IsNotFound(err) || err == nil && token.UID != cached.UID {
		return nil, custody.ErrGone
	}
	if err != nil {
		return nil, err
	}
	return token, nil
}
