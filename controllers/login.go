package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/binding"
	"github.com/fluent-credential/operator/internal/plan"
	"github.com/fluent-credential/operator/internal/token"
)

// observeLogin reads the credentials Secret, live, and only when the cache shows another version than the one that was read last.
func (r *Reconciler) observeLogin(ctx context.Context, seen *observation) error {
	key := types.NamespacedName{Namespace: seen.cred.Namespace, Name: seen.cred.Spec.CredentialsSecretRef.Name}
	known := &seen.memory.login
	cached, keys := secretMetadata(), seen.cred.Spec.CredentialsSecretRef.Keys
	if err := r.Client.Get(ctx, key, cached); err == nil && known.is(cached, keys) {
		seen.useLogin(known)
		return nil
	}
	var secret corev1.Secret
	if err := r.Live.Get(ctx, key, &secret); apierrors.IsNotFound(err) {
		known.uid, known.resourceVersion = "", ""
		seen.forget(known)
		seen.obstruct(v1alpha1.ReasonCredentialsNotFound, fmt.Sprintf("Secret %s does not exist", key.Name))
		return nil
	} else if err != nil {
		return err
	}
	*known = rememberedRead{
		uid: secret.UID, resourceVersion: secret.ResourceVersion, keys: keys, refused: binding.Refused(&secret),
	}
	known.oversized = binding.Oversized(&secret, keys)
	if known.refused == "" && known.oversized == "" {
		known.login, known.hints = binding.LoginOf(&secret, keys), binding.Hints(&secret, keys)
	}
	seen.useLogin(known)
	return nil
}

// useLogin uses the login that was read. A Secret that no credentials may be read from has no login, so nothing of it
// is ever sent.
func (o *observation) useLogin(known *rememberedRead) {
	if known.refused != "" {
		o.obstruct(v1alpha1.ReasonReferenceNotAllowed, known.refused)
		return
	}
	if known.oversized != "" {
		o.obstruct(v1alpha1.ReasonCredentialsIncomplete, known.oversized)
		return
	}
	o.login, o.hints = known.login, known.hints
	o.login.Scope = o.cred.Spec.Scope
}

// forget goes on without the credentials Secret. When a whole namespace goes, the Secret is often the first: the login that was
// read from it is good for one thing more, to end the life of the refresh token.
func (o *observation) forget(known *rememberedRead) {
	if !o.cred.DeletionTimestamp.IsZero() {
		o.login = known.login
		o.login.Scope = o.cred.Spec.Scope
	}
}

// is tells whether the login was read from this version of the Secret, under these names.
func (k *rememberedRead) is(cached *metav1.PartialObjectMetadata, keys map[string]v1alpha1.SecretKey) bool {
	return cached.UID == k.uid && cached.ResourceVersion == k.resourceVersion && maps.Equal(keys, k.keys)
}

// loginFact tells which grants the login allows with this API.
func (o *observation) loginFact() plan.Login {
	if o.api == nil {
		return plan.Login{}
	}
	seed := o.seed()
	return plan.Login{
		Seed:     o.isUsable(seed),
		Password: o.login.Username != "" && !o.login.Password.IsZero() && o.api.Supports(token.Password),
		Client:   o.isClientAlone() && o.api.Supports(token.ClientCredentials),
	}
}

// isUsable reports whether a seed was not spent, as far as is known.
func (o *observation) isUsable(seed seed) bool {
	return !seed.secret.IsZero() && !o.record.Forgotten && !o.record.Spent(seed.secret) &&
		o.presentedSeed(seed.secret) < maxPresentations
}

// isClientAlone tells whether the login is a client and nobody else: a client's own token in the place of a user's would be a
// token of somebody else.
func (o *observation) isClientAlone() bool {
	known := !o.login.ClientSecret.IsZero() || o.login.ClientID != "" && o.api.ClientActsAlone()
	return known && o.login.Username == "" && o.login.Refresh.IsZero() && o.login.Code.IsZero()
}

// seed is what a person put into the credentials Secret to start a chain with.
type seed struct {
	grant  token.Grant
	secret token.Secret
}

// seed prefers a refresh token; of two seeds the one that was not spent counts.
func (o *observation) seed() seed {
	refresh, code := seed{token.RefreshToken, o.login.Refresh}, seed{token.AuthorizationCode, o.login.Code}
	if o.api == nil || !o.api.Supports(code.grant) {
		return refresh
	}
	if refresh.secret.IsZero() || o.record.Spent(refresh.secret) && !code.secret.IsZero() {
		return code
	}
	return refresh
}

// missing tells what the login lacks; empty where there is, or was, enough to go on with.
func (o *observation) missing() string {
	login := o.loginFact()
	name := o.cred.Spec.CredentialsSecretRef.Name
	switch {
	case o.obstacle.reason != "":
		return ""
	case o.login.ClientID == "":
		return fmt.Sprintf("Secret %s has no %s, or an empty one", name, o.keyName(v1alpha1.ClientIDKey))
	case o.record.Serial > 0, o.record.Chain != nil, login.Seed, login.Renews(), !o.seed().secret.IsZero():
		return ""
	case o.login.Username != "":
		return fmt.Sprintf("Secret %s has no %s, or an empty one", name, o.keyName(v1alpha1.PasswordKey))
	}
	return fmt.Sprintf("Secret %s has neither %s and %s nor a %s", name,
		o.keyName(v1alpha1.UsernameKey), o.keyName(v1alpha1.PasswordKey), o.keyName(v1alpha1.RefreshTokenKey))
}

func (o *observation) keyName(key string) string {
	return binding.KeyName(o.cred.Spec.CredentialsSecretRef.Keys, key)
}

// attempted names everything that an exchange depends on and that a person can change: a failure counts until it changes.
func (o *observation) attempted() string {
	spec, _ := json.Marshal(o.cred.Spec.Provider) // plain data always encodes
	salt, login := o.record.Salt, o.login
	return hashOf(salt, string(spec), login.Username, login.ClientID, login.RedirectURI, login.Scope,
		login.Password.Hash(salt), login.ClientSecret.Hash(salt), login.Refresh.Hash(salt), login.Code.Hash(salt))
}

func hashOf(salt string, parts ...string) string {
	encoded, _ := json.Marshal(parts) // strings always encode, and unlike joined ones cannot run into each other
	return token.NewSecret(string(encoded)).Hash(salt)
}
