package v1alpha1

// Condition types of a FluentCredential, and of a FluentToken: of these it has all but Renewable and
// SelectorIgnored. Together they follow kstatus: Stalled means Failed, Reconciling means InProgress, Ready
// alone means Current.
const (
	// ConditionReady is True while workloads have a token that is valid now.
	ConditionReady = "Ready"
	// ConditionRenewable is True while the next refresh is expected to work without a person. Ready=True with Renewable=False is
	// the early warning to alert on.
	ConditionRenewable = "Renewable"
	// ConditionStalled is present, and True, while a person can help: nothing is tried until then, or a refusal has outlived three probes.
	ConditionStalled = "Stalled"
	// ConditionReconciling is present, and True, only while work is under way or being retried.
	ConditionReconciling = "Reconciling"
	// ConditionSelectorIgnored is present, and True, only while a FluentCredential selects namespaces by labels that this operator may
	// not read.
	ConditionSelectorIgnored = "SelectorIgnored"
	// ConditionMetadataIgnored is present, and True, only while spec.target has labels or annotations of a domain that the operator's flag
	// --allowed-target-metadata does not name. The token is published without them.
	ConditionMetadataIgnored = "MetadataIgnored"
)

// Reasons of conditions. The set is closed: every reason the operator ever writes is here.
const (
	// ReasonTokenPublished surfaces when the workload Secret holds a token that is valid now.
	ReasonTokenPublished = "TokenPublished"
	// ReasonProgressing surfaces when the first token is about to be obtained or published.
	ReasonProgressing = "Progressing"
	// ReasonTokenExpired surfaces when the published token has expired and no newer one could be obtained.
	ReasonTokenExpired = "TokenExpired"
	// ReasonCredentialsNotFound surfaces when the credentials Secret does not exist.
	ReasonCredentialsNotFound = "CredentialsNotFound"
	// ReasonCredentialsIncomplete surfaces when the credentials Secret lacks an entry that a grant needs, or has an empty one.
	ReasonCredentialsIncomplete = "CredentialsIncomplete"
	// ReasonReferenceNotAllowed surfaces when a reference names a Secret that no credentials are read from: one of the
	// operator's own, or one with the token of a service account.
	ReasonReferenceNotAllowed = "ReferenceNotAllowed"
	// ReasonCredentialsRejected surfaces when the API refused the login or the client, or the refresh token for a reason that is not
	// known; it is tried again when the credentials or the spec change.
	ReasonCredentialsRejected = "CredentialsRejected"
	// ReasonLoginLocked surfaces when the API keeps refusing a login that is known to have worked.
	ReasonLoginLocked = "LoginLocked"
	// ReasonLoginInUse surfaces when another FluentCredential logs in with the same endpoint, user name or seed, client and scope.
	ReasonLoginInUse = "LoginInUse"
	// ReasonProviderUnavailable surfaces when the API cannot be reached or answers with a failure of its own.
	ReasonProviderUnavailable = "ProviderUnavailable"
	// ReasonRateLimited surfaces when the API asks to come back later, or when the turn at its host has not come (--host-rate, or the
	// rate that the API documents).
	ReasonRateLimited = "RateLimited"
	// ReasonRefreshTokenRejected surfaces when the API refused the refresh token and another way to a token is being tried.
	ReasonRefreshTokenRejected = "RefreshTokenRejected"
	// ReasonReplyLost surfaces when a refresh token was sent and its reply never arrived.
	ReasonReplyLost = "ReplyLost"
	// ReasonReauthorizationRequired surfaces when no stored token and no login is left that could obtain a new one.
	ReasonReauthorizationRequired = "ReauthorizationRequired"
	// ReasonTargetConflict surfaces when the target is a Secret that belongs to somebody else, the credentials Secret itself, or one of
	// those names that are kept for state Secrets.
	ReasonTargetConflict = "TargetConflict"
	// ReasonTemplateInvalid surfaces when an entry of target.data is not a valid template, or cannot be rendered with the token.
	ReasonTemplateInvalid = "TemplateInvalid"
	// ReasonEndpointNotAllowed surfaces when the endpoint's scheme, host or address is not permitted to this operator.
	ReasonEndpointNotAllowed = "EndpointNotAllowed"
	// ReasonInvalidReply surfaces when the API's reply cannot be understood.
	ReasonInvalidReply = "InvalidReply"
	// ReasonPublishFailed surfaces when the Kubernetes API refuses the target Secret, or does not let one go.
	ReasonPublishFailed = "PublishFailed"
	// ReasonStateUnwritable surfaces when the Kubernetes API does not take the state Secret or the login guard, so nothing is spent, or a
	// reply is held until it can be stored; and when it does not show the operator a Secret that it has to read.
	ReasonStateUnwritable = "StateUnwritable"
	// ReasonJournalUnwritable surfaces when a reply could not be written to the journal, so nothing is spent.
	ReasonJournalUnwritable = "JournalUnwritable"
	// ReasonStateInvalid surfaces when the state Secret was edited by somebody else and no login is left to start anew.
	ReasonStateInvalid = "StateInvalid"
	// ReasonRenewalExpected surfaces on Renewable while the next refresh is expected to work.
	ReasonRenewalExpected = "RenewalExpected"
	// ReasonNotAllowed surfaces on a FluentToken whose FluentCredential does not exist, or does not allow its namespace: which of the two
	// is not told.
	ReasonNotAllowed = "NotAllowed"
	// ReasonCredentialNotReady surfaces on a FluentToken while its FluentCredential has no access token that is valid now.
	ReasonCredentialNotReady = "CredentialNotReady"
	// ReasonNamespacesUnreadable surfaces on a FluentCredential with a selector for namespaces whose labels this operator may not read.
	ReasonNamespacesUnreadable = "NamespacesUnreadable"
	// ReasonMetadataNotAllowed surfaces on MetadataIgnored when spec.target has labels or annotations of a domain that the operator's flag
	// --allowed-target-metadata does not name.
	ReasonMetadataNotAllowed = "MetadataNotAllowed"
	// ReasonSuspended surfaces when spec.suspend is true.
	ReasonSuspended = "Suspended"
)
