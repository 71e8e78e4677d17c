package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/fluent-credential/operator/internal/printable"
)

// trouble is the kind of an error of a request to the cluster.
type trouble string

const (
	noTrouble      trouble = ""
	noConfig       trouble = "noConfig"       // there is no kubeconfig, or it is broken
	noCredentials  trouble = "noCredentials"  // the kubeconfig's helper program returned none
	notReachable   trouble = "notReachable"   // nothing answered
	notTrusted     trouble = "notTrusted"     // the certificate of the server or of the user is not accepted
	unknownUser    trouble = "unknownUser"    // the API server answered: it does not know the user
	forbidden      trouble = "forbidden"      // the user may not do this
	unknownKind    trouble = "unknownKind"    // the CRD is not installed
	noNamespace    trouble = "noNamespace"    // the namespace does not exist, or is being deleted
	notFound       trouble = "notFound"       // another object does not exist
	cannotNow      trouble = "cannotNow"      // the API server answered: it cannot handle the request at the moment
	refusedObject  trouble = "refusedObject"  // the API server judged the object and refuses it
	interruptedNow trouble = "interruptedNow" // the user ended the command
)

// troubleOf classifies the error of a request to the cluster. It is total: an unknown error does not count as a
// judgment of the object.
func troubleOf(err error) trouble {
	if err == nil {
		return noTrouble
	}
	for _, each := range flat(err) {
		if what := troubleOfOne(each); what != cannotNow {
			return what
		}
	}
	return cannotNow
}

// flat splits the errors that discovery joins: the errors of groups, which do not unwrap.
func flat(err error) []error {
	var groups *discovery.ErrGroupDiscoveryFailed
	var resources *apiutil.ErrResourceDiscoveryFailed
	found := []error{err}
	if errors.As(err, &groups) {
		for _, each := range groups.Groups {
			found = append(found, flat(each)...)
		}
	}
	if errors.As(err, &resources) {
		for _, each := range *resources {
			found = append(found, flat(each)...)
		}
	}
	return found
}

func troubleOfOne(err error) trouble {
	var network net.Error
	var request *url.Error
	var config *configError
	switch {
	case errors.As(err, &config):
		return noConfig
	case errors.Is(err, context.Canceled):
		return interruptedNow
	case meta.IsNoMatchError(err):
		return unknownKind
	case clientcmd.IsEmptyConfig(err), clientcmd.IsConfigurationInvalid(err), clientcmd.IsContextNotFound(err):
		return noConfig
	case strings.Contains(err.Error(), "getting credentials: "): // client-go has no type for it
		return noCredentials
	case isDistrust(err):
		return notTrusted
	case apierrors.ReasonForError(err) != metav1.StatusReasonUnknown || isStatus(err):
		what := troubleOfStatus(err)
		if what == refusedObject && strings.Contains(err.Error(), "failed to get server groups: ") { // it has no type
			return notReachable // nothing was judged yet: something in between answers
		}
		return what
	case errors.As(err, &request), errors.As(err, &network), errors.Is(err, context.DeadlineExceeded):
		return notReachable
	}
	return cannotNow
}

func isStatus(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status)
}

// isDistrust reports whether one side did not accept a certificate.
func isDistrust(err error) bool {
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &invalid) || errors.As(err, &host) || errors.As(err, &unknown) {
		return true
	}
	var alert *net.OpError // the type of a TLS alert is not exported
	return errors.As(err, &alert) && alert.Op == "remote error"
}

