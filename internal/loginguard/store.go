package loginguard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/kubeerror"
	"github.com/fluent-credential/operator/internal/token"
)

// Guard keeps one Secret per login in the operator's namespace.
type Guard struct {
	Reader    client.Reader // live, never a cache
	Writer    client.Writer
	Namespace string
	// Salt makes a salt for a new login.
	Salt func() string
	// HasLeft tells whether the owner of a use does not use the login any more, or has not got a token by a trial. Where that is
	// not known it says no.
	HasLeft func(context.Context, Use, Login) bool
}

// Login is a user name at a token endpoint and the password that is to be tried, or a seed that is to be spent there.
type Login struct {
	Endpoint string
	Username string
	Password token.Secret
	Seed     token.Secret // a refresh token or a code that a person was given; zero: it is a user name
	Use      Use
}

// stateKey is the entry of the guard's Secret.
const stateKey = "guard.json"

// requestTimeout bounds each change: an API that accepts a request and never answers must not hold a worker.
const requestTimeout = 10 * time.Second

// tries bounds the races between replicas and FluentCredentials that share a login.
const tries = 10

// Reserve asks for one attempt, in the cluster, before anything is sent. A Refusal says why there is none.
func (g *Guard) Reserve(ctx context.Context, login Login, id string, now time.Time) (*Refusal, error) {
	var refusal *Refusal
	err := g.change(ctx, login, now, func(state State) (State, error) {
		use := login.use()
		use.Trial, use.At = true, now
		claimed, refused := state.Claimed(now, use, func(use Use) bool { return g.HasLeft(ctx, use, login) })
		if refused == nil {
			claimed, refused = claimed.Reserve(now, Attempt{ID: id, Credentials: hash(state, login), Owner: use.Owner.UID})
		}
		if refused == nil && state.Fresh {
			var err error
			if refused, err = g.admit(ctx, use.Owner, now); err != nil {
				return state, err
			}
			claimed.Begun = now
		}
		refusal = refused
		switch {
		case refused == nil:
			return claimed, nil
		case state.isAhead(now):
			return state.asOf(now), nil
		}
		return state, errUnchanged
	})
	if errors.Is(err, ErrDamaged) {
		return &Refusal{Why: Damaged, Until: now.Add(Flight + Window)}, nil
	}
	return refusal, err
}

// Take asks for a seed. Only one FluentCredential may ever spend it, and nobody can spend it after that one is gone.
func (g *Guard) Take(ctx context.Context, login Login, now time.Time) (*Refusal, error) {
	var refusal *Refusal
	err := g.change(ctx, login, time.Time{}, func(state State) (State, error) {
		claimed, refused := state.Claimed(now, login.use(), func(Use) bool { return false })
		switch {
		case state.Damaged: // whoever spent it, nobody knows any more
			refused = &Refusal{Why: Spent}
		case state.isSpent(login.use()):
			refused = &Refusal{Why: Spent, By: login.Use.Owner}
		}
		if refused == nil && state.Fresh {
			var err error
			if refused, err = g.admit(ctx, login.Use.Owner, now); err != nil {
				return state, err
			}
			claimed.Begun = now
		}
		refusal = refused
		if refused != nil || slices.Equal(claimed.Uses, state.Uses) {
			return state, errUnchanged
		}
		return claimed, nil
	})
	if refusal != nil && refusal.Why == InUse && g.HasLeft(ctx, Use{Owner: refusal.By}, login) {
		refusal.Why = Spent
	}
	if errors.Is(err, ErrDamaged) {
		return refusal, nil
	}
	return refusal, err
}

// Retake asks for a seed that the owner took before and may have sent: in a state out of a backup it may be another's by now. What a
// guard that cannot be read knew is lost, and with it a reason to refuse.
func (g *Guard) Retake(ctx context.Context, login Login) (*Refusal, error) {
	owner, err := g.OwnerOf(ctx, login)
	switch {
	case errors.Is(err, errUnreadable):
		return nil, nil
	case err != nil, owner == nil, owner.UID == login.Use.Owner.UID, g.HasLeft(ctx, Use{Owner: *owner}, login):
		return nil, err
	}
	return &Refusal{Why: InUse, By: *owner}, nil
}

