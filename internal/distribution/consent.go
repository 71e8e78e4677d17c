// Package distribution decides what becomes of a FluentToken: whether the owner of the FluentCredential permits it, and what to do
// next. It is pure: it reads no clock and holds no client.
package distribution

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// Namespace is the namespace of a FluentToken.
type Namespace struct {
	Name string
	// Labels are nil where they cannot be read; then no selector selects it.
	Labels map[string]string
}

// Allows tells whether a FluentCredential permits a namespace to publish its token. One that is being deleted permits nothing more,
// and its own namespace has to be allowed like any other one.
func Allows(cred *v1alpha1.FluentCredential, namespace Namespace) bool {
	allowed := cred.Spec.AllowedNamespaces
	if allowed == nil || !cred.DeletionTimestamp.IsZero() {
		return false
	}
	return slices.Contains(allowed.Names, namespace.Name) || selects(allowed.Selector, namespace.Labels)
}

// selects: a selector that cannot be read selects nothing, and neither does one that has nothing to look at.
func selects(selector *metav1.LabelSelector, of map[string]string) bool {
	if selector == nil || of == nil {
		return false
	}
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && parsed.Matches(labels.Set(of))
}
