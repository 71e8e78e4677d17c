package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// FluentToken publishes the current access token of a FluentCredential in another namespace. The token is obtained once, by the
// FluentCredential, and published as often as there are FluentTokens that its spec.allowedNamespaces permits.
//
// +genclient
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=fluenttokens,shortName=ftok,categories=fluent
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="From",type=string,JSONPath=`.spec.credentialRef.namespace`
// +kubebuilder:printcolumn:name="Credential",type=string,JSONPath=`.spec.credentialRef.name`
// +kubebuilder:printcolumn:name="Secret",type=string,JSONPath=`.status.targetName`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.status.token.expirationTime`
// +kubebuilder:printcolumn:name="Serial",type=integer,JSONPath=`.status.token.serial`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="has(self.spec.target) && has(self.spec.target.name) || !self.metadata.name.endsWith('-fluent-state') && !self.metadata.name.endsWith('-fluent-state-2') || oldSelf.hasValue() && !(has(oldSelf.value().spec.target) && has(oldSelf.value().spec.target.name))",optionalOldSelf=true,message="names that end in -fluent-state or -fluent-state-2 are kept for the operator's state Secrets: set spec.target.name to another name"
type FluentToken struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the user wants.
	Spec FluentTokenSpec `json:"spec"`
	// status is what the operator last saw and did. It is a view: losing it loses nothing.
	// +kubebuilder:default:={"observedGeneration":-1}
	// +optional
	Status FluentTokenStatus `json:"status,omitempty,omitzero"`
}

// FluentTokenList is a list of FluentTokens.
//
// +kubebuilder:object:root=true
type FluentTokenList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []FluentToken `json:"items"`
}

// FluentTokenSpec says whose token is published, and where.
type FluentTokenSpec struct {
	// credentialRef is the FluentCredential whose access token is published.
	CredentialRef CredentialReference `json:"credentialRef"`
	// target is the workload Secret, in the namespace of the FluentToken, which pods mount.
	// +optional
	Target TargetSpec `json:"target,omitempty,omitzero"`
	// delivery says how a new token reaches its consumers sooner than they would find it by themselves.
	// +optional
	Delivery DeliverySpec `json:"delivery,omitempty,omitzero"`
}

// CredentialReference names a FluentCredential.
type CredentialReference struct {
	// namespace of the FluentCredential. It has to permit the namespace of the FluentToken, by its spec.allowedNamespaces.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace"`
	// name of the FluentCredential.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name"`
}

// Key is the FluentCredential's.
func (r CredentialReference) Key() types.NamespacedName {
	return types.NamespacedName{Namespace: r.Namespace, Name: r.Name}
}

// FluentTokenStatus is what the operator last saw and did. It holds no secret, and nothing of a FluentCredential that does not permit
// this namespace.
type FluentTokenStatus struct {
	// observedGeneration is the generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions are Ready, Stalled and Reconciling.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// token is the one in the workload Secret.
	// +optional
	Token *PublishedTokenStatus `json:"token,omitempty"`
	// targetName is the name of the workload Secret that holds the token.
	// +optional
	TargetName string `json:"targetName,omitempty"`
}

// PublishedTokenStatus describes a published token without telling it.
type PublishedTokenStatus struct {
	// serial of the token, as the FluentCredential counts: it grows by one with every token, and never goes back.
	Serial int64 `json:"serial"`
	// expirationTime is when the token expires.
	ExpirationTime metav1.Time `json:"expirationTime"`
}

// TargetName is the name of the workload Secret.
func (t *FluentToken) TargetName() string {
	if t.Spec.Target.Name != "" {
		return t.Spec.Target.Name
	}
	return t.Name
}
