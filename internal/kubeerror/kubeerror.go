// Package kubeerror classifies the answers of the Kubernetes API and the failures to get one: the outcome of the
// request, and what has to change before it can work.
package kubeerror

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/internal/failure"
)

// Verb is the verb of a request to the API.
type Verb string

// The verbs.
const (
	Get    Verb = "get"
	List   Verb = "list"
	Create Verb = "create"
	Update Verb = "update"
	Patch  Verb = "patch"
	Delete Verb = "delete"
)

// Verbs returns all verbs in the order of their declaration.
func Verbs() []Verb { return []Verb{Get, List, Create, Update, Patch, Delete} }

// isRead reports whether the verb changes nothing.
func (v Verb) isRead() bool { return v == Get || v == List }

// Sighting is what a live read after the request shows about the object.
type Sighting string

// The sightings.
const (
	NotRead Sighting = "NotRead" // no read was made since
	Same    Sighting = "Same"    // the resourceVersion that the request was made from
	Changed Sighting = "Changed" // another resourceVersion, and not what the request asked for
	Ours    Sighting = "Ours"    // what the request asked for
	Absent  Sighting = "Absent"  // the object does not exist
)

// Sightings returns all sightings in the order of their declaration.
func Sightings() []Sighting { return []Sighting{NotRead, Same, Changed, Ours, Absent} }

// Outcome is the outcome of a request.
type Outcome string

// The outcomes.
const (
	Stored    Outcome = "Stored"    // the request was carried out
	NotStored Outcome = "NotStored" // nothing was changed, by this request or by another writer
	Conflict  Outcome = "Conflict"  // another writer was first
	Gone      Outcome = "Gone"      // the object or its namespace does not exist any more
	Unknown   Outcome = "Unknown"   // the request may have been carried out: a live read decides
)

// Judgment is the classification of a request's result.
type Judgment struct {
	Outcome Outcome
	Cause   failure.Cause
}

// Judge classifies the answer to a request. It is total: an unknown error may mean that the request was stored, and it
// passes by itself.
func Judge(err error, verb Verb, seen Sighting) Judgment {
	answer := answerOf(err)
	return Judgment{Outcome: outcomeOf(answer, verb, seen), Cause: answer.cause()}
}

// IsDenied reports whether the API server refused a request for a reason that does not pass by itself: an admission
// rule, a quota, a missing right, an immutable object.
func IsDenied(err error) bool { return answerOf(err) == denied }

// IsRefused reports whether the error proves that nothing was written.
func IsRefused(err error) bool {
	answer := answerOf(err)
	return answer.isRefusal() || answer == terminating
}

// IsTerminating reports whether the API refused a request because the namespace is being deleted, or is gone.
func IsTerminating(err error) bool { return answerOf(err) == terminating }

// answer is the kind of an answer, independent of the verb.
type answer string

const (
	fine        answer = "fine"
	denied      answer = "denied"      // nothing was done, and a change is needed first
	later       answer = "later"       // nothing was done, for now
	unsent      answer = "unsent"      // the request never reached the server
	untrusted   answer = "untrusted"   // likewise, because the server's certificate is not accepted
	conflicting answer = "conflicting" // the resourceVersion differs
	existing    answer = "existing"    // an object of that name exists
	missing     answer = "missing"     // no object of that name exists
	terminating answer = "terminating" // the namespace is being deleted, or is gone
	unclear     answer = "unclear"     // the request may have been carried out
)

func (a answer) cause() failure.Cause {
	if a == denied || a == untrusted {
		return failure.WaitsFor(failure.Cluster)
	}
	return failure.Passing()
}

// reasons maps every reason of the API to an answer.
var reasons = map[metav1.StatusReason]answer{
	metav1.StatusReasonUnknown:               unclear,
	metav1.StatusReasonUnauthorized:          later, // the kubelet renews the service account's token
	metav1.StatusReasonForbidden:             denied,
	metav1.StatusReasonNotFound:              missing,
	metav1.StatusReasonAlreadyExists:         existing,
	metav1.StatusReasonConflict:              conflicting,
	metav1.StatusReasonGone:                  missing,
	metav1.StatusReasonInvalid:               denied,
	metav1.StatusReasonServerTimeout:         unclear,
	metav1.StatusReasonStoreReadError:        unclear,
	metav1.StatusReasonTimeout:               unclear,
	metav1.StatusReasonTooManyRequests:       later,
	metav1.StatusReasonBadRequest:            denied,
	metav1.StatusReasonMethodNotAllowed:      denied,
	metav1.StatusReasonNotAcceptable:         denied,
	metav1.StatusReasonRequestEntityTooLarge: denied,
	metav1.StatusReasonUnsupportedMediaType:  denied,
	metav1.StatusReasonInternalError:         unclear,
	metav1.StatusReasonExpired:               later,
	metav1.StatusReasonServiceUnavailable:    unclear,
}

