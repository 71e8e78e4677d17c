package v1alpha1

// Every label, annotation, finalizer and type that the world may depend on.
const (
	// ManagedByLabel is on every object the operator writes; its value is OperatorName.
	ManagedByLabel = "app.kubernetes.io/managed-by"
	// OperatorName is the name of the operator wherever Kubernetes asks for one: field manager, event source, label value.
	OperatorName = "fluent-credential-operator"
	// CredentialLabel is on the Secrets the operator writes for a FluentCredential; its value is that object's UID.
	CredentialLabel = "auth.fluent-credential.dev/credential-uid"

	// CredentialAnnotation is on the Secrets the operator writes for a FluentCredential; its value is that object's name.
	CredentialAnnotation = "auth.fluent-credential.dev/credential"
	// TokenLabel is on the Secrets the operator writes for a FluentToken; its value is that object's UID.
	TokenLabel = "auth.fluent-credential.dev/token-uid"
	// TokenAnnotation is on the Secrets the operator writes for a FluentToken; its value is that object's name.
	TokenAnnotation = "auth.fluent-credential.dev/token"
	// SourceAnnotation is on the Secrets the operator writes for a FluentToken; its value is the UID of the FluentCredential whose
	// token is in it.
	SourceAnnotation = "auth.fluent-credential.dev/source-uid"
	// LateReplyAnnotation is on a state Secret that took in a reply after its claim had been given up. Its value names the claim.
	LateReplyAnnotation = "auth.fluent-credential.dev/late-reply"
	// RotateAnnotation on a FluentCredential asks for a new token whenever its value changes. It goes past a back-off, never past a
	// refused login.
	RotateAnnotation = "auth.fluent-credential.dev/rotate"
	// SerialAnnotation is on the workload Secret; its value is the serial of the token in it, in decimal.
	SerialAnnotation = "auth.fluent-credential.dev/serial"
	// NudgeAnnotation is put on a pod that mounts a workload Secret, so that the kubelet looks at the pod's volumes at once. Its value
	// names the Secret, the serial of the token in it, and the touch: each one differs from the one before.
	NudgeAnnotation = "auth.fluent-credential.dev/nudged-for"
	// RestartAnnotation is put on the pod template of a workload that spec.delivery.restart names. Its value is the workload Secret
	// and the serial that the last restart was for.
	RestartAnnotation = "auth.fluent-credential.dev/restarted-for"

	// ReleaseFinalizer is on a FluentCredential from before its first exchange, and on a FluentToken from before its first
	// publication, until its Secrets are gone or let go.
	ReleaseFinalizer = "auth.fluent-credential.dev/release"
	// StateFinalizer is on a state Secret, so that deleting it cannot lose the refresh token.
	StateFinalizer = "auth.fluent-credential.dev/state"

	// StateSecretType is the type of the Secret that holds the refresh token, the access token and the claim.
	StateSecretType = "auth.fluent-credential.dev/state"
	// GuardSecretType is the type of the Secrets in the operator's namespace that count the attempts of a login. Nobody waits for their
	// changes, so the operator does not watch them.
	GuardSecretType = "auth.fluent-credential.dev/login-guard"

	// GuardOwnerLabel is on a login guard; its value is the UID of the FluentCredential that was the first to come with that login.
	GuardOwnerLabel = "auth.fluent-credential.dev/begun-by"

	// JournalKeySecret is the Secret in the operator's namespace that holds the journal's key, so that every replica can read what
	// another one wrote. Without it a journal is lost: it belongs into a backup.
	JournalKeySecret = "fluent-credential-operator-journal-key"
	// LeaderLease is the lease in the operator's namespace that the leading replica holds.
	LeaderLease = "fluent-credential-operator.auth.fluent-credential.dev"
)

// Keys of the workload Secret where target.data is not set.
const (
	AccessTokenKey   = "access_token"
	TokenTypeKey     = "token_type"
	AuthorizationKey = "authorization"
	ExpiresAtKey     = "expires_at"
)

// Names of the entries of a credentials Secret; credentialsSecretRef.keys renames them.
const (
	UsernameKey     = "username"
	PasswordKey     = "password"
	ClientIDKey     = "client_id"
	ClientSecretKey = "client_secret"
	RefreshTokenKey = "refresh_token"
	CodeKey         = "code"
	RedirectURIKey  = "redirect_uri"
)

// The endings of the names of state Secrets, the usual one first.
const (
	StateSuffix          = "-fluent-state"
	AlternateStateSuffix = "-fluent-state-2"
)
