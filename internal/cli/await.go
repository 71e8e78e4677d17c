package cli

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// key names a FluentCredential.
type key = types.NamespacedName

func keyOf(cred *v1alpha1.FluentCredential) key { return client.ObjectKeyFromObject(cred) }

// progress is how far an expectation has come.
type progress int

const (
	pending progress = iota
	done
	failed // only a person can help
)

// expectation is something that a status is going to tell.
type expectation interface {
	key() key
	judge(cred *v1alpha1.FluentCredential, now time.Time) (progress, string)
}

// pollInterval is how often a status is looked at. The API server answers from its cache.
const pollInterval = 500 * time.Millisecond

// await waits until everything has come true, and tells what changes: results on the output, the way there on the error stream.
func (o *waiting) await(ctx context.Context, s *session, from client.Reader, expected []expectation) error {
	watch := &vigil{session: s, from: from, pending: expected, told: map[key]string{}}
	err := wait.PollUntilContextTimeout(ctx, pollInterval, o.timeout, true, watch.look)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded) && watch.unheard != nil:
		return failWith(exitTimeout,
			"not done after %s, as far as is known: %s.\nThe API server gave no answer last: %w",
			o.timeout, watch.names(), watch.unheard)
	case errors.Is(err, context.DeadlineExceeded):
		return failWith(exitTimeout, "not done after %s: %s.\nThe operator goes on; \"kubectl fluent status\" tells more.", o.timeout, watch.names())
	case err != nil:
		return err
	case watch.failures > 0:
		return &exitError{code: exitRefused}
	}
	return nil
}

// vigil is what is still waited for.
type vigil struct {
	*session
	from     client.Reader
	pending  []expectation
	told     map[key]string
	failures int
	unheard  error // the last poll got no answer
}

// look looks at each once. An API server that does not answer is asked again.
func (v *vigil) look(ctx context.Context) (bool, error) {
	var left []expectation
	for _, each := range v.pending {
		over, err := v.lookAt(ctx, each)
		if ctx.Err() == nil {
			v.unheard = err
		}
		if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
			return false, err
		}
		if err != nil || !over {
			left = append(left, each)
		}
	}
	v.pending = left
	return len(left) == 0, nil
}

func (v *vigil) lookAt(ctx context.Context, each expectation) (over bool, err error) {
	var cred v1alpha1.FluentCredential
	if err := v.from.Get(ctx, each.key(), &cred); err != nil {
		return false, err
	}
	how, text := each.judge(&cred, v.now())
	switch how {
	case done:
		v.Out.printf("%s %s\n", nameOf(&cred), lines(text))
		return true, nil
	case failed:
		v.ErrOut.printf("%s %s\n", nameOf(&cred), lines(text))
		v.failures++
		return true, nil
	case pending:
	}
	if v.told[each.key()] != text {
		v.told[each.key()] = text
		v.ErrOut.printf("%s … %s\n", nameOf(&cred), text)
	}
	return false, nil
}

// names are those that are still waited for.
func (v *vigil) names() string {
	text := ""
	for i, each := range v.pending {
		if i > 0 {
			text += ", "
		}
		text += each.key().String()
	}
	return text
}