// Spend records that a seed was sent.
func (g *Guard) Spend(ctx context.Context, login Login) error {
	return g.change(ctx, login, time.Time{}, func(state State) (State, error) { return state.Spending(login.use()), nil })
}

// OwnerOf tells who has a login or spent a seed; nil: nobody.
func (g *Guard) OwnerOf(ctx context.Context, login Login) (*Owner, error) {
	k, err := g.know(ctx, login, time.Time{})
	switch {
	case err != nil && !errors.Is(err, ErrForeign):
		return nil, err
	case err != nil, !k.whole:
		return nil, fmt.Errorf("login guard %s: %w", secretName(login), errUnreadable)
	}
	if at := slices.IndexFunc(k.state.Uses, login.use().isSame); at >= 0 {
		return &k.state.Uses[at].Owner, nil
	}
	return nil, nil
}

// Return gives a seed back that was not spent after all.
func (g *Guard) Return(ctx context.Context, login Login) error {
	return g.change(ctx, login, time.Time{}, func(state State) (State, error) { return state.Unclaimed(login.use()), nil })
}

// Settle records what became of an attempt. It returns when refused credentials may be tried again. An attempt that is never settled
// counts as refused.
func (g *Guard) Settle(ctx context.Context, login Login, id string, verdict token.Verdict, now time.Time) (time.Time, error) {
	var retry time.Time
	err := g.change(ctx, login, now, func(state State) (State, error) {
		switch verdict {
		case token.LoginRefused:
			state, retry = state.Refused(now, id)
		case token.Granted:
			use := login.use()
			use.At = now
			state = state.Granted(id, use)
		case token.Unknown, token.Declined:
			return state.Unknown(id), errUnchanged
		case token.Unsent, token.RefusedIntact, token.TryLater, token.RefusedDead:
			state = state.Released(now, id)
		}
		return state, nil
	})
	return retry, err
}

// errUnchanged ends a change that has nothing to write.
var errUnchanged = errors.New("unchanged")

var errUnreadable = errors.New("it cannot be read")

// ErrForeign is returned when the name of a guard's Secret is taken by one that is none. It is left alone.
var ErrForeign = errors.New("a Secret that is not the operator's has the name of the login guard: move it elsewhere")

// errUnmoved ends a change whose last write lost a race over a guard that is as it was before: no writer was faster.
var errUnmoved = errors.New("it was not written since")

// change is a compare-and-swap, made again when somebody else was faster. A conflict over a guard that was not written since
// is an error of the write, which the caller repeats with back-off. It returns ErrDamaged where it was made to a state that
// takes the place of an unreadable one.
func (g *Guard) change(ctx context.Context, login Login, now time.Time, next func(State) (State, error)) error {
	var err error
	var lost *known // what the last write that lost a race was made from
	for range tries {
		before := err
		lost, err = g.changeOnce(ctx, login, now, next, lost)
		if errors.Is(err, errUnchanged) {
			return nil
		}
		if errors.Is(err, errUnmoved) {
			err = before
			break
		}
		if !isRaced(err) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("login guard %s: %w", secretName(login), err)
	}
	return nil
}

func (g *Guard) changeOnce(
	parent context.Context, login Login, now time.Time, next func(State) (State, error), lost *known,
) (*known, error) {
	ctx, cancel := context.WithTimeout(parent, requestTimeout)
	defer cancel()
	k, err := g.know(ctx, login, now)
	if err != nil {
		return nil, err
	}
	if lost != nil && lost.version == k.version {
		return k, errUnmoved
	}
	return k, g.store(ctx, parent, login, k, next)
}

// store makes a change to what is known.
func (g *Guard) store(
	ctx, parent context.Context, login Login, k *known, next func(State) (State, error),
) error {
	changed, err := next(k.state)
	if errors.Is(err, errUnchanged) && (!k.whole || k.former != nil) {
		changed, err = k.state, nil // or it would be found damaged again and again, and its budget never end
	}
	if err != nil {
		return err
	}
	if k.state.Fresh && changed.isEmpty() {
		return nil
	}
	encoded, err := encode(changed)
	if err != nil {
		return err
	}
	key := client.ObjectKey{Namespace: g.Namespace, Name: secretName(login)}
	err = g.write(ctx, key, k, login.Use.Owner, encoded)
	if err != nil && (kubeerror.IsRefused(err) || !g.shows(parent, key, encoded)) {
		return err
	}
	if k.former != nil {
		_ = g.remove(ctx, k.former) // where it stays, it is merged again
	}
	if k.whole {
		return nil
	}
	return ErrDamaged
}

