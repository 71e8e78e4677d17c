package controllers

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/plan"
)

// replying lets the endpoint answer every request with the same text, and process none.
func replying(text string) func(*ordeal) func() {
	return misbehaving(manners{unread: true, serve: func(reply turn) { reply.say(text) }})
}

func misbehaving(bad manners) func(*ordeal) func() {
	return func(o *ordeal) func() {
		o.rogue.manners.Store(&bad)
		return func() { o.rogue.manners.Store(nil) }
	}
}

// inJSON is a whole reply of JSON.
func inJSON(status, body string) string { return said(status, "application/json", body) }

// withHeader adds a header to a reply.
func withHeader(reply, header string) string {
	line, rest, _ := bytes.Cut([]byte(reply), []byte("\r\n"))
	return string(line) + "\r\n" + header + "\r\n" + string(rest)
}

const blockPage = "<html><head><title>Access blocked</title></head><body>Try again later.</body></html>"

// lastingReplies are failures of the endpoint that are whole, readable replies.
func lastingReplies() map[string]lastingFailure {
	blip := inJSON("401 Unauthorized", `{"error":"invalid_client","error_description":"blip"}`)
	tooMany := "You have made too many requests continuously. Please try again after some time."
	captive := "HTTP/1.1 307 Temporary Redirect\r\nLocation: https://captive.example/login\r\nContent-Length: 0\r\n\r\n"
	found := "HTTP/1.1 302 Found\r\nLocation: https://captive.example/login\r\nContent-Length: 0\r\n\r\n"
	return map[string]lastingFailure{
		"invalid_client": {breaks: replying(blip), says: "blip", why: "it has just worked, so it is not refused for good"},
		"invalid_client to a refresh token": {breaks: replying(blip), login: seeded, says: "blip",
			why: "the client was refused, and the token was not looked at"},
		"a new client secret that the server learns late": {breaks: changedSecret(blip), starts: []lastingStart{expiring, staying}, says: "blip",
			why: "its input has just changed, so it is not refused for good"},
		"unauthorized_client": {breaks: replying(inJSON("400 Bad Request", `{"error":"unauthorized_client"}`)), says: "unauthorized_client",
			why: "somebody may be changing the client"},
		"temporarily_unavailable": {breaks: replying(inJSON("400 Bad Request", `{"error":"temporarily_unavailable"}`)),
			says: "temporarily_unavailable", why: "the server says «later»"},
		"a firewall's page, 400": {breaks: replying(said("400 Bad Request", "text/html", blockPage)), says: "an HTML page",
			why: "HTML is not the API's word"},
		"a firewall's page, 403": {breaks: replying(said("403 Forbidden", "text/html", blockPage)), says: "an HTML page",
			why: "HTML is not the API's word"},
		"a firewall's page, 200": {breaks: replying(said("200 OK", "text/html", blockPage)), says: "200", why: "HTML is not the API's word"},
		"too many requests in other words": {
			breaks: replying(inJSON("400 Bad Request", `{"error":"Access Denied","error_description":"`+tooMany+`"}`)), says: tooMany,
			why: "the server says «later»"},
		"an unknown error that asks for a retry": {
			breaks: replying(inJSON("400 Bad Request", `{"error":"unknown_error","error_description":"retry your request"}`)),
			says:   "retry your request", why: "the server says «later»"},
		"429": {breaks: replying(inJSON("429 Too Many Requests", `{"error":"slow_down"}`)), login: seeded, says: "429",
			why: "the refresh token is intact"},
		"429 with a time": {
			breaks: replying(withHeader(inJSON("429 Too Many Requests", `{"error":"slow_down"}`), "Retry-After: 40")), says: "429",
			why: "the server's time is kept"},
		"503 with a time": {
			breaks: replying(withHeader(said("503 Service Unavailable", "text/html", blockPage), "Retry-After: 120")), login: seeded, says: "503",
			why: "the server did not look at the refresh token"},
		"500": {breaks: replying(inJSON("500 Internal Server Error", `{}`)), says: "500", why: "a client alone spends nothing"},
		"500 to a refresh token": {breaks: replying(inJSON("500 Internal Server Error", `{}`)), login: seeded, says: "500", presented: 2,
			forPerson: true, starts: []lastingStart{expiring},
			why: "two presentations, ever: the token may have been spent by the first"},
		"500 to a refresh token, with a password": {breaks: replying(inJSON("500 Internal Server Error", `{}`)), login: withPassword, says: "500",
			presented: 1, within: plan.LoginBar, starts: []lastingStart{expiring, staying},
			why: "the login starts a new family, and the next one waits for the login guard"},
		"502 with a page": {breaks: replying(said("502 Bad Gateway", "text/html", blockPage)), says: "502", why: "a proxy's word"},
		"408":             {breaks: replying(inJSON("408 Request Timeout", `{}`)), says: "408", why: "it was not in time"},
		"307":             {breaks: replying(captive), says: "captive.example", why: "an endpoint that redirects today may answer tomorrow"},
		"307 to a refresh token": {breaks: replying(captive), login: seeded, says: "captive.example",
			why: "the request was not carried out, so the token is intact"},
		"302": {breaks: replying(found), says: "captive.example", why: "a captive portal"},
		"an error in a 200": {breaks: replying(inJSON("200 OK", `{"error":"temporarily_unavailable","error_description":"in a minute"}`)),
			says: "in a minute", why: "it has the meaning of the same error with a 400"},
	}
}

