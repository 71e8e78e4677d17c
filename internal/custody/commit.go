package custody

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// ErrGone is returned when there is nothing left to write to: the namespace or the FluentCredential is being deleted.
var ErrGone = errors.New("the namespace or the FluentCredential is being deleted")

// ErrSuperseded is returned by Commit when the state has moved on without this claim. The result is not stored.
var ErrSuperseded = errors.New("the state has moved on")

// Claim writes a claim and makes sure that it is there: an answer that was lost is settled by a live read, which is made until it
// is answered or the context ends. It returns ErrConflict when another process was first; with any error nothing may be sent.
func (s *Store) Claim(ctx context.Context, owner Owner, from *Record, next State) (*Record, error) {
	written, err := s.Put(ctx, owner, from, next)
	if err == nil || errors.Is(err, ErrConflict) || refusedByServer(err) {
		return written, err
	}
	pause := retries
	for {
		found, readErr := s.Open(ctx, owner)
		switch {
		case readErr == nil && found.Holds(*next.Claim) && !found.Unconfirmed:
			return found, nil
		case readErr == nil:
			return nil, fmt.Errorf("%w: the claim was not stored: %w", ErrConflict, err)
		case errors.Is(readErr, ErrGone):
			return nil, readErr
		case !s.Wait(ctx, pause.Step()):
			return nil, errors.Join(err, readErr)
		}
	}
}

// refusedByServer tells an answer of the API server that says that nothing was written.
func refusedByServer(err error) bool {
	return IsDenied(err) || apierrors.IsUnauthorized(err) || apierrors.IsTooManyRequests(err)
}

// retries between two tries to store a result: quick at first, because workloads wait for it.
var retries = wait.Backoff{Duration: 20 * time.Millisecond, Factor: 2, Jitter: 0.3, Steps: 9, Cap: 5 * time.Second}

// Result is what an exchange adds to the state that its claim was made in.
type Result struct {
	Claim Claim
	Apply func(State) State
	// Wanted tells whether a state that was changed by somebody else still has room for the result.
	Wanted func(State, Claim) bool
	// Patience is how long the holder of another claim can be at work; after it, that one is taken for gone.
	Patience time.Duration
}

// wantedAfter tells whether the result would be wanted if the exchange that is under way came to nothing.
func (r Result) wantedAfter(state State) bool {
	underWay := state.Claim != nil
	state.Claim = nil
	return underWay && r.Wanted(state, r.Claim)
}

// Commit stores the result of a claim. It tries for as long as the context lives, because the only copy of a refresh token may be
// in this process; a conflict is merged by the claim's id, never dropped. It returns ErrSuperseded when the state has moved on
// without the claim, and ErrGone when the namespace is being deleted, or the FluentCredential and its state is gone or can be written
// no more: a deletion does not hang.
func (s *Store) Commit(ctx context.Context, owner Owner, from *Record, result Result, tried func(error)) (*Record, error) {
	pause, other, denied := retries, &waiting{}, &denial{}
	for {
		written, err := s.Put(ctx, owner, from, result.Apply(from.State))
		if err == nil {
			return written, nil
		}
		tried(err)
		if isNamespaceGone(err) {
			return nil, ErrGone
		}
		if merged, done := s.merge(ctx, owner, from, result, other); done != nil {
			return merged, orNil(done)
		} else if merged != nil {
			from = merged
		}
		step := pause.Step()
		if !s.Wait(ctx, step) {
			return nil, ctx.Err()
		}
		other.passed += step
		if denied.lasts(err, step) && s.isGoing(ctx, owner) {
			return nil, ErrGone
		}
	}
}

// denialPatience is how long a write that is denied holds a deletion up.
const denialPatience = 30 * time.Second

// denial is for how long the API server has denied every write, in waits of our own.
type denial struct{ passed time.Duration }

// lasts counts the wait that followed an error, and tells whether the denial lasts.
func (d *denial) lasts(err error, step time.Duration) bool {
	if !IsDenied(err) {
		d.passed = 0
		return false
	}
	d.passed += step
	return d.passed > denialPatience
}

// IsDenied tells a refusal of the API server that does not pass by itself: a rule of admission, a missing right, an object made
// immutable.
func IsDenied(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsRequestEntityTooLargeError(err)
}

// isGoing tells whether the FluentCredential is known to be going.
func (s *Store) isGoing(ctx context.Context, owner Owner) bool {
	gone, err := s.isOwnerGone(ctx, owner)
	return gone && err == nil
}

// waiting is how long another process's claim has been in the way, in waits of our own.
type waiting struct {
	claim  string
	passed time.Duration
}

// outlasts tells whether the claim has been there for longer than its holder can be at work.
func (w *waiting) outlasts(claim Claim, patience time.Duration) bool {
	if w.claim != claim.ID {
		*w = waiting{claim: claim.ID}
	}
	return patience > 0 && w.passed > patience
}

// errStored ends a Commit whose write had happened although its answer was lost.
var errStored = errors.New("stored already")

func orNil(done error) error {
	if errors.Is(done, errStored) {
		return nil
	}
	return done
}

// merge reads what is stored by now and says whether the result is in it, belongs into it, or is superseded. With neither a
// record nor an error the API server did not answer: try again.
func (s *Store) merge(ctx context.Context, owner Owner, from *Record, result Result, other *waiting) (*Record, error) {
	found, err := s.Open(ctx, owner)
	gone := errors.Is(err, ErrGone)
	if err == nil && found.secret == nil {
		gone, err = s.isOwnerGone(ctx, owner)
	}
	switch {
	case gone:
		return nil, ErrGone
	case err != nil:
		return nil, nil
	case found.secret == nil || found.Damaged || found.Serial < from.Serial: // somebody removed, edited or rolled it back: what we hold is all there is
		held := from.State
		held.MovedTo = ""
		if found.Serial > held.Serial { // what decode could read of it
			held.Serial, held.Seeds = found.Serial, found.Seeds
		}
		return &Record{State: held, secret: found.secret, Leaving: found.Leaving}, nil
	case result.Wanted(found.State, result.Claim):
		return found, nil
	case found.LastClaim == result.Claim.ID:
		return found, errStored
	case result.wantedAfter(found.State): // somebody else's exchange is under way: what comes of it decides
		if !other.outlasts(*found.Claim, result.Patience) {
			return nil, nil
		}
		found.State = found.Abandoned()
		return found, nil
	}
	return found, ErrSuperseded
}

// isOwnerGone tells whether nobody is left who would let a state Secret go again: one that is written now would stay for ever.
func (s *Store) isOwnerGone(ctx context.Context, owner Owner) (bool, error) {
	var cred v1alpha1.FluentCredential
	if err := s.Reader.Get(ctx, types.NamespacedName{Namespace: owner.Namespace, Name: owner.Name}, &cred); err != nil {
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	}
	return cred.UID != owner.UID || !cred.DeletionTimestamp.IsZero(), nil
}

// isSucceeded tells whether the owner is gone, whoever has its name now.
func (s *Store) isSucceeded(ctx context.Context, owner Owner) (bool, error) {
	var cred v1alpha1.FluentCredential
	if err := s.Reader.Get(ctx, types.NamespacedName{Namespace: owner.Namespace, Name: owner.Name}, &cred); err != nil {
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	}
	return cred.UID != owner.UID, nil
}

// Wait lets a pause pass, and says whether to go on.
func (s *Store) Wait(ctx context.Context, pause time.Duration) bool {
	if s.Pause != nil {
		return s.Pause(ctx, pause)
	}
	return sleep(ctx, pause)
}

func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
