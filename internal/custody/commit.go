package custody

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/kubeerror"
)

// ErrGone is returned when there is nothing left to write to: the namespace or the FluentCredential is being deleted.
var ErrGone = errors.New("the namespace or the FluentCredential is being deleted")

// ErrSuperseded is returned by Deliver when the state has moved on without this claim. The result is not stored.
var ErrSuperseded = errors.New("the state has moved on")

// Claim writes a claim and makes sure that it is stored. If the answer to the write is lost, a live read decides; the
// read is repeated until it is answered or the context ends. Claim returns ErrConflict when another process was first.
// If the read shows that no process wrote, it returns the error of the write. After any error nothing may be sent.
func (s *Store) Claim(ctx context.Context, owner Owner, from *Record, next State) (*Record, error) {
	written, err := s.Put(ctx, owner, from, next)
	if err == nil || errors.Is(err, ErrConflict) || errors.Is(err, ErrGone) || kubeerror.IsRefused(err) {
		return written, err
	}
	pause := retries
	for {
		found, readErr := s.Open(ctx, owner)
		switch {
		case readErr == nil:
			return found.judge(err, from, *next.Claim)
		case errors.Is(readErr, ErrGone):
			return nil, readErr
		case !s.Wait(ctx, pause.Step()):
			return nil, errors.Join(err, readErr)
		}
	}
}

// judge finds out the result of a claim's write if the answer does not show it.
func (r *Record) judge(err error, from *Record, claim Claim) (*Record, error) {
	verb := kubeerror.Update
	if from.secret == nil {
		verb = kubeerror.Create
	}
	switch kubeerror.Judge(err, verb, r.sighting(from, claim)).Outcome {
	case kubeerror.Stored:
		return r, nil
	case kubeerror.NotStored, kubeerror.Unknown:
		return nil, err
	case kubeerror.Conflict, kubeerror.Gone:
	}
	return nil, fmt.Errorf("%w: the claim was not stored: %w", ErrConflict, err)
}

// sighting compares the stored state with the one that the claim was to be written over. A first state that is not
// confirmed yet is always our own: the claim in it does not count.
func (r *Record) sighting(from *Record, claim Claim) kubeerror.Sighting {
	switch {
	case r.Holds(claim) && !r.Unconfirmed:
		return kubeerror.Ours
	case r.secret == nil, r.Holds(claim) && from.secret == nil:
		return kubeerror.Absent
	case from.secret != nil && r.secret.UID == from.secret.UID &&
		r.secret.ResourceVersion == from.secret.ResourceVersion:
		return kubeerror.Same
	}
	return kubeerror.Changed
}

// retries paces the reads that find out the result of a claim's write.
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

// ErrHeld is returned by Deliver when the result could not be stored yet and is still only where it was.
// Unwrapping it returns the obstacle.
var ErrHeld = errors.New("the result of an exchange could not be stored yet")

// The limits of a round, so that it does not occupy a worker for longer.
const (
	// CommitTries is the number of tries in the first round: 20 ms to 2.5 s apart, five seconds in all, because
	// workloads wait.
	CommitTries = 9
	// roundLife bounds a round if the Kubernetes API accepts requests and does not answer them.
	roundLife = 5*time.Second + RequestTimeout
	// maxRaces is the number of lost races that a round repeats without counting them as tries.
	maxRaces = 3
)

// Pending is a result that is to be stored in the state. It remembers its obstacle from one round to the next.
type Pending struct {
	owner  Owner
	from   *Record
	result Result
	other  waiting
	denied denial
}

// NewPending returns the result of a claim made in the record.
func NewPending(owner Owner, from *Record, result Result) *Pending {
	return &Pending{owner: owner, from: from, result: result}
}

// Claim returns the claim that the result belongs to.
func (p *Pending) Claim() Claim { return p.result.Claim }

// Waited adds a wait between two tries.
func (p *Pending) Waited(passed time.Duration) {
	p.other.passed += passed
	p.denied.wait(passed)
}

