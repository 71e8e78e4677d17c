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

// Refused returns why no credentials are read from a Secret, or an empty string if they may be read. The author of a
// manifest chooses the host that credentials are sent to, so a reference to the operator's own Secrets would send one
// credential's tokens to another author. The type decides: it is the type of the object that was read, and Kubernetes
// never changes it. The key of the journal has no type of its own.
func Refused(secret *corev1.Secret) string {
	const never = "no credentials are read from a Secret of the operator or of a service account"
	switch {
	case projection.IsKeptType(secret.Type):
		return fmt.Sprintf("Secret %s has the type %s: %s", secret.Name, secret.Type, never)
	case secret.Name == v1alpha1.JournalKeySecret:
		return fmt.Sprintf("Secret %s holds the key of the operator's journal: %s", secret.Name, never)
	}
	return ""
}

// ReferenceProblems returns the reasons why admission refuses a reference to a credentials Secret. Each begins with its
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
