// Package v1alpha1 is the API of the operator: the FluentCredential, its conditions and reasons, and every name that the
// world may depend on.
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +kubebuilder:ac:output:package="applyconfiguration"
// +groupName=auth.fluent-credential.dev
package v1alpha1
