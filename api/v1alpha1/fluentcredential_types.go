package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// FluentCredential keeps a Secret supplied with an access token that is valid now. It names a login for an authentication API; the
// operator obtains a token, refreshes it ahead of expiry by spending the single-use refresh token, and publishes the result.
//
// +genclient
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=fluentcredentials,shortName=fcred,categories=fluent
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.summary.reason`
// +kubebuilder:printcolumn:name="Secret",type=string,JSONPath=`.status.targetName`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.status.token.expirationTime`
// +kubebuilder:printcolumn:name="Next Refresh",type=string,JSONPath=`.status.nextRefreshTime`
// +kubebuilder:printcolumn:name="Serial",type=integer,JSONPath=`.status.token.serial`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Provider",type=string,priority=1,JSONPath=`.status.summary.provider`
// +kubebuilder:printcolumn:name="Grant",type=string,priority=1,JSONPath=`.status.token.grant`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.summary.message`
// +kubebuilder:validation:XValidation:rule="(has(self.spec.target) && has(self.spec.target.name) ? self.spec.target.name : self.metadata.name) != self.spec.credentialsSecretRef.name",message="the target must not be the credentials Secret: set spec.target.name to another name"
// +kubebuilder:validation:XValidation:rule="has(self.spec.target) && has(self.spec.target.name) || !self.metadata.name.endsWith('-fluent-state') && !self.metadata.name.endsWith('-fluent-state-2') || oldSelf.hasValue() && !(has(oldSelf.value().spec.target) && has(oldSelf.value().spec.target.name))",optionalOldSelf=true,message="names that end in -fluent-state or -fluent-state-2 are kept for the operator's state Secrets: set spec.target.name to another name"
type FluentCredential struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the user wants.
	Spec FluentCredentialSpec `json:"spec"`
	// status is what the operator last saw and did. It is a view: losing it loses nothing.
	// +kubebuilder:default:={"observedGeneration":-1}
	// +optional
	Status FluentCredentialStatus `json:"status,omitempty,omitzero"`
}

// FluentCredentialList is a list of FluentCredentials.
//
// +kubebuilder:object:root=true
type FluentCredentialList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []FluentCredential `json:"items"`
}