// known is what is stored of a login.
type known struct {
	secret  corev1.Secret
	version string // that it had; empty where it is missing
	missing bool
	state   State
	whole   bool           // it could be read
	former  *corev1.Secret // what an earlier version stored of the same login; it is in the state
}

func (g *Guard) know(ctx context.Context, login Login, now time.Time) (*known, error) {
	var k known
	found, err := g.get(ctx, secretName(login), &k.secret)
	if err != nil {
		return nil, err
	}
	k.missing, k.version = !found, k.secret.ResourceVersion
	k.state, k.whole = g.read(&k.secret, k.missing, now)
	k.state.Fresh = k.missing
	if formerName(login) == secretName(login) {
		return &k, nil
	}
	var former corev1.Secret
	if found, err = g.get(ctx, formerName(login), &former); err != nil || !found {
		return &k, err
	}
	k.former = &former
	old, whole := g.read(&former, false, now)
	k.whole = k.whole && whole
	if k.missing {
		k.state.Salt = old.Salt
	}
	k.state.Fresh = false
	k.state = k.state.merged(old, login.use().Query)
	return &k, nil
}

// get reports whether there is a guard of the name.
func (g *Guard) get(ctx context.Context, name string, secret *corev1.Secret) (bool, error) {
	err := g.Reader.Get(ctx, client.ObjectKey{Namespace: g.Namespace, Name: name}, secret)
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err == nil && secret.Type != v1alpha1.GuardSecretType:
		return false, ErrForeign
	}
	return err == nil, err
}

// remove deletes a guard, unless it was changed since it was read.
func (g *Guard) remove(ctx context.Context, secret *corev1.Secret) error {
	as := client.Preconditions{UID: &secret.UID, ResourceVersion: &secret.ResourceVersion}
	return client.IgnoreNotFound(g.Writer.Delete(ctx, secret, as))
}

// shows reports whether a change is stored although the answer to its write was lost: made again, an attempt would be
// counted twice.
func (g *Guard) shows(ctx context.Context, key types.NamespacedName, encoded []byte) bool {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var secret corev1.Secret
	return g.Reader.Get(ctx, key, &secret) == nil && bytes.Equal(secret.Data[stateKey], encoded)
}

// read begins with nothing where there is nothing, and with a full Budget where something was there that cannot be read.
func (g *Guard) read(secret *corev1.Secret, missing bool, now time.Time) (state State, whole bool) {
	if missing {
		return State{Salt: g.Salt()}, true
	}
	if state, whole = decode(secret.Data[stateKey]); whole {
		return state, true
	}
	return damaged(g.Salt(), now), false
}

func (g *Guard) write(ctx context.Context, key client.ObjectKey, k *known, by Owner, encoded []byte) error {
	secret := &k.secret
	secret.Data = map[string][]byte{stateKey: encoded}
	if !k.missing {
		return refusedWrite(kubeerror.Update, key, g.Writer.Update(ctx, secret))
	}
	secret.Type = v1alpha1.GuardSecretType
	secret.ObjectMeta = metav1.ObjectMeta{
		Namespace: key.Namespace, Name: key.Name,
		Labels: map[string]string{v1alpha1.ManagedByLabel: v1alpha1.OperatorName, v1alpha1.GuardOwnerLabel: by.UID},
	}
	return refusedWrite(kubeerror.Create, key, g.Writer.Create(ctx, secret))
}

// refusedWrite names the namespace of the refused Secret: otherwise a reader would look in the credential's first. It does
// not name the Secret: the name is a hash of the user name without a salt, which must not reach a status.
func refusedWrite(verb kubeerror.Verb, key types.NamespacedName, err error) error {
	if err == nil {
		return nil
	}
	object := "the login guard in namespace " + key.Namespace
	return &kubeerror.WriteError{Object: object, Subject: failure.StateSecret, Verb: verb, Err: err}
}

func hash(state State, login Login) string { return login.Password.Hash(state.Salt + login.Username) }
