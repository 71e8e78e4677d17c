package custody

import (
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Refused tells which object the API server refused and why, without the object's content, which an admission message may repeat.
func Refused(err error) string {
	var refused apierrors.APIStatus
	if !errors.As(err, &refused) || refused.Status().Details == nil {
		return "the Kubernetes API did not answer"
	}
	status := refused.Status()
	text := fmt.Sprintf("%s %s cannot be written: %s", status.Details.Kind, status.Details.Name, status.Reason)
	for _, because := range status.Details.Causes {
		text += ": " + because.Field
	}
	return text
}

// refusedWrite is a write that failed, in words that are fit for a log. What it was is found by unwrapping it.
type refusedWrite struct{ cause error }

func (e refusedWrite) Error() string { return Refused(e.cause) }

func (e refusedWrite) Unwrap() error { return e.cause }

// writeError makes an error fit for a log, and turns the answers that say «somebody else wrote first» into ErrConflict.
func writeError(err error) error {
	safe := refusedWrite{err}
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) && !isNamespaceGone(err) {
		return fmt.Errorf("%w: %w", ErrConflict, safe)
	}
	return safe
}

func safely(err error) error {
	if err == nil {
		return nil
	}
	return refusedWrite{err}
}
