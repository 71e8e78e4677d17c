package exchange

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/redact"
	"github.com/fluent-credential/operator/internal/token"
)

// faultOf classifies an error of a phase. An error that is already classified stays as it is.
func faultOf(at phase, err error) *fault {
	var known *fault
	if errors.As(err, &known) {
		return known
	}
	f := &fault{phase: at, cause: err}
	var name *net.DNSError
	switch reason, isForbidden := IsNotAllowed(err); {
	case isForbidden:
		f.kind = disallowed
		f.detail = reason
		if at > atAddress { // the dialer's Control returned it
			f.phase = atAddress
		}
	case errors.Is(err, errTooLate):
		f.kind = tooLate
	case errors.Is(err, context.Canceled):
		f.kind = canceled
	case errors.As(err, &name):
		f.phase = atLookup
		f.kind = lookupKind(name)
		f.host = name.Name
		if at == atProxy {
			f.phase = atProxy
		}
	case isTimeout(err):
		f.kind = timedOut
	case certificateFault(f, err), tlsFault(f, err), systemFault(f, err):
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		f.kind = closed
	case errors.Is(err, errHeaderTooLarge):
		f.kind = tooLarge
		f.detail = fmt.Sprintf("the header of the reply is larger than %d KiB", MaxHeader>>10)
	case errors.Is(err, errTooLarge):
		f.kind = tooLarge
	case at >= atRead:
		f.kind = malformed
	}
	return f
}

func lookupKind(err *net.DNSError) kind {
	switch {
	case err.IsNotFound:
		return notFound
	case err.IsTimeout:
		return timedOut
	}
	return temporary
}

func isTimeout(err error) bool {
	var network net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &network) && network.Timeout()
}

// systemFault classifies the operating system's own error.
func systemFault(f *fault, err error) bool {
	var number syscall.Errno
	if !errors.As(err, &number) {
		return false
	}
	f.detail = number.Error()
	switch number {
	case syscall.ECONNREFUSED:
		f.kind = refused
	case syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE:
		f.kind = reset
	case syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EADDRNOTAVAIL:
		f.kind = unreachable
	default:
		f.kind = other
	}
	return true
}

// certificateFault classifies why a certificate is not trusted.
func certificateFault(f *fault, err error) bool {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var fault x509.CertificateInvalidError
	var verification *tls.CertificateVerificationError
	switch {
	case isWeak(err):
		f.kind = weak
	case errors.As(err, &name):
		f.kind, f.detail = otherHost(name.Certificate)
	case errors.As(err, &fault):
		f.kind, f.detail = invalidCertificate(fault)
	case errors.As(err, &authority):
		f.kind = unknownIssuer
	case errors.As(err, &verification):
		f.kind = invalid
		f.detail = withoutPackage(verification.Err)
	default:
		return false
	}
	return true
}

// isWeak reports whether a signature was rejected for its algorithm or its key. The verifier keeps that as a hint in
// the text of another error, and crypto/rsa has no type for it.
func isWeak(err error) bool {
	var algorithm x509.InsecureAlgorithmError
	return errors.As(err, &algorithm) || strings.Contains(err.Error(), "insecure algorithm") ||
		strings.Contains(err.Error(), "keys are insecure")
}

// otherHost distinguishes a certificate for other hosts from one that has only a common name, which is ignored.
func otherHost(certificate *x509.Certificate) (kind, string) {
	names := slices.Clone(certificate.DNSNames)
	for _, address := range certificate.IPAddresses {
		names = append(names, address.String())
	}
	if len(names) == 0 {
		return unnamed, ""
	}
	return forOtherHost, redact.Words(strings.Join(names, ", "))
}

func invalidCertificate(err x509.CertificateInvalidError) (kind, string) {
	whose := ""
	if err.Cert != nil && err.Cert.IsCA {
		whose = "the certificate of its authority"
	}
	switch err.Reason {
	case x509.Expired:
		if strings.Contains(err.Detail, " is before ") {
			return notYetValid, whose
		}
		return expired, whose
	case x509.IncompatibleUsage:
		return notForServers, ""
	default:
		return invalid, withoutPackage(err)
	}
}

// withoutPackage returns the text of an error, which repeats names of the certificate, without the package name.
func withoutPackage(err error) string { return redact.Words(strings.TrimPrefix(err.Error(), "x509: ")) }

// tlsFault classifies an alert of the peer, and a peer that does not speak TLS.
func tlsFault(f *fault, err error) bool {
	var record tls.RecordHeaderError
	var operation *net.OpError
	switch {
	case errors.As(err, &record):
		f.kind = noTLS
	case errors.As(err, &operation) && operation.Op == "remote error":
		f.kind = alertKind(operation.Err)
		f.detail = operation.Err.Error()
	default:
		return false
	}
	return true
}

// handshakeAlerts are the alerts with which a peer ends a handshake because it does not accept what the client sent.
// Any other alert may come at any time, also from a proxy that has passed the request on (RFC 8446 section 6.2).
var handshakeAlerts = []tls.AlertError{
	40,  // handshake_failure
	42,  // bad_certificate
	43,  // unsupported_certificate
	44,  // certificate_revoked
	45,  // certificate_expired
	46,  // certificate_unknown
	48,  // unknown_ca
	49,  // access_denied
	70,  // protocol_version
	71,  // insufficient_security
	86,  // inappropriate_fallback
	109, // missing_extension
	110, // unsupported_extension
	112, // unrecognized_name
	116, // certificate_required
	120, // no_application_protocol
}

const certificateRequired tls.AlertError = 116

// alertKind classifies an alert of the peer, which crypto/tls returns as a type of its own with the text of
// tls.AlertError.
func alertKind(alert error) kind {
	is := func(one tls.AlertError) bool { return one.Error() == alert.Error() }
	switch {
	case is(certificateRequired):
		return wantsClient
	case slices.ContainsFunc(handshakeAlerts, is):
		return rejectedTLS
	}
	return brokenTLS
}

// presentable makes the API's own words fit for a condition. A code that a standard or this operator defines reveals
// nothing of a secret, and it determines the reason of the condition.
func presentable(problem provider.Problem, secrets []token.Secret) provider.Problem {
	if !definedCodes[problem.Code] {
		problem.Code = redact.Words(problem.Code, secrets...)
	}
	problem.Description = redact.Words(problem.Description, secrets...)
	return problem
}

// Withhold returns the problem without the words of the API, for which other words stand. A defined code is kept.
func Withhold(problem provider.Problem, words string) provider.Problem {
	if !definedCodes[problem.Code] {
		problem.Code = ""
	}
	problem.Description = words
	return problem
}

// presentable returns the answer for a fault, whose words may come from the peer: from a header or a certificate.
func (f *fault) presentable(secrets []token.Secret) provider.Answer {
	answer := f.answer()
	answer.Problem = presentable(answer.Problem, secrets)
	return answer
}

// definedCodes are the codes of RFC 6749 section 5.2 and RFC 7009 section 2.2.1, and the operator's own.
var definedCodes = map[string]bool{
	"invalid_request":         true,
	"invalid_client":          true,
	"invalid_grant":           true,
	"unauthorized_client":     true,
	"unsupported_grant_type":  true,
	"invalid_scope":           true,
	"unsupported_token_type":  true,
	"access_denied":           true,
	"server_error":            true,
	"temporarily_unavailable": true,
	"invalid_token":           true,
	provider.InvalidReply:     true,
	provider.Redirect:         true,
	NotAllowed:                true,
}
