package loginguard

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

const (
	// MaxNew is how many guards one FluentCredential may begin in a Window: one whose login is changed in a loop would fill
	// the operator's namespace.
	MaxNew = 6
	// MaxKept is how many of the guards that one FluentCredential began may exist.
	MaxKept = 32
	// SeedMemory is how long a spent seed of a FluentCredential that is gone is remembered, from when the seed was first taken.
	SeedMemory = 90 * 24 * time.Hour
	// pageSize bounds the memory that Sweep needs.
	pageSize = 100
)

// holds reports whether the state knows something that counts at a time, apart from uses that are left.
func (s State) holds(now time.Time, left func(Use) bool) bool {
	isBarred := slices.ContainsFunc(s.Rejections, func(r Rejection) bool { return now.Before(s.nextProbe(r.Credentials).Add(Window)) })
	isUsed := slices.ContainsFunc(s.Uses, func(u Use) bool { return !left(u) })
	isNew := now.Before(s.Begun.Add(Window))
	return isNew || isBarred || isUsed || s.Damaged || len(s.recent(now)) > 0 || s.isAhead(now)
}

// isEmpty reports whether a state that was never stored has nothing to store.
func (s State) isEmpty() bool {
	return len(s.Attempts)+len(s.Rejections)+len(s.Uses) == 0 && !s.Damaged
}

// isSeed reports whether the use may be of a seed: earlier versions did not say so of each.
func (u Use) isSeed() bool { return u.Seed || !u.Trial && u.At.IsZero() }

// own is a guard that a FluentCredential began.
type own struct {
	secret *corev1.Secret
	state  State
}

// isOld reports whether the seed of the guard was taken so long ago that it may be forgotten.
func (o own) isOld(now time.Time) bool {
	begun := o.state.Begun
	if begun.IsZero() {
		begun = o.secret.CreationTimestamp.Time
	}
	return !now.Before(begun.Add(SeedMemory))
}

// leaving reports whether a use of a guard does not count any more.
type leaving func(own, Use) bool

// admit asks whether the owner may begin one guard more, and removes those that it began and that hold nothing any more.
func (g *Guard) admit(ctx context.Context, owner Owner, now time.Time) (*Refusal, error) {
	begun, err := g.begunBy(ctx, owner)
	if apierrors.IsForbidden(err) {
		return nil, nil // a role of an earlier version; Sweep says so
	}
	if err != nil {
		return nil, err
	}
	hasLeft := leftByItself(begun, owner)
	begun = g.prune(ctx, begun, now, hasLeft)
	if len(begun) >= MaxKept {
		begun = g.prune(ctx, begun, now, func(guard own, u Use) bool {
			return hasLeft(guard, u) || u.Owner.UID == owner.UID && guard.isOld(now)
		})
	}
	var recent []time.Time
	for _, guard := range begun {
		if end := guard.state.Begun.Add(Window); now.Before(end) {
			recent = append(recent, end)
		}
	}
	switch {
	case len(recent) >= MaxNew:
		return &Refusal{Why: Paced, Until: slices.MinFunc(recent, time.Time.Compare)}, nil
	case len(begun) >= MaxKept:
		return &Refusal{Why: Paced, Until: now.Add(Window)}, nil
	}
	return nil, nil
}

// Forget removes the guards that a FluentCredential began and that hold nothing without it. Spent seeds stay.
func (g *Guard) Forget(ctx context.Context, owner Owner, now time.Time) error {
	begun, err := g.begunBy(ctx, owner)
	if err != nil {
		return err
	}
	g.prune(ctx, begun, now, func(_ own, u Use) bool { return u.Owner.UID == owner.UID && !u.isSeed() })
	return nil
}

// Sweep removes the guards that hold nothing any more, whoever began them.
func (g *Guard) Sweep(ctx context.Context, now time.Time, isGone func(context.Context, Owner) bool) error {
	page := &client.ListOptions{
		Namespace: g.Namespace, Limit: pageSize, FieldSelector: fields.OneTermEqualSelector("type", v1alpha1.GuardSecretType),
	}
	for {
		var list corev1.SecretList
		if err := g.Reader.List(ctx, &list, page); err != nil {
			return err
		}
		for _, guard := range readable(&list) {
			g.prune(ctx, []own{guard}, now, func(guard own, u Use) bool {
				return (!u.isSeed() || guard.isOld(now)) && isGone(ctx, u.Owner)
			})
		}
		if page.Continue = list.Continue; page.Continue == "" {
			return nil
		}
	}
}

func (g *Guard) begunBy(ctx context.Context, owner Owner) ([]own, error) {
	if owner.UID == "" {
		return nil, nil
	}
	var list corev1.SecretList
	labels := client.MatchingLabels{v1alpha1.GuardOwnerLabel: owner.UID}
	err := g.Reader.List(ctx, &list, client.InNamespace(g.Namespace), labels, client.Limit(2*MaxKept))
	return readable(&list), err
}

// readable are the guards of a list. One that cannot be read is left alone: its login finds that when it is tried.
func readable(list *corev1.SecretList) []own {
	var guards []own
	for i := range list.Items {
		secret := &list.Items[i]
		if state, whole := decode(secret.Data[stateKey]); whole && secret.Type == v1alpha1.GuardSecretType {
			guards = append(guards, own{secret, state})
		}
	}
	return guards
}

// leftByItself returns which of the logins of the guards that it began a living owner uses no more.
func leftByItself(begun []own, owner Owner) leaving {
	var uses []Use
	for _, guard := range begun {
		uses = append(uses, guard.state.Uses...)
	}
	left := leftAmong(uses, owner.UID)
	return func(_ own, u Use) bool { return left(u) }
}

// prune removes the guards that hold nothing, and returns the others. One that cannot be removed is tried again another time;
// one that a login has changed meanwhile is left alone.
func (g *Guard) prune(ctx context.Context, guards []own, now time.Time, left leaving) []own {
	return slices.DeleteFunc(guards, func(guard own) bool {
		return !guard.state.holds(now, func(u Use) bool { return left(guard, u) }) && g.remove(ctx, guard.secret) == nil
	})
}

// isRaced reports whether a write lost against another one, or against the removal of a guard that held nothing.
func isRaced(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err)
}