// Deliver makes one round of storing a result. A conflict is merged by the claim's id; the result is never dropped.
// Deliver returns ErrHeld when the result is not stored after that many tries. It does so at once when the API server
// denies the write or a Secret that is not the operator's is in the way: no other try of the round could help, and
// others wait for the worker. Then the caller keeps the result, since it may contain the only copy of a refresh token,
// and makes another round later. Deliver returns ErrSuperseded when the state has moved on without the claim. It
// returns ErrGone when the namespace is being deleted, or when the FluentCredential is gone and its state is gone or
// can no longer be written: a deletion does not hang.
func (s *Store) Deliver(ctx context.Context, p *Pending, tries int, tried func(error)) (*Record, error) {
	ctx, cancel := context.WithTimeout(ctx, roundLife)
	defer cancel()
	races := 0
	for try := 1; ; try++ {
		written, err := s.Put(ctx, p.owner, p.from, p.result.Apply(p.from.State))
		if err == nil {
			return written, nil
		}
		tried(err)
		if kubeerror.IsTerminating(err) || errors.Is(err, ErrGone) {
			return nil, ErrGone
		}
		merged, done := s.merge(ctx, p)
		isInTheWay := errors.Is(done, ErrForeign) || errors.Is(done, ErrNewer)
		isBlocked := isInTheWay || errors.Is(err, ErrNoPlace)
		switch {
		case isInTheWay:
			err = done
		case done != nil:
			return merged, orNil(done)
		}
		hasMoved := merged != nil && merged.Version() != p.from.Version()
		if merged != nil {
			p.from = merged
		}
		isDenied := isBlocked || kubeerror.IsDenied(err)
		if p.denied.lasts(isDenied) && s.isGoing(ctx, p.owner) {
			return nil, ErrGone
		}
		if merged != nil && errors.Is(err, ErrConflict) && races < maxRaces {
			races++
			try--
		}
		pause := firstPause << min(try, CommitTries)
		if isDenied && !hasMoved || try >= tries || !s.Wait(ctx, wait.Jitter(pause, 0.3)) {
			return nil, fmt.Errorf("%w: %w", ErrHeld, err)
		}
		p.Waited(pause)
	}
}

// firstPause is half the pause between the first two tries of a round.
const firstPause = 10 * time.Millisecond

// denialPatience is how long a write that is denied holds a deletion up.
const denialPatience = 30 * time.Second

// denial is for how long the API server has denied every write, in waits of our own.
type denial struct {
	is     bool
	passed time.Duration
}

func (d *denial) wait(passed time.Duration) {
	if d.is {
		d.passed += passed
	}
}

// lasts records whether the last try was denied, and reports whether that has lasted for long.
func (d *denial) lasts(isDenied bool) bool {
	if d.is = isDenied; !isDenied {
		d.passed = 0
	}
	return d.passed > denialPatience
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

// errStored ends a Deliver whose write had happened although its answer was lost.
var errStored = errors.New("stored already")

func orNil(done error) error {
	if errors.Is(done, errStored) {
		return nil
	}
	return done
}

// merge reads the stored state and reports whether the result is already in it, belongs in it, or is superseded. If it
// returns neither a record nor an error, the API server did not answer: try again. ErrForeign and ErrNewer mean that
// there is no place for the result.
func (s *Store) merge(ctx context.Context, p *Pending) (*Record, error) {
	from := p.from
	result := p.result
	found, err := s.Open(ctx, p.owner)
	gone := errors.Is(err, ErrGone)
	if err == nil && found.secret == nil {
		gone, err = s.isOwnerGone(ctx, p.owner)
	}
	switch {
	case gone:
		return nil, ErrGone
	case errors.Is(err, ErrForeign), errors.Is(err, ErrNewer):
		return nil, err
	case err != nil:
		return nil, nil
	// Likewise, in a state that does not contain this claim.
	case p.isBeside(found) && !p.other.outlasts(*found.Claim, result.Patience):
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
		if !p.other.outlasts(*found.Claim, result.Patience) {
			return nil, nil
		}
		found.State = found.Abandoned()
		return found, nil
	}
	return found, ErrSuperseded
}

// isBeside reports whether another exchange is in progress in a state that was newly created or restored from a backup.
// Overwriting it would lose its token.
func (p *Pending) isBeside(found *Record) bool {
	return found.secret != nil && !found.Damaged && found.Serial < p.from.Serial &&
		found.Claim != nil && !found.Holds(p.result.Claim)
}

// isOwnerGone reports whether no owner remains to remove the finalizer of a state Secret: a Secret written now would
// stay for ever.
func (s *Store) isOwnerGone(ctx context.Context, owner Owner) (bool, error) {
	var cred v1alpha1.FluentCredential
	if err := s.get(ctx, owner, owner.Name, &cred); err != nil {
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	}
	return cred.UID != owner.UID || !cred.DeletionTimestamp.IsZero(), nil
}

// isSucceeded tells whether the owner is gone, whoever has its name now.
func (s *Store) isSucceeded(ctx context.Context, owner Owner) (bool, error) {
	var cred v1alpha1.FluentCredential
	if err := s.get(ctx, owner, owner.Name, &cred); err != nil {
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
