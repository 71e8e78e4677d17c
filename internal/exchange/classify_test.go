package exchange

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// judgement is what the phase of a fault makes of every kind, but for those that are named.
type judgement struct {
	verdict token.Verdict
	cause   failure.Cause
	code    string
	but     map[kind]judgement
	why     string
}

// judgements has a row for each phase.
var judgements = map[phase]judgement{
	atURL: {token.RefusedIntact, failure.NeedsPerson(failure.Spec), NotAllowed, map[kind]judgement{
		disallowed: {token.RefusedIntact, failure.NeedsPerson(failure.EndpointPolicy), NotAllowed, nil, "the URL is the user's, the policy the administrator's"},
	}, "only another spec helps"},
	atTrust:     {token.RefusedIntact, failure.NeedsPerson(failure.Spec), NotAllowed, nil, "only another caBundle helps"},
	atLookup:    {token.Unsent, failure.Passing(), "", nil, "a name server can be wrong for a while"},
	atAddress:   {token.Unsent, failure.Passing(), NotAllowed, nil, "a name server that lies once says something else the next time"},
	atConnect:   {token.Unsent, failure.Passing(), "", nil, "nothing was sent"},
	atProxy:     {token.Unsent, failure.Passing(), "", nil, "the proxy sees nothing of a request before there is a tunnel"},
	atHandshake: {token.Unsent, failure.Passing(), "", nil, "a server gets another certificate at any moment"},
	atWrite:     {token.Unsent, failure.Passing(), "", nil, "not a byte left this process"},
	midWrite:    {token.Unknown, failure.Passing(), "", notLookedAt, "the endpoint may have looked at what it has"},
	atRead: {token.Unknown, failure.Passing(), "", merged(notLookedAt, map[kind]judgement{
		tooLarge: unreadable, unknownCoding: unreadable, damagedCoding: unreadable,
	}), "the token may be spent"},
	midRead: {token.Unknown, failure.Passing(), "", map[kind]judgement{
		tooLarge: unreadable, unknownCoding: unreadable, damagedCoding: unreadable,
	}, "an endpoint that has begun to answer has looked at the request"},
}

var (
	notLookedAt = map[kind]judgement{
		wantsClient: {token.Unsent, failure.Passing(), "", nil, "the endpoint is not through with the handshake"},
		rejectedTLS: {token.Unsent, failure.Passing(), "", nil, "the endpoint is not through with the handshake"},
	}
	unreadable = judgement{token.Unknown, failure.Passing(), provider.InvalidReply, nil, "there is a reply, and it cannot be used"}
)

func merged(some, others map[kind]judgement) map[kind]judgement {
	all := map[kind]judgement{}
	for _, one := range []map[kind]judgement{some, others} {
		for kind, judgement := range one {
			all[kind] = judgement
		}
	}
	return all
}

// spoken is a part of the words of each kind that has no detail.
var spoken = map[kind]string{
	other: "", disallowed: "is not allowed", notFound: "does not exist", temporary: "cannot be looked up",
	refused: "refused", reset: "reset", closed: "closed", unreachable: "no route", timedOut: "in time", canceled: "not waited for",
	tooLate: "deadline passed", declined: "no connection to the endpoint", noTLS: "does not speak TLS", unnamed: "no subject alternative name",
	forOtherHost: "for another host", notForServers: "not meant for servers", expired: "has expired", notYetValid: "not valid yet",
	unknownIssuer: "unknown authority", weak: "too weak", invalid: "not valid", wantsClient: "requires a client certificate",
	rejectedTLS: "ended TLS", brokenTLS: "ended TLS", tooLarge: "larger than 256 KiB", malformed: "not valid HTTP",
	unknownCoding: "content coding", damagedCoding: "damaged or incomplete",
}

// TestEveryFaultIsClassified goes over all phases and all kinds.
func TestEveryFaultIsClassified(t *testing.T) {
	if len(judgements) != phases || len(spoken) != kinds {
		t.Fatalf("%d of %d phases and %d of %d kinds have a row", len(judgements), phases, len(spoken), kinds)
	}
	for at := range phase(phases) {
		row := judgements[at]
		for what := range kind(kinds) {
			want := row
			if exception, is := row.but[what]; is {
				want = exception
			}
			got := (&fault{phase: at, kind: what}).answer()
			if got.Verdict != want.verdict || got.Cause != want.cause || got.Problem.Code != want.code {
				t.Errorf("phase %d, kind %d: %s, %v, %q; want %s, %v, %q: %s",
					at, what, got.Verdict, got.Cause, got.Problem.Code, want.verdict, want.cause, want.code, want.why)
			}
			if words := got.Problem.Description; words == "" || !strings.Contains(words, spoken[what]) {
				t.Errorf("phase %d, kind %d is told as %q, want %q in it", at, what, words, spoken[what])
			}
		}
	}
}