// statusTroubles maps the API server's reasons to troubles.
var statusTroubles = map[metav1.StatusReason]trouble{
	metav1.StatusReasonUnauthorized:          unknownUser,
	metav1.StatusReasonForbidden:             forbidden,
	metav1.StatusReasonNotFound:              notFound,
	metav1.StatusReasonAlreadyExists:         refusedObject,
	metav1.StatusReasonConflict:              cannotNow,
	metav1.StatusReasonGone:                  cannotNow,
	metav1.StatusReasonInvalid:               refusedObject,
	metav1.StatusReasonServerTimeout:         cannotNow,
	metav1.StatusReasonStoreReadError:        cannotNow,
	metav1.StatusReasonTimeout:               cannotNow,
	metav1.StatusReasonTooManyRequests:       cannotNow,
	metav1.StatusReasonBadRequest:            refusedObject,
	metav1.StatusReasonMethodNotAllowed:      cannotNow,
	metav1.StatusReasonNotAcceptable:         cannotNow,
	metav1.StatusReasonRequestEntityTooLarge: refusedObject,
	metav1.StatusReasonUnsupportedMediaType:  cannotNow,
	metav1.StatusReasonInternalError:         cannotNow,
	metav1.StatusReasonExpired:               cannotNow,
	metav1.StatusReasonServiceUnavailable:    cannotNow,
	metav1.StatusReasonUnknown:               cannotNow,
}

func troubleOfStatus(err error) trouble {
	what := statusTroubles[apierrors.ReasonForError(err)]
	var refused apierrors.APIStatus
	if !errors.As(err, &refused) {
		return cannotNow
	}
	status := refused.Status()
	switch {
	case apierrors.HasStatusCause(err, "NamespaceTerminating"):
		return noNamespace
	case what == notFound && status.Details != nil && status.Details.Kind == "namespaces":
		return noNamespace
	case what == notFound && strings.HasPrefix(status.Message, "the server could not find the requested resource"):
		return unknownKind // the kind was removed after discovery
	case what == forbidden && !isOfAuthorizer(status.Message):
		return refusedObject // a quota, a policy or a webhook judged the object
	case status.Reason == metav1.StatusReasonUnknown && status.Code >= 400 && status.Code < 500:
		return refusedObject // a webhook may choose any code
	case what == noTrouble:
		return cannotNow // a reason that a newer Kubernetes has
	}
	return what
}

// isOfAuthorizer reports whether a refusal is about the user. The API server uses the same reason for refused users and
// refused objects, and different words.
func isOfAuthorizer(message string) bool {
	return strings.Contains(message, `User "`) && strings.Contains(message, " cannot ") ||
		strings.Contains(message, "forbidden: User ")
}

// isAway reports whether the cluster cannot be asked for anything.
func (t trouble) isAway() bool {
	return slices.Contains([]trouble{noConfig, noCredentials, notReachable, notTrusted, unknownUser}, t)
}

// hints is the advice for each trouble.
var hints = map[trouble]string{
	noConfig: "There is no usable kubeconfig: set KUBECONFIG or --kubeconfig, and --context if it has several.",
	noCredentials: "The program that the kubeconfig names for your credentials failed: " +
		"log in to the cluster again, or " +
		"choose another user with --context.",
	notReachable: "The API server cannot be reached: see \"kubectl cluster-info\", or choose another cluster with " +
		"--context.",
	notTrusted: "A certificate is not accepted, the API server's or that of your kubeconfig: " +
		"has it expired, or is it " +
		"that of another cluster? Choose one with --context.",
	unknownUser: "The API server does not know you: log in to the cluster again, " +
		"or choose another user with --context.",
	forbidden: "Your user may not do this: \"kubectl auth can-i --list\" shows what it may do.",
	unknownKind: "This cluster does not know FluentCredentials: install the CRD, or look at another cluster with " +
		"--context.",
	noNamespace: "The namespace does not exist, or is being deleted: \"kubectl get namespaces\" shows them; " +
		"-n chooses " +
		"one.",
	notFound:  "\"kubectl fluent list -A\" shows what there is; -n chooses the namespace.",
	cannotNow: "",
}

// explain reports what went wrong and what to do about it. Only an error of this package has several lines.
func explain(err error) string {
	text := printable.Visible(err.Error())
	var known *exitError
	if errors.As(err, &known) {
		text = printable.VisibleLines(err.Error())
	}
	if hint := hints[troubleOf(err)]; hint != "" {
		return text + "\n" + hint
	}
	return text
}
