package cli

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// secretMetadata reads a Secret without its content.
func secretMetadata() *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: corev1.SchemeGroupVersion.String(), Kind: "Secret"}}
}

// checkTarget looks whether the name of the workload Secret is free, or ours.
func (i *inspection) checkTarget(ctx context.Context) {
	if i.checkRivals(ctx) {
		return
	}
	name, found := i.cred.TargetName(), secretMetadata()
	err := i.cluster.Get(ctx, key{Namespace: i.cred.Namespace, Name: name}, found)
	switch {
	case apierrors.IsNotFound(err):
		i.ok("Secret %s will be made", name)
	case err != nil:
		i.skip("Secret %s cannot be looked at: %s", name, err)
	case belongsTo(found, i.cred):
		i.ok("Secret %s is this FluentCredential's", name)
	default:
		i.fail(adviceFor(v1alpha1.ReasonTargetConflict, i.cred), "Secret %s exists and belongs to somebody else", name)
	}
}

// belongsTo tells whether a Secret is the credential's own, or was left behind by a former one of its name.
func belongsTo(secret *metav1.PartialObjectMetadata, cred *v1alpha1.FluentCredential) bool {
	controller := metav1.GetControllerOf(secret)
	if controller != nil && controller.UID == cred.UID {
		return true
	}
	former := controller == nil || controller.Kind == "FluentCredential" && controller.Name == cred.Name
	return former && secret.Labels[v1alpha1.ManagedByLabel] == v1alpha1.OperatorName &&
		secret.Annotations[v1alpha1.CredentialAnnotation] == cred.Name
}

// checkRivals finds other FluentCredentials that want the name, or use it for something else.
func (i *inspection) checkRivals(ctx context.Context) (found bool) {
	var others v1alpha1.FluentCredentialList
	if err := i.cluster.List(ctx, &others, client.InNamespace(i.cred.Namespace)); err != nil {
		i.skip("the other FluentCredentials cannot be listed: %s", err)
		return false
	}
	target := i.cred.TargetName()
	for n := range others.Items {
		other := &others.Items[n]
		switch {
		case other.Name == i.cred.Name:
		case other.TargetName() == target:
			i.fail("Choose another spec.target.name.", "FluentCredential %s has the target %s too", other.Name, target)
			found = true
		case other.Spec.CredentialsSecretRef.Name == target:
			i.fail("Choose another spec.target.name.", "Secret %s is the login of FluentCredential %s", target, other.Name)
			found = true
		}
	}
	return found
}