// TestNoFaultLetsAWrittenTokenGo: once a byte of the request was written, only the end of the TLS handshake proves
// that nothing was spent; once a byte of the reply was read, nothing does.
func TestNoFaultLetsAWrittenTokenGo(t *testing.T) {
	for at := midWrite; at < phase(phases); at++ {
		for what := range kind(kinds) {
			ended := at != midRead && (what == wantsClient || what == rejectedTLS)
			if got := (&fault{phase: at, kind: what}).verdict(); got != token.Unknown && !ended {
				t.Errorf("phase %d, kind %d: %s", at, what, got)
			}
		}
	}
}

func alert(code tls.AlertError) error { return &net.OpError{Op: "remote error", Err: code} }

// TestErrorsAreClassified holds the errors of the runtime and of the system against their kinds.
func TestErrorsAreClassified(t *testing.T) {
	system := func(number syscall.Errno) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", number)}
	}
	tests := map[string]struct {
		err   error
		at    phase
		phase phase
		kind  kind
		says  string
	}{
		"no such host":    {&net.DNSError{Name: "a.example", IsNotFound: true}, atConnect, atLookup, notFound, "the host a.example does not exist"},
		"server failure":  {&net.DNSError{Name: "a.example", IsTemporary: true}, atConnect, atLookup, temporary, "the host a.example cannot be looked up"},
		"silent resolver": {&net.DNSError{Name: "a.example", IsTimeout: true}, atConnect, atLookup, timedOut, "the host a.example cannot be looked up in time"},
		"no such proxy":   {&net.DNSError{Name: "proxy", IsNotFound: true}, atProxy, atProxy, notFound, "the host proxy does not exist"},
		"a lie":           {&net.OpError{Op: "dial", Err: notAllowed("a has a loopback address")}, atConnect, atAddress, disallowed, "a has a loopback address"},
		"a bad URL":       {notAllowed("the endpoint has no host"), atURL, atURL, disallowed, "the endpoint has no host"},
		"refused":         {system(syscall.ECONNREFUSED), atConnect, atConnect, refused, "connection refused"},
		"no route":        {system(syscall.EHOSTUNREACH), atConnect, atConnect, unreachable, "no route to host"},
		"no network":      {system(syscall.ENETUNREACH), atConnect, atConnect, unreachable, "network is unreachable"},
		"no answer":       {system(syscall.ETIMEDOUT), atConnect, atConnect, timedOut, "no connection in time"},
		"no more files":   {system(syscall.EMFILE), atConnect, atConnect, other, "too many open files"},
		"filtered":        {system(syscall.EPERM), atConnect, atConnect, other, "operation not permitted"},
		"stopped":         {context.Canceled, atHandshake, atHandshake, canceled, "the connection was not waited for"},
		"slow":            {context.DeadlineExceeded, atHandshake, atHandshake, timedOut, "no connection in time"},
		"hung up":         {io.EOF, atHandshake, atHandshake, closed, "the connection was closed during the TLS handshake"},
		"not TLS":         {tls.RecordHeaderError{Msg: "x"}, atHandshake, atHandshake, noTLS, "the endpoint does not speak TLS"},
		"broken pipe":     {system(syscall.EPIPE), atWrite, atWrite, reset, "broken pipe"},
		"fenced":          {errTooLate, atWrite, atWrite, tooLate, "the request was not sent: the claim's deadline passed"},
		"no reply":        {os.ErrDeadlineExceeded, atRead, atRead, timedOut, "no reply in time"},
		"cut off":         {io.ErrUnexpectedEOF, midRead, midRead, closed, "the connection was closed before the reply was complete"},
		"nonsense":        {errors.New("malformed HTTP status code \"secret\""), midRead, midRead, malformed, "the reply is not valid HTTP"},
		"too large":       {fmt.Errorf("reading: %w", errTooLarge), midRead, midRead, tooLarge, "the reply is larger than 256 KiB"},
		"certificate":     {alert(116), atRead, atRead, wantsClient, "the endpoint requires a client certificate"},
		"failure":         {alert(40), atRead, atRead, rejectedTLS, "the endpoint ended TLS: tls: handshake failure"},
		"internal error":  {alert(80), atRead, atRead, brokenTLS, "the endpoint ended TLS: tls: internal error"},
		"other":           {errors.New("secret"), atHandshake, atHandshake, other, "TLS could not be agreed on"},
	}
	for name, test := range tests {
		got := faultOf(test.at, test.err)
		if got.phase != test.phase || got.kind != test.kind || got.words() != test.says {
			t.Errorf("%s: phase %d, kind %d, %q; want %d, %d, %q", name, got.phase, got.kind, got.words(), test.phase, test.kind, test.says)
		}
		if again := faultOf(midRead, fmt.Errorf("because of %w", got)); again != got {
			t.Errorf("%s: classified twice, it is another", name)
		}
	}
}

