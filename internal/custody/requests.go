package custody

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/kubeerror"
	"github.com/fluent-credential/operator/internal/token"
)

// RequestTimeout bounds each request to the Kubernetes API: a request that is accepted and never answered must not hold
// a worker.
const RequestTimeout = 10 * time.Second

func (s *Store) get(ctx context.Context, owner Owner, name string, into client.Object) error {
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	return s.Reader.Get(ctx, types.NamespacedName{Namespace: owner.Namespace, Name: name}, into)
}

func (s *Store) sendCreate(ctx context.Context, secret *corev1.Secret, state State) error {
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	return writeError(kubeerror.Create, secret, s.Writer.Create(ctx, secret), state.secrets()...)
}

func (s *Store) sendUpdate(ctx context.Context, secret *corev1.Secret, state State) error {
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	return writeError(kubeerror.Update, secret, s.Writer.Update(ctx, secret), state.secrets()...)
}

func (s *Store) sendDelete(ctx context.Context, secret *corev1.Secret, preconditions client.Preconditions) error {
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	return writeError(kubeerror.Delete, secret, s.Writer.Delete(ctx, secret, preconditions))
}

// sendPatch reports no conflict of its own: a patch only removes the operator's finalizer, and the next read finds an
// earlier writer.
func (s *Store) sendPatch(ctx context.Context, secret *corev1.Secret, patch client.Patch) error {
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	if err := client.IgnoreNotFound(s.Writer.Patch(ctx, secret, patch)); err != nil {
		return refusedWrite(kubeerror.Patch, secret, err)
	}
	return nil
}

// writeError makes an error fit for a log. It returns ErrConflict for answers that mean that another writer was first.
func writeError(verb kubeerror.Verb, secret *corev1.Secret, err error, holds ...token.Secret) error {
	if err == nil {
		return nil
	}
	refused := refusedWrite(verb, secret, err, holds...)
	switch kubeerror.Judge(err, verb, kubeerror.NotRead).Outcome {
	case kubeerror.Stored: // it was already deleted
		return nil
	case kubeerror.Gone:
		if kubeerror.IsTerminating(err) {
			return refused
		}
		return fmt.Errorf("%w: %w", ErrConflict, refused)
	case kubeerror.Conflict:
		return fmt.Errorf("%w: %w", ErrConflict, refused)
	case kubeerror.NotStored, kubeerror.Unknown:
	}
	return refused
}

func refusedWrite(verb kubeerror.Verb, secret *corev1.Secret, err error, holds ...token.Secret) error {
	return &kubeerror.WriteError{
		Object: "state Secret " + secret.Name, Subject: failure.StateSecret, Verb: verb, Err: err, Secrets: holds,
	}
}

// secrets returns the tokens in the state, which an admission message may repeat.
func (s State) secrets() []token.Secret {
	var all []token.Secret
	if s.Token != nil {
		all = append(all, s.Token.Access)
	}
	if s.Chain != nil {
		all = append(all, s.Chain.Refresh)
	}
	return all
}