// changedSecret gives the login another client secret, which the server learns in the end only.
func changedSecret(refusal string) func(*ordeal) func() {
	const late = "the-new-client-secret-that-is-long-enough"
	return func(o *ordeal) func() {
		o.setLogin(func(login map[string][]byte) { login[v1alpha1.ClientSecretKey] = []byte(late) })
		stop := replying(refusal)(o)
		return func() {
			old := o.rogue.behind
			o.rogue.behind = http.HandlerFunc(func(out http.ResponseWriter, request *http.Request) {
				body, _ := io.ReadAll(request.Body)
				body = bytes.ReplaceAll(body, []byte(late), []byte(clientSecret))
				request.Body, request.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
				old.ServeHTTP(out, request)
			})
			stop()
		}
	}
}

// unconnected lets every connection fail.
func unconnected(by func(ctx context.Context, address string) error) func(*ordeal) func() {
	return func(o *ordeal) func() {
		good := o.Dialer.Connect
		o.Dialer.Connect = o.connect(func(ctx context.Context, _, address string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: by(ctx, address)}
		})
		return func() { o.Dialer.Connect = good }
	}
}

func failingWith(err error) func(*ordeal) func() {
	return unconnected(func(context.Context, string) error { return err })
}

// lastingNetwork are failures before a request is sent: nothing can be spent by them.
func lastingNetwork(t *testing.T) map[string]lastingFailure {
	t.Helper()
	failures := map[string]lastingFailure{
		"the name does not exist": {breaks: failingWith(&net.DNSError{Err: "no such host", Name: "api.example", IsNotFound: true}),
			login: seeded, says: "does not exist", why: "a resolver that has lost its zone"},
		"no name is resolved": {breaks: failingWith(&net.DNSError{Err: "server misbehaving", Name: "api.example", IsTemporary: true}),
			login: seeded, says: "cannot be looked up", why: "the cluster's DNS is down"},
		"the name has a loopback address": {breaks: failingWith(&exchange.NotAllowedError{Reason: "api.example has a loopback address"}),
			login: seeded, says: "loopback address", why: "a sinkhole"},
		"the name has the address 0.0.0.0": {
			breaks: failingWith(&exchange.NotAllowedError{Reason: "api.example has the address 0.0.0.0, which is never allowed"}),
			login:  seeded, says: "0.0.0.0", why: "a sinkhole"},
		"the name has a private address": {
			breaks: failingWith(&exchange.NotAllowedError{Reason: "api.example has a private address and matches no pattern of --allowed-hosts"}),
			login:  seeded, says: "private address", why: "split horizon"},
		"connection refused": {breaks: failingWith(syscall.ECONNREFUSED), login: seeded, says: "connection refused", why: "it is restarted"},
		"no route":           {breaks: failingWith(syscall.EHOSTUNREACH), login: seeded, says: "no route to host", why: "the network is away"},
		"no connection in time": {breaks: failingWith(context.DeadlineExceeded), login: seeded, says: "no connection in time",
			why: "a firewall that drops"},
		"no reply in time": {breaks: misbehaving(manners{unread: true, serve: func(reply turn) { _, _ = reply.Read(make([]byte, 1)) }}),
			starts: []lastingStart{expiring}, says: "no reply in time", why: "a client alone spends nothing"},
		"the connection is closed": {breaks: misbehaving(manners{unread: true, serve: func(turn) {}}), says: "the connection was closed",
			why: "a client alone spends nothing"},
	}
	for name, failure := range lastingTLS(t) {
		failures[name] = failure
	}
	return failures
}

// lastingTLS are servers with whom no TLS can be agreed on.
func lastingTLS(t *testing.T) map[string]lastingFailure {
	t.Helper()
	known := newSigner(t)
	good := known.serving(t, "127.0.0.1", -time.Hour, time.Hour, nil)
	offering := func(bad *tls.Config, says, why string) lastingFailure {
		return lastingFailure{breaks: misbehaving(manners{tls: bad}), login: seeded, tls: good, caBundle: known.bundle(), says: says, why: why}
	}
	return map[string]lastingFailure{
		"an expired certificate": offering(known.serving(t, "127.0.0.1", -2*time.Hour, -time.Hour, nil), "expired", "it is renewed late"),
		"an unknown authority":   offering(newSigner(t).serving(t, "127.0.0.1", -time.Hour, time.Hour, nil), "unknown authority", "it is renewed wrongly"),
	}
}

// lastingProcess are failures of the operator's own process.
func lastingProcess() map[string]lastingFailure {
	return map[string]lastingFailure{
		"killed after a claim": {breaks: killedAfterClaim, login: seeded, starts: []lastingStart{expiring, staying}, presented: 1, isMute: true,
			why: "the log proves that nothing was sent"},
	}
}

// killedAfterClaim ends the process when it has claimed the refresh token and has sent nothing. Another one begins in the end.
func killedAfterClaim(o *ordeal) func() {
	due := o.status().NextRefreshTime.Time
	o.advance(due.Add(time.Second).Sub(o.clock.Now()))
	o.crashAt(1, true)
	o.isDown = true
	return func() {
		o.restart()
		o.isDown, o.next = false, o.clock.Now()
	}
}