// TestOnlyTheEndOfAHandshakeIsOne: any other alert can come from a proxy that has passed the request on.
func TestOnlyTheEndOfAHandshakeIsOne(t *testing.T) {
	ofHandshake := []tls.AlertError{40, 42, 43, 44, 45, 46, 48, 49, 70, 71, 86, 109, 110, 112, 116, 120}
	for code := range 256 {
		alertCode := tls.AlertError(code)
		verdict := faultOf(atRead, alert(alertCode)).verdict()
		if (verdict == token.Unsent) != slices.Contains(ofHandshake, alertCode) {
			t.Errorf("alert %d (%s): %s", code, alertCode, verdict)
		}
		if verdict := faultOf(midRead, alert(alertCode)).verdict(); verdict != token.Unknown {
			t.Errorf("alert %d after the reply had begun: %s", code, verdict)
		}
	}
}

// scripted is a connection that takes so many bytes, and then gives what it has to give.
type scripted struct {
	net.Conn
	takes int // bytes of the request; negative: all
	gives string
	ends  error
}

func (s *scripted) Write(b []byte) (int, error) {
	if s.takes < 0 {
		return len(b), nil
	}
	n := min(s.takes, len(b))
	s.takes -= n
	if n < len(b) {
		return n, &net.OpError{Op: "write", Err: syscall.ECONNRESET}
	}
	return n, nil
}

func (s *scripted) Read(b []byte) (int, error) {
	if s.gives == "" {
		return 0, s.ends
	}
	n := copy(b, s.gives)
	s.gives = s.gives[n:]
	return n, nil
}

// TestWhatComesAroundAFailedRequest: an endpoint may answer before it has read everything, and its alert may come at
// any time.
func TestWhatComesAroundAFailedRequest(t *testing.T) {
	const dead = `{"error":"invalid_grant"}`
	tests := map[string]struct {
		conn    scripted
		verdict token.Verdict
		why     string
	}{
		"alert":                        {scripted{takes: -1, ends: alert(116)}, token.Unsent, "the handshake was never over"},
		"alert, request cut off":       {scripted{takes: 10, ends: alert(116)}, token.Unsent, "the handshake was never over"},
		"alert, nothing written":       {scripted{takes: 0, ends: alert(116)}, token.Unsent, "not a byte was written"},
		"alert after half a status":    {scripted{takes: -1, gives: "HTTP/1.1 2", ends: alert(116)}, token.Unknown, "it has answered"},
		"alert after an interim reply": {scripted{takes: -1, gives: "HTTP/1.1 100 Continue\r\n\r\n", ends: alert(40)}, token.Unknown, "it has looked at the request"},
		"another alert":                {scripted{takes: -1, ends: alert(80)}, token.Unknown, "a proxy that fails after it has passed the request on says so"},
		"close notify":                 {scripted{takes: -1, ends: io.EOF}, token.Unknown, "the request was written"},
		"cut off, then refused":        {scripted{takes: 10, gives: reply("400 Bad Request", dead), ends: io.EOF}, token.RefusedDead, "a whole reply is a reply"},
		"cut off, then granted":        {scripted{takes: 10, gives: reply("200 OK", granting), ends: io.EOF}, token.Granted, "a whole reply is a reply"},
		"cut off":                      {scripted{takes: 10, ends: io.EOF}, token.Unknown, "a part was written"},
		"refused, nothing written":     {scripted{takes: 0, gives: reply("400 Bad Request", dead), ends: io.EOF}, token.Unsent, "what comes before the request is no reply to it"},
		"timed out, nothing written":   {scripted{takes: 0, gives: reply("408 Request Timeout", ""), ends: io.EOF}, token.Unsent, "a load balancer that waited too long says so"},
	}
	for name, test := range tests {
		conn := test.conn
		conn.Conn, _ = net.Pipe()
		dialer := Dialer{Policy: developing, Connect: func(context.Context, string, string) (net.Conn, error) { return &conn, nil }}
		api := oauth2(t, "http://login.example/token", provider.Form)
		if got := exchanged(t, dialer, api, request(t, api)); got.Verdict != test.verdict {
			t.Errorf("%s: got %+v, want %s: %s", name, outcomeOf(got), test.verdict, test.why)
		}
	}
}
