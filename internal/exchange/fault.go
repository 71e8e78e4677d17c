package exchange

import (
	"slices"

	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// phase is the step of an exchange that failed.
type phase int

// The phases, in order.
const (
	atURL       phase  = iota // the Policy checks the endpoint's URL, and the request is built
	atTrust                   // caBundle is read
	atLookup                  // the addresses of a name are looked up
	atAddress                 // the Policy checks an address that was looked up
	atConnect                 // TCP
	atProxy                   // the connection to the proxy, and what the proxy does
	atHandshake               // TLS
	atWrite                   // the request; nothing of it has been written
	midWrite                  // the request; a part of it has been written
	atRead                    // the request has been written, nothing of the reply has been read
	midRead                   // a part of the reply has been read
	phases      = iota        // the number of phases
)

// kind is what went wrong.
type kind int

// The kinds.
const (
	other         kind = iota
	disallowed         // by the Policy
	notFound           // a name that does not exist
	temporary          // a name that cannot be looked up
	refused            // a port at which nothing listens
	reset              // the connection was reset
	closed             // the connection was closed
	unreachable        // no route
	timedOut           //
	canceled           //
	tooLate            // the claim's deadline has passed
	declined           // the proxy answered, and made no tunnel
	noTLS              // the peer speaks something else
	unnamed            // a certificate without subject alternative names
	forOtherHost       // a certificate
	notForServers      // a certificate whose extended key usage leaves servers out
	expired            // a certificate
	notYetValid        // a certificate
	unknownIssuer      // a certificate
	weak               // a certificate whose key or signature is too weak
	invalid            // any other fault of a certificate
	wantsClient        // the peer requires a client certificate
	rejectedTLS        // the peer ended the handshake with an alert
	brokenTLS          // the peer ended TLS with an alert that can come at any time
	tooLarge           // the reply
	malformed          // the reply is not HTTP
	unknownCoding      // the reply's content coding
	damagedCoding      // the reply's content coding
	kinds         = iota
)

// fault is the reason why there is no reply that an API's dialect could read.
type fault struct {
	phase  phase
	kind   kind
	host   string // the name that was looked up
	proxy  string // host and port of the proxy; empty if it has no part in this
	detail string // the words of the system, of the certificate check or of the Policy
	status int    // of a received reply that cannot be used
	asked  bool   // the peer asked for a client certificate
	cause  error
}

func (f *fault) Error() string { return f.words() }

// Unwrap returns the classified error.
func (f *fault) Unwrap() error { return f.cause }

// answer returns what a fault means for the token, when to act again, and why. It is total: every phase and every kind
// has a result.
func (f *fault) answer() provider.Answer {
	return provider.Answer{
		Verdict: f.verdict(), Cause: f.class(),
		Problem: provider.Problem{Status: f.status, Code: f.code(), Description: f.words()},
	}
}

// verdict returns Unsent if the endpoint cannot have read the request: nothing of it was written, or the peer ended the
// TLS handshake. In TLS 1.3 the client completes the handshake before the server has checked the client's part of it,
// so the alert comes after the request. The alert proves something only before the first byte of a reply.
func (f *fault) verdict() token.Verdict {
	switch f.phase {
	case atURL, atTrust:
		return token.RefusedIntact
	case atLookup, atAddress, atConnect, atProxy, atHandshake, atWrite:
		return token.Unsent
	case midWrite, atRead:
		if f.kind == wantsClient || f.kind == rejectedTLS {
			return token.Unsent
		}
	case midRead:
	}
	return token.Unknown
}

// class returns Passing for everything that can change out of sight: names, routes, servers and their certificates.
func (f *fault) class() failure.Cause {
	switch {
	case f.phase == atURL && f.kind == disallowed:
		return failure.NeedsPerson(failure.EndpointPolicy)
	case f.phase == atURL, f.phase == atTrust:
		return failure.NeedsPerson(failure.Spec)
	}
	return failure.Passing()
}

// code returns the code of the Problem, which chooses the reason of a condition.
func (f *fault) code() string {
	switch {
	case f.phase == atURL, f.phase == atTrust, f.phase == atAddress:
		return NotAllowed
	case slices.Contains([]kind{tooLarge, unknownCoding, damagedCoding}, f.kind) && f.phase >= atRead:
		return provider.InvalidReply
	}
	return ""
}
