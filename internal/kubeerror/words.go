package kubeerror

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/redact"
	"github.com/fluent-credential/operator/internal/token"
)

// WriteError is a write that the API did not accept, or whose answer was lost.
type WriteError struct {
	Object  string          // the object to be written, worded for a condition
	Subject failure.Subject // the Secret's role: the target's, or the state's
	Verb    Verb
	Err     error
	Secrets []token.Secret // of the object, which the API's message may repeat
}

// Error returns the API's words without the object's secrets.
func (e *WriteError) Error() string { return Words(e, e.Secrets...) }

// Unwrap returns the API's error.
func (e *WriteError) Unwrap() error { return e.Err }

// SubjectOf returns the subject of a failed write, or NoSubject if the error is not that of a write of a Secret.
func SubjectOf(err error) failure.Subject {
	var write *WriteError
	if errors.As(err, &write) {
		return write.Subject
	}
	return failure.NoSubject
}

// Words returns which object was refused and why, in the API's own words, without the secrets. The text is the same as
// long as the cause is.
func Words(err error, secrets ...token.Secret) string {
	if err == nil {
		return ""
	}
	var write *WriteError
	if !errors.As(err, &write) {
		return redact.Words(textOf(err, false), secrets...)
	}
	secrets = append(append([]token.Secret(nil), secrets...), write.Secrets...)
	text := fmt.Sprintf("%s cannot be %s: %s", write.Object, doneBy(write.Verb), textOf(write.Err, true))
	return redact.Words(text, secrets...)
}

func doneBy(verb Verb) string {
	switch verb {
	case Get, List:
		return "read"
	case Delete:
		return "deleted"
	case Create, Update, Patch:
	}
	return "written"
}

// textOf returns the API's message, without the object's name if the caller names the object.
func textOf(err error, isNamed bool) string {
	if status, ok := statusOf(err); ok {
		return textOfStatus(status, isNamed)
	}
	if isNamed || isTransport(err) { // a write without an answer failed because of the network or a timeout
		return "the Kubernetes API did not answer: " + rootOf(err)
	}
	return err.Error()
}

// asides are the parts of an API message other than the cause, with their replacements. The text of a condition is
// short, and does not change from one try to the next.
var asides = []struct {
	aside *regexp.Regexp
	brief string
}{
	{regexp.MustCompile(`^\S+ "[^"]*" is (forbidden|invalid)(: |$)`), ""},
	{regexp.MustCompile(`^Internal error occurred: `), ""},
	{regexp.MustCompile(` in API group ""`), ""},
	{regexp.MustCompile(`(Policy '[^']*') with binding '[^']*' denied request: `), "$1: "},
	{regexp.MustCompile(`failed to call webhook: (Post "[^"]*": )?`), ""},
	{localPort, "$1 $2 "},
}

// localPort differs at each try.
var localPort = regexp.MustCompile(`(read|write) (tcp|udp) \S+->`)

func brief(message string) string {
	for _, known := range asides {
		message = known.aside.ReplaceAllString(message, known.brief)
	}
	return message
}

// textOfStatus returns the reason and the message, with the causes that the message leaves out, and with the object if
// the caller does not name it.
func textOfStatus(status metav1.Status, isNamed bool) string {
	message := brief(status.Message)
	reason := string(status.Reason)
	if reason == "" {
		reason = fmt.Sprintf("HTTP %d", status.Code)
	}
	parts := []string{reason}
	if details := status.Details; details != nil && details.Name != "" && !isNamed {
		parts = []string{details.Kind + " " + details.Name, reason}
	}
	if message != "" {
		parts = append(parts, message)
	}
	return strings.Join(parts, ": ") + strings.Join(causesBeside(message, status.Details), "")
}

// causesBeside returns the causes that the message does not contain.
func causesBeside(message string, details *metav1.StatusDetails) []string {
	if details == nil {
		return nil
	}
	var texts []string
	for _, cause := range details.Causes {
		words := brief(cause.Message)
		if words != "" && strings.Contains(message, words) {
			continue
		}
		for _, part := range []string{cause.Field, words} {
			if part != "" {
				texts = append(texts, ": "+part)
			}
		}
	}
	return texts
}

// rootOf returns the network's own message, without the URL and the local port.
func rootOf(err error) string {
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op != "dial" {
		err = op.Err
	}
	return localPort.ReplaceAllString(err.Error(), "$1 $2 ")
}
