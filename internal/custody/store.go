package custody

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// Store reads and writes state Secrets.
type Store struct {
	Reader client.Reader // live, never a cache
	Writer client.Writer
	// Pause waits between two tries to store a result, and says whether to go on; nil: with a timer.
	Pause func(context.Context, time.Duration) bool
}

// Owner is the FluentCredential whose state it is.
type Owner struct {
	Namespace, Name string
	UID             types.UID
	// Reference is the name of the credentials Secret.
	Reference string
}

// Record is a State together with the version of the Secret that it was read from.
type Record struct {
	State
	// Leaving is true when somebody deleted the Secret; only our finalizer holds it.
	Leaving bool
	// Damaged is true when the Secret was edited: its tokens are not to be trusted, and State holds none.
	Damaged bool
	// Forgotten is true when it cannot even be read which seeds were spent.
	Forgotten bool

	secret *corev1.Secret // nil: there is none yet
}

// Exists tells whether there is a state Secret at all.
func (r *Record) Exists() bool { return r.secret != nil }

// IsFrozen reports whether the Secret was made immutable, which cannot be undone: it holds the truth until it is
// copied.
func (r *Record) IsFrozen() bool { return r.isImmutable() && !r.Damaged }

func (r *Record) isImmutable() bool {
	return r.secret != nil && r.secret.Immutable != nil && *r.secret.Immutable
}

// HasToMove reports whether the state has to be moved to its other name.
func (r *Record) HasToMove() bool { return r.Leaving || r.IsFrozen() }

// ErrConflict is returned by Put when somebody else wrote first. Nothing was changed.
var ErrConflict = errors.New("the state was changed by another process")

// ErrForeign is returned by Open when the state Secret's name is taken by a Secret that is none.
var ErrForeign = errors.New("a Secret that is not the operator's has the name of the state Secret")

// ErrNoPlace is returned by a write that would move the state to its other name, if a Secret that is none has that name.
var ErrNoPlace = errors.New("a Secret that is not the operator's has the other name of the state Secret")

// Open reads the state live. A FluentCredential that has none gets an empty one, which the first Put creates. It returns ErrGone
// where the state is another's, and the FluentCredential is no more.
func (s *Store) Open(ctx context.Context, owner Owner) (*Record, error) {
	for _, name := range Names(owner.Name) {
		record, err := s.read(ctx, owner, name)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("state Secret %s: %w", name, err)
		}
		return s.follow(ctx, owner, record)
	}
	return &Record{State: State{Salt: newSalt()}}, nil
}

func (s *Store) read(ctx context.Context, owner Owner, name string) (*Record, error) {
	var secret corev1.Secret
	if err := s.get(ctx, owner, name, &secret); err != nil {
		return nil, err
	}
	if secret.Type != v1alpha1.StateSecretType {
		return nil, ErrForeign
	}
	state, err := decode(secret.Data)
	if err != nil && !errors.Is(err, errDamaged) {
		return nil, err
	}
	state = state.within(owner)
	secret.Data = nil // every write replaces it, and a result that is held keeps the record
	record := &Record{State: state, secret: &secret, Damaged: err != nil, Leaving: !secret.DeletionTimestamp.IsZero()}
	if record.Salt == "" {
		record.Salt, record.Forgotten = newSalt(), true
	}
	if ownedBy(&secret, owner.UID) {
		return record, nil
	}
	succeeded, err := s.isSucceeded(ctx, owner)
	switch {
	case err != nil:
		return nil, err
	case succeeded:
		return nil, ErrGone // it is another's: the cache that shows this owner is behind
	}
	if record.Reference != "" && record.Reference != owner.Reference {
		record.State = record.disinherited()
	}
	record.State = record.Doubted() // of a former object of the same name, out of a backup
	return record, nil
}

// Newest looks under the other name too, and returns the record with the higher serial. It is for a state that others show to be
// an old one: a backup of the first name can lie over a truth that had moved to the second. If the older one is being
// deleted, Newest removes the operator's finalizer from it.
func (s *Store) Newest(ctx context.Context, owner Owner, found *Record) (*Record, error) {
	if found.secret == nil {
		return found, nil
	}
	other, err := s.read(ctx, owner, otherName(owner.Name, found.secret.Name))
	if apierrors.IsNotFound(err) || errors.Is(err, ErrForeign) {
		return found, nil
	}
	if err != nil {
		return nil, err
	}
	if other.Damaged || other.Serial <= found.Serial {
		return found, nil
	}
	if found.Leaving { // nothing else removes the finalizer
		return other, s.letGo(ctx, found.secret)
	}
	return other, nil
}

// Put writes the next state over the one that was read: a compare-and-swap. It returns ErrConflict when somebody else wrote
// first; any other error may mean that the write happened. An immutable Secret is replaced by one under the other name:
// creating that is the compare-and-swap then.
func (s *Store) Put(ctx context.Context, owner Owner, from *Record, next State) (*Record, error) {
	next = next.of(owner).bounded()
	if from.secret == nil {
		return s.createFirst(ctx, owner, next)
	}
	if from.MovedTo != "" {
		return s.copy(ctx, owner, from, next)
	}
	next.Unconfirmed = false
	if from.isImmutable() {
		return s.replace(ctx, owner, from, next)
	}
	secret := from.secret.DeepCopy()
	data, err := encode(next)
	if err != nil {
		return nil, err
	}
	secret.Data = data
	isShed := shed(secret)
	if !isShed {
		secret.ManagedFields = nil // of an update without them, the API server keeps those that are there
	}
	dress(secret, owner)
	if next.isLate(from.State) {
		secret.Annotations[v1alpha1.LateReplyAnnotation] = next.LastClaim
	}
	if err := s.sendUpdate(ctx, secret, next); err != nil {
		return nil, err
	}
	secret.Data = nil
	return &Record{State: next, secret: secret, Leaving: from.Leaving}, nil
}

// createFirst looks once more: between the reads of the two names, a relocation may have moved the state from the one to the other,
// and the owner that a cache still shows may have been released.
func (s *Store) createFirst(ctx context.Context, owner Owner, state State) (*Record, error) {
	found, err := s.Open(ctx, owner)
	if err != nil {
		return nil, err
	}
	if found.secret != nil {
		return nil, ErrConflict
	}
	gone, err := s.isOwnerGone(ctx, owner)
	switch {
	case err != nil:
		return nil, err
	case gone:
		return nil, ErrGone
	}
	state.Unconfirmed = true
	made, err := s.create(ctx, owner, Names(owner.Name)[0], state)
	if err != nil {
		return nil, err
	}
	if found, err = s.Open(ctx, owner); err != nil {
		return nil, err
	}
	if found.secret == nil || found.secret.Name != made.secret.Name {
		return nil, ErrConflict // it had moved on to the other name before this one was made
	}
	return s.Put(ctx, owner, made, state)
}

func (s *Store) create(ctx context.Context, owner Owner, name string, state State) (*Record, error) {
	state = state.of(owner)
	data, err := encode(state)
	if err != nil {
		return nil, err
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: owner.Namespace, Name: name},
		Type:       v1alpha1.StateSecretType,
		Data:       data,
	}
	dress(secret, owner)
	if err := s.sendCreate(ctx, secret, state); err != nil {
		return nil, err
	}
	secret.Data = nil
	return &Record{State: state, secret: secret}, nil
}