func answerOf(err error) answer {
	if err == nil {
		return fine
	}
	if status, ok := statusOf(err); ok {
		return answerOfStatus(err, status)
	}
	return answerOfTransport(err)
}

func statusOf(err error) (metav1.Status, bool) {
	var answered apierrors.APIStatus
	if !errors.As(err, &answered) {
		return metav1.Status{}, false
	}
	return answered.Status(), true
}

func answerOfStatus(err error, status metav1.Status) answer {
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return terminating
	}
	kind, known := reasons[status.Reason]
	switch {
	case strings.Contains(status.Message, tooLarge):
		return denied
	case !known:
		return unclear
	case kind == missing && status.Details != nil && status.Details.Kind == "namespaces":
		return terminating
	}
	return kind
}

// tooLarge is what etcd says of an object that is larger than a request to it may be. The API server passes it on without
// a reason.
const tooLarge = "etcdserver: request is too large"

// answerOfTransport classifies an error without an answer: an error of the network, of TLS or of the context.
func answerOfTransport(err error) answer {
	switch {
	case isUntrusted(err):
		return untrusted
	case isUnsent(err):
		return unsent
	}
	return unclear
}

func isUntrusted(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		invalid      x509.CertificateInvalidError
		hostname     x509.HostnameError
	)
	return errors.As(err, &verification) || errors.As(err, &authority) ||
		errors.As(err, &invalid) || errors.As(err, &hostname)
}

// isUnsent reports whether the request cannot have reached the server: there was no connection or no TLS session.
func isUnsent(err error) bool {
	var (
		dns    *net.DNSError
		record tls.RecordHeaderError
		alert  tls.AlertError
		op     *net.OpError
	)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.As(err, &dns), errors.As(err, &record), errors.As(err, &alert):
		return true
	case errors.As(err, &op) && op.Op == "dial":
		return true
	}
	return strings.Contains(err.Error(), "TLS handshake timeout") // net/http does not export the type
}

// isTransport reports whether an error without an answer comes from the network.
func isTransport(err error) bool {
	var network net.Error
	return errors.As(err, &network) || isUntrusted(err) || isUnsent(err) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, context.DeadlineExceeded)
}

func outcomeOf(answer answer, verb Verb, seen Sighting) Outcome {
	switch {
	case verb.isRead():
		if answer == missing || answer == terminating {
			return Gone
		}
		return NotStored
	case answer == fine, seen == Ours:
		return Stored
	case verb == Create:
		return created(answer, seen)
	case verb == Delete:
		return deleted(answer, seen)
	}
	return updated(answer, seen)
}

// updated returns the outcome of an update or a patch made from a resourceVersion.
func updated(answer answer, seen Sighting) Outcome {
	switch {
	case answer == terminating:
		return Gone
	case answer.isRefusal(), seen == Same:
		return NotStored
	case seen == Changed:
		return Conflict
	case seen == Absent, answer == missing:
		return Gone
	case answer == unclear:
		return Unknown
	}
	return Conflict
}

// created returns the outcome of a create. An existing object that differs from the requested one is another writer's.
// A create has no conflict of its own: the cause of a conflict is a quota that others use at the same time.
func created(answer answer, seen Sighting) Outcome {
	switch {
	case answer == terminating, answer == missing:
		return Gone
	case answer.isRefusal():
		return NotStored
	case seen == Same, seen == Changed, answer == existing:
		return Conflict
	case seen == Absent, answer == conflicting:
		return NotStored
	}
	return Unknown
}

// deleted returns the outcome of a delete. A missing object counts as deleted.
func deleted(answer answer, seen Sighting) Outcome {
	switch {
	case seen == Absent, seen == NotRead && (answer == missing || answer == terminating):
		return Stored
	case answer.isRefusal(), seen == Same:
		return NotStored
	case seen == Changed:
		return Conflict
	case answer == unclear:
		return Unknown
	}
	return Conflict
}

// isRefusal reports whether the answer itself proves that nothing was done.
func (a answer) isRefusal() bool { return a == denied || a == later || a == unsent || a == untrusted }
