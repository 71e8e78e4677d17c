package custody

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// The names of state Secrets end like this. There are two, so that a copy can be written while the first is being deleted.
const (
	suffix          = v1alpha1.StateSuffix
	alternateSuffix = v1alpha1.AlternateStateSuffix
	maxName         = 253 // RFC 1123 subdomain
)

// Names are the names that the state Secret of a FluentCredential may have, the usual one first.
func Names(credential string) [2]string {
	stem := credential
	if len(stem)+len(alternateSuffix) > maxName {
		sum := sha256.Sum256([]byte(credential))
		stem = strings.TrimRight(stem[:maxName-len(alternateSuffix)-17], ".") + "-" + hex.EncodeToString(sum[:8])
	}
	return [2]string{stem + suffix, stem + alternateSuffix}
}

// CredentialOf returns the FluentCredential whose state Secret may have the name. For a shortened name it returns none.
func CredentialOf(name string) (credential string, isState bool) {
	for _, end := range []string{alternateSuffix, suffix} {
		if stem, found := strings.CutSuffix(name, end); found && stem != "" {
			return stem, true
		}
	}
	return "", false
}

// within ignores the names of Secrets that cannot be the state of this FluentCredential. An edit put them there, to read
// or to remove the state of another one.
func (s State) within(owner Owner) State {
	names := Names(owner.Name)
	if !slices.Contains(names[:], s.MovedTo) {
		s.MovedTo = ""
	}
	if !slices.Contains(names[:], s.MovedFrom) {
		s.MovedFrom = ""
	}
	return s
}

func otherName(credential, name string) string {
	names := Names(credential)
	if name == names[0] {
		return names[1]
	}
	return names[0]
}

// dress gives the Secret the metadata that a state Secret has, whatever somebody did to it.
func dress(secret *corev1.Secret, owner Owner) {
	if secret.Labels == nil {
		secret.Labels = map[string]string{}
	}
	secret.Labels[v1alpha1.ManagedByLabel] = v1alpha1.OperatorName
	secret.Labels[v1alpha1.CredentialLabel] = string(owner.UID)
	if secret.Annotations == nil {
		secret.Annotations = map[string]string{}
	}
	secret.Annotations[v1alpha1.CredentialAnnotation] = owner.Name
	if secret.DeletionTimestamp.IsZero() && !slices.Contains(secret.Finalizers, v1alpha1.StateFinalizer) {
		secret.Finalizers = append(secret.Finalizers, v1alpha1.StateFinalizer)
	}
	yes := true
	secret.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: "FluentCredential", Name: owner.Name, UID: owner.UID,
		Controller: &yes, BlockOwnerDeletion: &yes,
	}}
}

// maxForeign bounds the metadata that others put on a state Secret, in bytes. An object that is larger than a request to
// etcd can never be written again, and annotations have a limit of their own.
const maxForeign = 128 << 10

// shed removes the metadata of others if it takes the room that the state needs, and reports whether it did.
func shed(secret *corev1.Secret) bool {
	size := 0
	for _, entries := range []map[string]string{secret.Labels, secret.Annotations} {
		for key, value := range entries {
			size += len(key) + len(value)
		}
	}
	for _, finalizer := range secret.Finalizers {
		size += len(finalizer)
	}
	for _, manager := range secret.ManagedFields {
		size += len(manager.Manager) + len(manager.Operation) + manager.FieldsV1.Size()
	}
	if size <= maxForeign {
		return false
	}
	isForeign := func(key string) bool { return !strings.HasPrefix(key, v1alpha1.GroupVersion.Group+"/") }
	maps.DeleteFunc(secret.Labels, func(key, _ string) bool { return isForeign(key) })
	maps.DeleteFunc(secret.Annotations, func(key, value string) bool {
		return isForeign(key) || len(value) > maxName
	})
	secret.Finalizers = slices.DeleteFunc(secret.Finalizers, func(f string) bool { return f != v1alpha1.StateFinalizer })
	secret.ManagedFields = []metav1.ManagedFieldsEntry{{}} // the API server takes it for none
	return true
}

func ownedBy(secret *corev1.Secret, uid types.UID) bool {
	for _, reference := range secret.OwnerReferences {
		if reference.UID == uid {
			return true
		}
	}
	return false
}

func newSalt() string { return randomHex() }

// NewID is a random name of 16 bytes, for claims and processes.
func NewID() string { return randomHex() }

func randomHex() string {
	var bytes [16]byte
	_, _ = rand.Read(bytes[:]) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(bytes[:])
}