// FluentCredentialSpec says which login to use, with which API, and where the token goes.
type FluentCredentialSpec struct {
	// provider is the authentication API.
	Provider ProviderSpec `json:"provider"`
	// credentialsSecretRef is the Secret that holds the login.
	CredentialsSecretRef CredentialsSecretReference `json:"credentialsSecretRef"`
	// scope is sent with every request where it is set (RFC 6749 section 3.3).
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^[\x21\x23-\x5B\x5D-\x7E]+( [\x21\x23-\x5B\x5D-\x7E]+)*$`
	// +optional
	Scope string `json:"scope,omitempty"`
	// refresh says when to refresh, and what to do when a reply is lost.
	// +optional
	Refresh RefreshSpec `json:"refresh,omitempty,omitzero"`
	// target is the workload Secret, which pods mount.
	// +optional
	Target TargetSpec `json:"target,omitempty,omitzero"`
	// delivery says how a new token reaches its consumers sooner than they would find it by themselves.
	// +optional
	Delivery DeliverySpec `json:"delivery,omitempty,omitzero"`
	// allowedNamespaces are the namespaces in which a FluentToken may publish this credential's access token: those that are named, and
	// those that the selector selects. None by default. Whoever is named here gets the token; so it is for whoever may read it.
	// +optional
	AllowedNamespaces *AllowedNamespaces `json:"allowedNamespaces,omitempty"`
	// suspend stops every exchange while true. The published token stays, and its expiry is still reported.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// CredentialsSecretReference names a Secret in the same namespace and its entries.
type CredentialsSecretReference struct {
	// name of the Secret, in the namespace of the FluentCredential. The operator's own Secrets, and those with the token of
	// a service account, are refused.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	// +kubebuilder:validation:XValidation:rule="!self.endsWith('-fluent-state') && !self.endsWith('-fluent-state-2')",message="names that end in -fluent-state or -fluent-state-2 are kept for the operator's state Secrets: no credentials are read from them"
	// +kubebuilder:validation:XValidation:rule="self != 'fluent-credential-operator-journal-key'",message="this Secret holds the key of the operator's journal: no credentials are read from it"
	Name string `json:"name"`
	// keys renames entries, for example {username: USER}. The names are username, password, client_id, client_secret,
	// refresh_token, code and redirect_uri. Messages hide a user name, client id or redirect URI like a password if the
	// name of its entry does not say what it is, as USER, clientId and callback_url do.
	// +kubebuilder:validation:MaxProperties=7
	// +kubebuilder:validation:XValidation:rule="self.all(k, k in ['username', 'password', 'client_id', 'client_secret', 'refresh_token', 'code', 'redirect_uri'])",message="keys may rename username, password, client_id, client_secret, refresh_token, code and redirect_uri only"
	// +optional
	Keys map[string]SecretKey `json:"keys,omitempty"`
}

// SecretKey is the name of an entry of a Secret.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
// +kubebuilder:validation:XValidation:rule="self != '.' && !self.startsWith('..')",message="a key of a Secret must not be '.' or start with '..'"
type SecretKey string

// RefreshSpec says when to refresh, and what to do when a reply is lost.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.before) && has(self.beforePercentage))",message="set before or beforePercentage, not both"
type RefreshSpec struct {
	// before is the lead: how long before expiry a token is refreshed, for example 10m. It is at most half of the token's life.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=duration
	// +kubebuilder:validation:XValidation:rule="self > duration('0s')",message="before must be more than zero"
	// +optional
	Before *metav1.Duration `json:"before,omitempty"`
	// beforePercentage is the lead as a percentage of the token's life. Where neither is set, it is 33, and 90 s at least; it is
	// at most half of the token's life.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=50
	// +optional
	BeforePercentage *int32 `json:"beforePercentage,omitempty"`
	// assumedLifetime is the life of a token whose reply has no expires_in, 30s at least. Default 1h.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=duration
	// +kubebuilder:validation:XValidation:rule="self >= duration('30s')",message="assumedLifetime must be 30s at least"
	// +optional
	AssumedLifetime *metav1.Duration `json:"assumedLifetime,omitempty"`
	// maximumLifetime caps the life of a token, whatever the reply says: for servers that give it in milliseconds, or too long. It is 30s at least. None by default.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=duration
	// +kubebuilder:validation:XValidation:rule="self >= duration('30s')",message="maximumLifetime must be 30s at least"
	// +optional
	MaximumLifetime *metav1.Duration `json:"maximumLifetime,omitempty"`
	// lifetimeFrom says where the life of a token is taken from: the reply's expires_in, or the claims of an access token that is a JWT. A token
	// that is no JWT, or that does not say when it ends, has the life that the reply says. Default Reply.
	// +optional
	LifetimeFrom LifetimeSource `json:"lifetimeFrom,omitempty"`
	// onLostReply says what to do when a refresh token was sent and its reply never arrived.
	// +kubebuilder:default=Auto
	// +optional
	OnLostReply LostReplyPolicy `json:"onLostReply,omitempty"`
}

// LifetimeSource says where the life of a token is taken from.
//
// +kubebuilder:validation:Enum=Reply;JWT
type LifetimeSource string

// The sources of a token's life.
const (
	// LifetimeFromReply takes expires_in of the reply.
	LifetimeFromReply LifetimeSource = "Reply"
	// LifetimeFromJWT takes exp − iat of an access token that is a JWT, else exp − the reply's Date. The signature is not checked.
	LifetimeFromJWT LifetimeSource = "JWT"
)

// LostReplyPolicy says what to do when a refresh token was sent and its reply never arrived. Whatever the policy, a refresh token
// is presented at most twice, ever.
//
// +kubebuilder:validation:Enum=Auto;Retry;Reauthenticate;Stop
type LostReplyPolicy string

// The policies for a lost reply.
const (
	// LostReplyAuto logs in anew where the login allows it; else presents the token once more, late; else asks a person.
	LostReplyAuto LostReplyPolicy = "Auto"
	// LostReplyRetry presents the token once more, at once: for servers with a grace window.
	LostReplyRetry LostReplyPolicy = "Retry"
	// LostReplyReauthenticate never presents the token again; it logs in anew where the login allows it, else asks a person.
	LostReplyReauthenticate LostReplyPolicy = "Reauthenticate"
	// LostReplyStop asks a person.
	LostReplyStop LostReplyPolicy = "Stop"
)

// AllowedNamespaces are namespaces, by name and by label.
type AllowedNamespaces struct {
	// names of namespaces.
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +listType=set
	// +optional
	Names []string `json:"names,omitempty"`
	// selector selects namespaces by their labels; an empty one, {}, selects all. Whoever may label a namespace can add it. It needs the
	// operator's permission to read namespaces: without it, as where it is installed for some namespaces only, the condition
	// SelectorIgnored says so, and names work.
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn', 'Exists', 'DoesNotExist'])",message="an operator is In, NotIn, Exists or DoesNotExist"
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, (e.operator in ['In', 'NotIn']) == (has(e.values) && size(e.values) > 0))",message="In and NotIn need values, and Exists and DoesNotExist take none"
	// +kubebuilder:validation:XValidation:rule="!has(self.matchLabels) || self.matchLabels.all(k, !format.qualifiedName().validate(k).hasValue() && size(self.matchLabels[k]) <= 63)",message="matchLabels has a key or a value that no label can have"
	// +kubebuilder:validation:XValidation:rule="(!has(self.matchLabels) || size(self.matchLabels) <= 32) && (!has(self.matchExpressions) || size(self.matchExpressions) <= 32 && self.matchExpressions.all(e, !has(e.values) || size(e.values) <= 64))",message="a selector has at most 32 labels and 32 expressions, each with 64 values"
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
	// replyMembers are the members of the API's reply that templates of FluentTokens may use, beside the access token, its type,
	// expiry and scope, and the account: as .Extra members, and RetailerID and Roles. None by default. The credential's own target
	// sees all of them.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:Pattern=`^[\x21\x23-\x5B\x5D-\x7E]+$`
	// +listType=set
	// +optional
	ReplyMembers []string `json:"replyMembers,omitempty"`
}

// LabelValue is the value of a label, as Kubernetes permits it.
//
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:XValidation:rule="!format.labelValue().validate(self).hasValue()",message="a label's value is empty, or has up to 63 letters, digits, dashes, underscores or dots, the first and the last a letter or digit",messageExpression="format.labelValue().validate(self).value()[0]"
type LabelValue string

// TargetSpec is the workload Secret, which pods mount.
//
// +kubebuilder:validation:XValidation:rule="!has(self.type) || self.type != 'kubernetes.io/dockercfg' || has(self.data) && '.dockercfg' in self.data",message="a Secret of type kubernetes.io/dockercfg needs the entry .dockercfg: name it in target.data"
// +kubebuilder:validation:XValidation:rule="!has(self.type) || self.type != 'kubernetes.io/dockerconfigjson' || has(self.data) && '.dockerconfigjson' in self.data",message="a Secret of type kubernetes.io/dockerconfigjson needs the entry .dockerconfigjson: name it in target.data"
// +kubebuilder:validation:XValidation:rule="!has(self.type) || self.type != 'kubernetes.io/basic-auth' || has(self.data) && ('username' in self.data || 'password' in self.data)",message="a Secret of type kubernetes.io/basic-auth needs the entry username or password: name it in target.data"
type TargetSpec struct {
	// name of the workload Secret; the object's own name where it is not set. Renaming publishes the new Secret, then
	// removes the old one.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	// +kubebuilder:validation:XValidation:rule="!self.endsWith('-fluent-state') && !self.endsWith('-fluent-state-2')",message="names that end in -fluent-state or -fluent-state-2 are kept for the operator's state Secrets: choose another name"
	// +kubebuilder:validation:XValidation:rule="self != 'fluent-credential-operator-journal-key'",message="this name is kept for the key of the operator's journal: choose another name"
	// +optional
	Name string `json:"name,omitempty"`
	// type of the workload Secret: Opaque, kubernetes.io/basic-auth, kubernetes.io/dockercfg or kubernetes.io/dockerconfigjson. It cannot
	// change once the Secret exists (Kubernetes forbids it).
	// +kubebuilder:default=Opaque
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self in ['', 'Opaque', 'kubernetes.io/basic-auth', 'kubernetes.io/dockercfg', 'kubernetes.io/dockerconfigjson']",message="a target Secret has the type Opaque, kubernetes.io/basic-auth, kubernetes.io/dockercfg or kubernetes.io/dockerconfigjson: Kubernetes or a controller acts on others"
	// +optional
	Type string `json:"type,omitempty"`
	// labels to put on the workload Secret, but those that begin with auth.fluent-credential.dev/: they are the operator's own. A label
	// with the prefix of another domain than app.kubernetes.io needs that domain in the operator's flag --allowed-target-metadata; without
	// it, the Secret is published without the label, and the condition MetadataIgnored says so.
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, !format.qualifiedName().validate(k).hasValue())",message="a label's key has up to 63 letters, digits, dashes, underscores or dots, behind an optional DNS prefix and a slash",messageExpression="'invalid key ' + self.filter(k, format.qualifiedName().validate(k).hasValue())[0] + ': ' + format.qualifiedName().validate(self.filter(k, format.qualifiedName().validate(k).hasValue())[0]).value()[0]"
	// +optional
	Labels map[string]LabelValue `json:"labels,omitempty"`
	// annotations to put on the workload Secret, but those that begin with auth.fluent-credential.dev/: they are the operator's own. The
	// domains are restricted as those of labels are.
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, !format.qualifiedName().validate(k.lowerAscii()).hasValue())",message="an annotation's key has up to 63 letters, digits, dashes, underscores or dots, behind an optional DNS prefix and a slash",messageExpression="'invalid key ' + self.filter(k, format.qualifiedName().validate(k.lowerAscii()).hasValue())[0] + ': ' + format.qualifiedName().validate(self.filter(k, format.qualifiedName().validate(k.lowerAscii()).hasValue())[0].lowerAscii()).value()[0]"
	// +kubebuilder:validation:XValidation:rule="self.map(k, size(k) + size(self[k])).sum() <= 65536",message="annotations have at most 65536 characters in all, with their keys"
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
	// data maps a key of the workload Secret to a Go template and replaces the default keys. Values: .AccessToken .TokenType
	// .Authorization .ExpiresAt .Scope .Account .RetailerID .Roles .Extra; functions: b64enc, toJson.
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 253 && k.matches('^[-._a-zA-Z0-9]+$') && k != '.' && !k.startsWith('..'))",message="a key of a Secret has 1 to 253 letters, digits, dashes, underscores or dots, and must not be '.' or start with '..'",messageExpression="'invalid key ' + self.filter(k, !(size(k) <= 253 && k.matches('^[-._a-zA-Z0-9]+$') && k != '.' && !k.startsWith('..')))[0] + ': a valid config key must consist of 1 to 253 alphanumeric characters, \\'-\\', \\'_\\' or \\'.\\', and must not be \\'.\\' or start with \\'..\\''"
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(self[k]) <= 16384)",message="an entry has at most 16384 characters",messageExpression="'entry ' + self.filter(k, size(self[k]) > 16384)[0] + ' has more than 16384 characters'"
	// +kubebuilder:validation:XValidation:rule="self.map(k, size(k) + size(self[k])).sum() <= 65536",message="the entries have at most 65536 characters in all, with their keys"
	// +optional
	Data map[string]string `json:"data,omitempty"`
	// deletionPolicy says what becomes of the workload Secret when the object goes; of a FluentToken also when its FluentCredential
	// goes, or permits it no more.
	// +kubebuilder:default=Delete
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
}

// DeletionPolicy says what becomes of the workload Secret when the object goes that it was written for.
//
// +kubebuilder:validation:Enum=Delete;Retain
type DeletionPolicy string

// The deletion policies.
const (
	// DeletionDelete removes the workload Secret.
	DeletionDelete DeletionPolicy = "Delete"
	// DeletionRetain leaves the workload Secret, owned by nobody; its token expires in its own time.
	DeletionRetain DeletionPolicy = "Retain"
)

// TargetName is the name of the workload Secret.
func (c *FluentCredential) TargetName() string {
	if c.Spec.Target.Name != "" {
		return c.Spec.Target.Name
	}
	return c.Name
}

// Rotate is the value of the rotate annotation; empty means that nobody asks.
func (c *FluentCredential) Rotate() string { return c.Annotations[RotateAnnotation] }
