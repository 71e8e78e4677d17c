package binding

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/projection"
)

// Refused returns why no credentials are read from a Secret, or nothing if they may be. The author of a manifest
// chooses the host that credentials are sent to, so a reference to the operator's own Secrets would send one
// credential's tokens to another's author. The type decides: it is the type of the object that was read, and Kubernetes
// never changes it. The key of the journal has no type of its own, nor has what the operator publishes, which is known by
// its marks.
func Refused(secret *corev1.Secret) string {
	const never = "no credentials are read from a Secret of the operator or of a service account"
	switch {
	case projection.IsKeptType(secret.Type):
		return fmt.Sprintf("Secret %s has the type %s: %s", secret.Name, secret.Type, never)
	case isPublished(secret):
		return fmt.Sprintf("Secret %s holds a token that the operator publishes: %s", secret.Name, never)
	case secret.Name == v1alpha1.JournalKeySecret:
		return fmt.Sprintf("Secret %s holds the key of the operator's journal: %s", secret.Name, never)
	}
	return ""
}

// maxEntry is how many bytes an entry of a credentials Secret may have. The operator remembers what it has read, and every
// API refuses longer ones.
const maxEntry = 16 << 10

// Oversized returns which entry of a credentials Secret is too large to be one, or nothing if none is.
func Oversized(secret *corev1.Secret, keys map[string]v1alpha1.SecretKey) string {
	for _, entry := range entryNames {
		key := KeyName(keys, entry)
		if size := len(secret.Data[key]); size > maxEntry {
			return fmt.Sprintf("entry %s of Secret %s has %d bytes: at most %d are read", key, secret.Name, size, maxEntry)
		}
	}
	return ""
}

// isPublished reports whether a Secret is a target Secret, or a copy of one.
func isPublished(secret *corev1.Secret) bool {
	marked := func(annotation string) bool { return secret.Annotations[annotation] != "" }
	return secret.Labels[v1alpha1.ManagedByLabel] == v1alpha1.OperatorName &&
		(marked(v1alpha1.CredentialAnnotation) || marked(v1alpha1.TokenAnnotation))
}

// ReferenceProblems returns what admission refuses of a reference to a credentials Secret, each beginning with its
// field.
func ReferenceProblems(reference v1alpha1.CredentialsSecretReference) []string {
	var found []string
	for _, problem := range projection.NameProblems(reference.Name) {
		found = append(found, "name: "+problem)
	}
	if projection.IsStateName(reference.Name) {
		found = append(found, "name: names that end in "+v1alpha1.StateSuffix+" or "+v1alpha1.AlternateStateSuffix+
			" are kept for the operator's state Secrets: no credentials are read from them")
	}
	if reference.Name == v1alpha1.JournalKeySecret {
		found = append(found,
			"name: this Secret holds the key of the operator's journal: no credentials are read from it")
	}
	for _, entry := range slices.Sorted(maps.Keys(reference.Keys)) {
		if !slices.Contains(entryNames, entry) {
			found = append(found, "keys: there is no entry "+entry+" to rename")
		}
		for _, problem := range validation.IsConfigMapKey(string(reference.Keys[entry])) {
			found = append(found, "keys."+entry+": "+problem)
		}
	}
	return found
}
