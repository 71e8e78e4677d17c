package cli

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/binding"
	"github.com/fluent-credential/operator/internal/token"
)

func (t *attempt) keyName(key string) string {
	return binding.KeyName(t.cred.Spec.CredentialsSecretRef.Keys, key)
}

// readSecret reads the credentials Secret; one that does not exist is made at the end.
func (t *attempt) readSecret(ctx context.Context) error {
	reference := t.cred.Spec.CredentialsSecretRef
	t.secret = &corev1.Secret{}
	err := t.cluster.Get(ctx, types.NamespacedName{Namespace: t.cred.Namespace, Name: reference.Name}, t.secret)
	if apierrors.IsNotFound(err) {
		if problems := binding.ReferenceProblems(reference); len(problems) > 0 {
			return failWith(exitFailed, "spec.credentialsSecretRef.%s", problems[0])
		}
		t.secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: t.cred.Namespace, Name: reference.Name}}
		err = nil
	}
	if why := binding.Refused(t.secret); why != "" {
		return failWith(exitFailed, "%s\n%s", why, adviceFor(v1alpha1.ReasonReferenceNotAllowed, t.cred))
	}
	t.login = binding.LoginOf(t.secret, reference.Keys)
	t.login.Scope = t.cred.Spec.Scope
	return err
}

// rehearse writes the Secret without writing it: whoever may not store the refresh token should not obtain one.
func (t *attempt) rehearse(ctx context.Context) error {
	if t.secret.Immutable != nil && *t.secret.Immutable {
		return failWith(exitFailed, "Secret %s is immutable: delete it, or name another in spec.credentialsSecretRef", t.secret.Name)
	}
	switch t.secret.Type {
	case "", corev1.SecretTypeOpaque, corev1.SecretTypeBasicAuth:
	default:
		return failWith(exitFailed, "Secret %s has the type %s, which is not for credentials of an API: nothing is stored in it. "+
			"Name another in spec.credentialsSecretRef", t.secret.Name, t.secret.Type)
	}
	trial := t.secret.DeepCopy()
	before := trial.DeepCopy()
	login := t.login
	login.Refresh = token.NewSecret("a trial that is not stored")
	t.seed(trial, login, false)
	return t.write(ctx, trial, before, client.DryRunAll)
}

// seed puts the refresh token and its client into the Secret.
func (t *attempt) seed(secret *corev1.Secret, login token.Login, removePassword bool) {
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	for name, value := range binding.Seeded(login, t.cred.Spec.CredentialsSecretRef.Keys) {
		secret.Data[name] = value
	}
	if removePassword {
		delete(secret.Data, t.keyName(v1alpha1.PasswordKey))
	}
}

// overwritten returns the entries that are there, that spec.credentialsSecretRef.keys names, and that storing the refresh
// token changes. The author of the spec may not be the owner of the Secret.
func (t *attempt) overwritten(removePassword bool) []string {
	entries := []string{v1alpha1.RefreshTokenKey}
	if removePassword {
		entries = append(entries, v1alpha1.PasswordKey)
	}
	var found []string
	for _, entry := range entries {
		if name := t.keyName(entry); name != entry && len(t.secret.Data[name]) > 0 {
			found = append(found, name)
		}
	}
	return found
}

// write creates the Secret, or changes what differs and leaves alone what somebody else changes meanwhile.
func (t *attempt) write(ctx context.Context, secret, before *corev1.Secret, options ...dryRun) error {
	owner := client.FieldOwner(fieldManager)
	if secret.ResourceVersion == "" {
		create := []client.CreateOption{owner}
		for _, option := range options {
			create = append(create, option)
		}
		return t.cluster.Create(ctx, secret, create...)
	}
	patch := []client.PatchOption{owner}
	for _, option := range options {
		patch = append(patch, option)
	}
	return t.cluster.Patch(ctx, secret, client.MergeFrom(before), patch...)
}

// dryRun is an option of both verbs.
type dryRun interface {
	client.CreateOption
	client.PatchOption
}

// storing is how long the refresh token is tried to be stored before it is given up: half a minute. It exists nowhere else.
var storing = wait.Backoff{Duration: 500 * time.Millisecond, Factor: 2, Steps: 7}

// store keeps at it: a refresh token that is not stored is lost, and a person has to log in again.
func (o *loginOptions) store(ctx context.Context, try *attempt) error {
	var failed error
	ctx = context.WithoutCancel(ctx) // Ctrl-C comes too late to undo the login
	err := wait.ExponentialBackoffWithContext(ctx, storing, func(ctx context.Context) (bool, error) {
		failed = o.storeOnce(ctx, try)
		return failed == nil, nil
	})
	if err != nil {
		return fmt.Errorf("the refresh token could not be stored and is lost; log in again when this is mended: %w", failed)
	}
	o.remind(try)
	return nil
}

func (o *loginOptions) storeOnce(ctx context.Context, try *attempt) error {
	secret := try.secret.DeepCopy()
	before := secret.DeepCopy()
	try.seed(secret, try.login, o.removePassword)
	err := try.write(ctx, secret, before)
	if apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) {
		_ = try.reread(ctx) // somebody made it, or removed it, meanwhile
	}
	return err
}

// reread reads the Secret anew and keeps the login.
func (t *attempt) reread(ctx context.Context) error {
	login := t.login
	err := t.readSecret(ctx)
	t.login = login
	return err
}

// remind tells of a password that is not needed any more.
func (o *loginOptions) remind(try *attempt) {
	if name := try.keyName(v1alpha1.PasswordKey); !o.removePassword && len(try.secret.Data[name]) > 0 {
		o.ErrOut.printf("Secret %s still holds a %s from before; --remove-password takes it out.\n", try.secret.Name, name)
	}
}
