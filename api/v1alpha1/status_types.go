package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// FluentCredentialStatus is what the operator last saw and did. It holds no secret.
type FluentCredentialStatus struct {
	// observedGeneration is the generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions are Ready, Renewable, Stalled and Reconciling.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// summary is the one line that kubectl get prints.
	// +optional
	Summary *StatusSummary `json:"summary,omitempty"`
	// token is the newest token.
	// +optional
	Token *TokenStatus `json:"token,omitempty"`
	// nextRefreshTime is when the token is due for a refresh.
	// +optional
	NextRefreshTime *metav1.Time `json:"nextRefreshTime,omitempty"`
	// targetName is the name of the workload Secret that holds the token.
	// +optional
	TargetName string `json:"targetName,omitempty"`
	// identity is whose token it is, where the API tells.
	// +optional
	Identity *Identity `json:"identity,omitempty"`
	// failures are the failed exchanges since the last one that succeeded.
	// +optional
	Failures *FailureStatus `json:"failures,omitempty"`
	// consumers counts the FluentTokens that publish this credential's token in other namespaces; none where spec.allowedNamespaces is
	// not set. It is brought up to date with every new token, and some seconds after a FluentToken came, went or failed.
	// +optional
	Consumers *ConsumersStatus `json:"consumers,omitempty"`
	// history are the last exchanges with the authentication API, the newest first. It is kept here only: who loses the status loses
	// it too, and nothing else.
	// +kubebuilder:validation:MaxItems=10
	// +listType=atomic
	// +optional
	History []ExchangeStatus `json:"history,omitempty"`
	// lastHandledRotateAt is the value of the rotate annotation that was last acted on. A value that is longer than 256 bytes
	// or not printable is shown as sha256: and its hash.
	// +optional
	LastHandledRotateAt string `json:"lastHandledRotateAt,omitempty"`
}

// StatusSummary is the one line that kubectl get prints.
type StatusSummary struct {
	// reason of the Ready condition, or of Renewable where that is False.
	// +optional
	Reason string `json:"reason,omitempty"`
	// message that belongs to the reason.
	// +optional
	Message string `json:"message,omitempty"`
	// provider is the authentication API: fluent, commerceLayer, nordea or oauth2.
	// +optional
	Provider string `json:"provider,omitempty"`
}

// TokenStatus describes a token without telling it.
type TokenStatus struct {
	// serial grows by one with every token stored; it never goes back.
	Serial int64 `json:"serial"`
	// grant by which the token was obtained: password, refresh_token, client_credentials or authorization_code.
	Grant string `json:"grant"`
	// type of the token, for example Bearer.
	// +optional
	Type string `json:"type,omitempty"`
	// scope of the token, where the API tells.
	// +optional
	Scope string `json:"scope,omitempty"`
	// obtainedTime is the moment before the request was sent.
	ObtainedTime metav1.Time `json:"obtainedTime"`
	// expirationTime is when the token expires, counted from obtainedTime.
	ExpirationTime metav1.Time `json:"expirationTime"`
}

// Identity is whose token it is, as the API's reply says.
type Identity struct {
	// account is the account id, as the spec has it.
	// +optional
	Account string `json:"account,omitempty"`
	// retailerID is the retailer's id (Fluent Commerce: Retailer_id).
	// +optional
	RetailerID string `json:"retailerID,omitempty"`
	// roles of the user.
	// +optional
	Roles []string `json:"roles,omitempty"`
	// firstName of the user.
	// +optional
	FirstName string `json:"firstName,omitempty"`
	// lastName of the user.
	// +optional
	LastName string `json:"lastName,omitempty"`
	// ownerID is the owner's id (Commerce Layer: owner_id).
	// +optional
	OwnerID string `json:"ownerID,omitempty"`
	// ownerType is the kind of the owner (Commerce Layer: owner_type).
	// +optional
	OwnerType string `json:"ownerType,omitempty"`
}

// ConsumersStatus counts FluentTokens. Which they are is not told: not everybody who may look at the FluentCredential may look into
// their namespaces.
type ConsumersStatus struct {
	// total is the number of FluentTokens that refer to this FluentCredential from a namespace that it allows.
	Total int32 `json:"total"`
	// current is the number of those whose workload Secret holds the newest token.
	Current int32 `json:"current"`
}

// FailureStatus counts failed exchanges since the last one that succeeded.
type FailureStatus struct {
	// count of failed exchanges.
	Count int32 `json:"count"`
	// lastTime is when the last one failed.
	LastTime metav1.Time `json:"lastTime"`
	// retryTime is when the next one is tried; none where only a change of the credentials or the spec helps.
	// +optional
	RetryTime *metav1.Time `json:"retryTime,omitempty"`
	// class is what the failure waits for. Time: it passes by itself, and the exchange is retried with back-off. Input: the credentials
	// Secret, the spec or a flag of the operator has to change; the change is acted on at once, and the exchange is probed slowly besides.
	// Person: nothing is tried until a person acts.
	// +kubebuilder:validation:Enum=Time;Input;Person
	// +optional
	Class string `json:"class,omitempty"`
}

// ExchangeStatus is one exchange with the authentication API, told without its secrets.
type ExchangeStatus struct {
	// time is the moment before the request was sent; where nothing was sent, or the process that sent it is gone, the moment when
	// that was known.
	Time metav1.Time `json:"time"`
	// grant that was asked for: password, refresh_token, client_credentials or authorization_code.
	Grant string `json:"grant"`
	// verdict on the answer: Granted, Unsent, RefusedIntact, TryLater, RefusedDead, LoginRefused, Declined or Unknown.
	Verdict string `json:"verdict"`
	// serial of the newest token after the exchange; that of its own where the verdict is Granted.
	Serial int64 `json:"serial"`
	// reason of the condition that the exchange led to; none where the verdict is Granted.
	// +optional
	Reason string `json:"reason,omitempty"`
	// duration from before the request was sent to the whole reply read; none where nothing was sent, or nobody measured it.
	// +optional
	Duration *metav1.Duration `json:"duration,omitempty"`
}
