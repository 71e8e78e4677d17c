package controllers

import (
	"context"
	"hash/fnv"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/projection"
)

// The cache has two indexes of what there is much of. An index keeps two sets for every value that it has, each larger than what is looked up by it: so the
// values are shelves, which many share, and what is found on one is looked through.
const (
	namesIndex = "secrets" // FluentCredentials by the names of their Secrets: the login and the target
	ownerIndex = "owner"   // Secrets by the object of ours that controls them
)

// targetIndex are FluentTokens by their workload Secrets.
const targetIndex = "target"

// shelves is how many there are: with fifty thousand credentials in ten namespaces, some twenty on each.
const shelves = 1 << 9

func shelf(name string) string {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(name)) // never fails
	return strconv.Itoa(int(sum.Sum32() % shelves))
}

// AddIndexes makes the look-ups of the watches and of the leftovers cheap.
func AddIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	err := indexer.IndexField(ctx, &v1alpha1.FluentCredential{}, namesIndex, func(object client.Object) []string {
		cred := object.(*v1alpha1.FluentCredential)
		login, target := shelf(cred.Spec.CredentialsSecretRef.Name), shelf(cred.TargetName())
		if login == target {
			return []string{login}
		}
		return []string{login, target}
	})
	if err != nil {
		return err
	}
	if err := addTokenIndexes(ctx, indexer); err != nil {
		return err
	}
	return indexer.IndexField(ctx, secretMetadata(), ownerIndex, func(object client.Object) []string {
		if owner := ownerOf(object); owner != "" && !isState(object) {
			return []string{shelf(string(owner))}
		}
		return nil
	})
}

// namingSecret are the FluentCredentials whose login or target has that name.
func namingSecret(ctx context.Context, reader client.Reader, secret types.NamespacedName) []types.NamespacedName {
	var found v1alpha1.FluentCredentialList
	match := client.MatchingFields{namesIndex: shelf(secret.Name)}
	if err := reader.List(ctx, &found, client.InNamespace(secret.Namespace), match, client.UnsafeDisableDeepCopy); err != nil {
		return nil // the cache answers, or is not there
	}
	var naming []types.NamespacedName
	for i := range found.Items {
		if cred := &found.Items[i]; cred.Spec.CredentialsSecretRef.Name == secret.Name || cred.TargetName() == secret.Name {
			naming = append(naming, client.ObjectKeyFromObject(cred))
		}
	}
	return naming
}

// ownerOf is the UID of the object of ours that controls a Secret; a label alone is easily copied.
func ownerOf(object client.Object) types.UID {
	if owner := metav1.GetControllerOfNoCopy(object); owner != nil && isOwnerKind(owner.Kind) {
		return owner.UID
	}
	return ""
}

func isOwnerKind(kind string) bool {
	return kind == string(projection.Credential) || kind == string(projection.Token)
}
