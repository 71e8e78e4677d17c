package exchange

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"syscall"

	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/redact"
	"github.com/fluent-credential/operator/internal/token"
)

// describeDial tells why a connection could not be made, in words that stay the same while the situation does: no port of our
// own, no resolver's address.
func describeDial(err error) string {
	var name *net.DNSError
	var operation *net.OpError
	var proxy *proxyError
	var lookup *lookupError
	switch {
	case errors.As(err, &proxy):
		return proxy.describe()
	case errors.As(err, &lookup):
		return lookup.Error()
	case errors.As(err, &name) && name.IsNotFound:
		return "the host " + name.Name + " does not exist"
	case errors.As(err, &name):
		return "the host " + name.Name + " cannot be looked up"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "no connection in time"
	case errors.Is(err, context.Canceled):
		return "the connection was not waited for"
	case isCertificate(err):
		return "the endpoint's certificate is not trusted: " + certificateCause(err)
	case errors.As(err, &operation):
		return rootCause(operation)
	}
	return "TLS could not be agreed on"
}

func isCertificate(err error) bool {
	var verification *tls.CertificateVerificationError
	return errors.As(err, &verification)
}

func certificateCause(err error) string {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &authority):
		return "signed by an unknown authority"
	case errors.As(err, &name):
		return "it is for another host"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "it has expired, or is not valid yet"
	}
	return "it is not valid"
}

// rootCause is the system's own word for it, for example "connection refused", or the alert by which the peer ended TLS.
func rootCause(operation *net.OpError) string {
	var number syscall.Errno
	switch {
	case errors.As(operation, &number):
		return number.Error()
	case operation.Op == "remote error":
		return "the endpoint ended TLS: " + operation.Err.Error()
	}
	return "the connection failed"
}

// presentable makes the API's own words fit for a condition.
func presentable(problem provider.Problem, secrets []token.Secret) provider.Problem {
	problem.Code, problem.Description = redact.Words(problem.Code, secrets...), redact.Words(problem.Description, secrets...)
	return problem
}
