package authsim

import (
	"encoding/json"
	"net/http"
	"time"
)

// FaultKind is what goes wrong. The set is closed.
type FaultKind string

// Faults that strike before the request is processed: nothing changes at the
// server, a refresh token that was presented is intact.
const (
	// FaultRefuse answers with an OAuth error: Status, Code, Description.
	FaultRefuse FaultKind = "refuse"
	// FaultDropBefore closes the connection.
	FaultDropBefore FaultKind = "drop-before"
	// FaultRateLimited answers 429 with the header Retry-After, where given.
	FaultRateLimited FaultKind = "rate-limited"
	// FaultServerError answers with Status, 500 to 599, and with the header
	// Retry-After, where given.
	FaultServerError FaultKind = "server-error"
	// FaultHTML answers with an HTML page and Status, 200 to 599: some proxies call their error page a success.
	FaultHTML FaultKind = "html"
	// FaultRedirect answers with Status 301, 302, 303, 307 or 308 and Location.
	FaultRedirect FaultKind = "redirect"
)

// Faults around or after the processing: a refresh token that was presented is
// spent, unless the kind says otherwise.
const (
	// FaultSlow waits for Delay, in real time, and then processes the request
	// whether or not the client is still there. Close cuts the wait short.
	FaultSlow FaultKind = "slow"
	// FaultDropAfter closes the connection instead of replying.
	FaultDropAfter FaultKind = "drop-after"
	// FaultServerErrorAfter answers with Status, 500 to 599.
	FaultServerErrorAfter FaultKind = "server-error-after"
	// FaultTruncate announces the whole reply, sends KeepBytes of its body and
	// closes the connection.
	FaultTruncate FaultKind = "truncate"
	// FaultExpiresIn replaces expires_in by any JSON, or removes it where
	// ExpiresIn is empty.
	FaultExpiresIn FaultKind = "expires-in"
	// FaultSameRefreshToken honours a refresh token, does not spend it, and
	// returns it. Other grants are unaffected.
	FaultSameRefreshToken FaultKind = "same-refresh-token"
	// FaultOmitRefreshToken honours a refresh token, does not spend it, and
	// replies without one. A login by password is issued none.
	FaultOmitRefreshToken FaultKind = "omit-refresh-token"
	// FaultOversized makes the reply 70 KiB larger, before its first field.
	FaultOversized FaultKind = "oversized"
)

// oversize is more than the 256 KiB that a careful client reads.
const oversize = 300 << 10

// Fault says which token requests go wrong and how. Parameters that its kind
// does not name are ignored. ParseFault reads and String writes the text form.
type Fault struct {
	// At is the n-th token request from the moment the fault is added, from 1.
	// 0 means every one, as long as Times allows.
	At int
	// Times is how many requests in a row are struck. 0 means one where At is
	// given, and no end where it is not.
	Times int
	// Grant lets only requests of this grant type count, or, where it is
	// GrantRevocation, those to the revocation endpoint. Empty: all token
	// requests count, and no others.
	Grant string
	Kind  FaultKind

	Status      int             // 0: 400 (401 for invalid_client), 500, 502 for html, 307 for a redirect
	Code        string          // of refuse; empty: invalid_grant
	Description string          // of refuse
	Delay       time.Duration   // of slow
	RetryAfter  string          // of rate-limited and server-error: seconds or an HTTP date, sent as it is
	Location    string          // of redirect
	KeepBytes   int             // of truncate
	ExpiresIn   json.RawMessage // of expires-in
}

// before is the ruling of a fault that strikes before the request is processed.
func (f Fault) before() (ruling, bool) {
	// The other kinds let the request be processed.
	//exhaustive:ignore
	switch f.Kind {
	case FaultRefuse:
		return refusal(f.Status, Outcome(f.Code), f.Description), true
	case FaultDropBefore:
		return unprocessed(answer{dropped: true}), true
	case FaultRateLimited:
		return unprocessed(f.plainError(http.StatusTooManyRequests)), true
	case FaultServerError:
		return unprocessed(f.plainError(f.Status)), true
	case FaultHTML:
		return unprocessed(htmlAnswer(f.Status)), true
	case FaultRedirect:
		moved := answer{status: f.Status, header: http.Header{}}
		moved.header.Set("Location", f.Location)
		return unprocessed(moved), true
	}
	return ruling{}, false
}

func unprocessed(reply answer) ruling {
	return ruling{outcome: OutcomeUnprocessed, answer: reply}
}

// plainError has the vendor's shape and, where the fault names one, Retry-After.
func (f Fault) plainError(status int) answer {
	reply := fluentAnswer(status, status, http.StatusText(status))
	if f.RetryAfter != "" {
		reply.header.Set("Retry-After", f.RetryAfter)
	}
	return reply
}

// after spoils the reply of a request that was processed.
func (f Fault) after(reply answer) answer {
	// The other kinds leave the reply as it is.
	//exhaustive:ignore
	switch f.Kind {
	case FaultDropAfter:
		return answer{dropped: true}
	case FaultServerErrorAfter:
		return fluentAnswer(f.Status, f.Status, http.StatusText(f.Status))
	case FaultTruncate:
		reply.cut, reply.keep = true, f.KeepBytes
	case FaultOversized:
		return reply.padded(oversize)
	}
	return reply
}

// keepsRefreshToken reports whether a refresh leaves its token unspent.
func (f Fault) keepsRefreshToken() bool {
	return f.Kind == FaultSameRefreshToken || f.Kind == FaultOmitRefreshToken
}

// expiresIn is the value of expires_in; nil leaves it out.
func (f Fault) expiresIn(remaining time.Duration) json.RawMessage {
	if f.Kind == FaultExpiresIn {
		return f.ExpiresIn
	}
	return wholeSeconds(remaining)
}

// delay is how long the request is held up.
func (f Fault) delay() time.Duration {
	if f.Kind == FaultSlow {
		return f.Delay
	}
	return 0
}
