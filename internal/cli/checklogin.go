package cli

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/binding"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// checkLogin looks whether the credentials Secret holds what a grant needs. It tells the names of entries, never their values.
func (i *inspection) checkLogin(ctx context.Context, api provider.API) {
	secret, ok := i.findLogin(ctx)
	if !ok {
		return
	}
	if why := binding.Oversized(secret, i.cred.Spec.CredentialsSecretRef.Keys); why != "" {
		i.fail("Put the right value into the entry.", "%s", why)
		return
	}
	if why := binding.Refused(secret); why != "" {
		i.checkReference(why)
		return
	}
	reference := i.cred.Spec.CredentialsSecretRef
	login := binding.LoginOf(secret, reference.Keys)
	login.Scope = i.cred.Spec.Scope
	i.checkOddities(secret)
	i.checkEntries(api, login)
	i.checkShared(ctx, api, login)
}

func (i *inspection) findLogin(ctx context.Context) (*corev1.Secret, bool) {
	if i.supplied != nil {
		return i.supplied, true
	}
	name := i.cred.Spec.CredentialsSecretRef.Name
	var secret corev1.Secret
	err := i.cluster.Get(ctx, key{Namespace: i.cred.Namespace, Name: name}, &secret)
	switch {
	case apierrors.IsNotFound(err):
		i.fail(adviceFor(v1alpha1.ReasonCredentialsNotFound, i.cred), "Secret %s does not exist", name)
	case err != nil:
		i.skip("Secret %s cannot be read: %s", name, err)
	}
	return &secret, err == nil
}

func (i *inspection) checkEntries(api provider.API, login token.Login) {
	keys, name := i.cred.Spec.CredentialsSecretRef.Keys, i.cred.Spec.CredentialsSecretRef.Name
	ways := grants(api, login)
	switch {
	case login.ClientID == "":
		i.fail("Add it to the Secret.", "Secret %s has no %s, or an empty one", name, binding.KeyName(keys, v1alpha1.ClientIDKey))
	case len(ways) == 0 && i.cred.Status.Token != nil:
		i.warn("If the chain breaks, a person has to log in: kubectl fluent login "+i.cred.Name,
			"Secret %s has no way to a first token; the operator lives on the refresh token that it holds", name)
	case len(ways) == 0:
		i.fail("Put username and password, or a refresh_token, into it, or: kubectl fluent login "+i.cred.Name,
			"Secret %s has nothing that the API %s takes for a first token", name, api.Name())
	default:
		i.ok("Secret %s allows: %s", name, joined(ways))
	}
}

func joined(ways []token.Grant) string {
	var names []string
	for _, way := range ways {
		names = append(names, string(way))
	}
	return strings.Join(names, ", ")
}

// checkOddities finds what an editor or a shell left in a value, which is sent unchanged.
func (i *inspection) checkOddities(secret *corev1.Secret) {
	for _, odd := range binding.Oddities(secret, i.cred.Spec.CredentialsSecretRef.Keys) {
		what := fmt.Sprintf("entry %s of Secret %s %s", odd.Entry, secret.Name, odd.What)
		if odd.Sure {
			i.fail("Write the value again, in UTF-8 without a byte order mark.", "%s", what)
			continue
		}
		i.warn("Remove it, unless it is meant: it is sent as it is.", "%s", what)
	}
}

// checkShared finds another FluentCredential of the namespace that logs in with the same user, client and scope: the two would take
// the refresh token from each other.
func (i *inspection) checkShared(ctx context.Context, api provider.API, login token.Login) {
	var others v1alpha1.FluentCredentialList
	if err := i.cluster.List(ctx, &others, client.InNamespace(i.cred.Namespace)); err != nil || login.Username == "" {
		return
	}
	for n := range others.Items {
		other := &others.Items[n]
		if other.Name == i.cred.Name || other.Spec.Scope != i.cred.Spec.Scope ||
			other.Spec.CredentialsSecretRef.Name != i.cred.Spec.CredentialsSecretRef.Name {
			continue
		}
		if theirs, err := binding.APIOf(other.Spec.Provider); err == nil && theirs.Endpoint().String() == api.Endpoint().String() {
			i.fail(advice[v1alpha1.ReasonLoginInUse], "FluentCredential %s has the same login, endpoint and scope", other.Name)
		}
	}
}
