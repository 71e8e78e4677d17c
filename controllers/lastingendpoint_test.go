package controllers

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"maps"
	"math/big"
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
	refuses := func(body string) func(*ordeal) func() { return replying(inJSON("400 Bad Request", body)) }
	page := func(status string) func(*ordeal) func() { return replying(said(status, "text/html", blockPage)) }
	away := func(status string) func(*ordeal) func() {
		return replying("HTTP/1.1 " + status + "\r\nLocation: https://captive.example/login\r\nContent-Length: 0\r\n\r\n")
	}
	blip := inJSON("401 Unauthorized", `{"error":"invalid_client","error_description":"blip"}`)
	slowDown := inJSON("429 Too Many Requests", `{"error":"slow_down"}`)
	broken := replying(inJSON("500 Internal Server Error", `{}`))
	const tooMany = "You have made too many requests continuously. Please try again after some time."

	locked := lasting(broken, "500", "the login starts a new family, and the next login waits for the guard")
	locked.presented, locked.within = 1, plan.LoginBar
	dead := lasting(broken, "500", "two presentations, ever: the first may have spent the token").with(seeded)
	dead.presented, dead.forPerson = 2, true
	blocked := dead
	blocked.breaks, blocked.says = page("403 Forbidden"), "an HTML page"

	unsure := func(says string, breaks func(*ordeal) func()) lastingFailure {
		failure := lasting(breaks, says,
			"the login may have been refused, so the next one waits for the guard").with(withPassword)
		failure.within = plan.LoginBar
		return failure.only(noneYet)
	}

	return map[string]lastingFailure{
		"invalid_client": lasting(replying(blip), "blip", "it has just worked, so it is not refused for good"),
		"invalid_client to a refresh token": lasting(replying(blip), "blip", "the token was not looked at").
			with(seeded).only(expiring),
		"a client secret that the server learns late": lasting(changedSecret(blip), "blip",
			"its input has just changed, so it is not refused for good").only(expiring, staying),
		"unauthorized_client": lasting(refuses(`{"error":"unauthorized_client"}`), "unauthorized_client",
			"the client may be changed just now").only(expiring),
		"temporarily_unavailable": lasting(refuses(`{"error":"temporarily_unavailable"}`), "temporarily_unavailable",
			"the server says «later»"),
		"a firewall's page, 403, to a refresh token": blocked.only(expiring),
		"temporarily_unavailable to a refresh token": lasting(refuses(`{"error":"temporarily_unavailable"}`),
			"temporarily_unavailable", "the API says that it has not handled the request").with(seeded).only(expiring),
		"a firewall's page, 400": lasting(page("400 Bad Request"), "an HTML page",
			"it is not the API's word").only(expiring),
		"a firewall's page, 403": lasting(page("403 Forbidden"), "an HTML page",
			"it is not the API's word").only(expiring),
		"a firewall's page, 200": lasting(page("200 OK"), "200", "it is not the API's word").only(expiring),
		"a proxy's page, 502":    lasting(page("502 Bad Gateway"), "502", "it is not the API's word").only(expiring),
		"too many requests in other words": lasting(
			refuses(`{"error":"Access Denied","error_description":"`+tooMany+`"}`), tooMany, "the server says «later»").only(expiring),
		"an unknown error that asks for a retry": lasting(
			refuses(`{"error":"unknown_error","error_description":"retry your request"}`), "retry your request",
			"the server says «later»").only(expiring),
		"an error in a 200": lasting(
			replying(inJSON("200 OK", `{"error":"temporarily_unavailable","error_description":"in a minute"}`)), "in a minute",
			"it has the meaning of the same error with a 400").only(expiring),
		"429": lasting(replying(slowDown), "429", "the refresh token is intact").with(seeded),
		"429 with a time": lasting(replying(withHeader(slowDown, "Retry-After: 40")), "429",
			"the server's time is kept").only(expiring),
		"503 with a time": lasting(
			replying(withHeader(said("503 Service Unavailable", "text/html", blockPage), "Retry-After: 120")), "503",
			"the server did not look at the refresh token").with(seeded).only(expiring),
		"500":                             lasting(broken, "500", "a client alone spends nothing").only(expiring),
		"500 to a refresh token":          dead.only(expiring),
		"500 to a token, with a password": locked.with(withPassword).only(expiring, staying),
		"401 without a word": lasting(replying(said("401 Unauthorized", "text/plain", "")), "401",
			"a gateway's word").only(expiring),
		"404 in JSON": lasting(replying(inJSON("404 Not Found", `{"message":"no route matches"}`)), "no route matches",
			"a gateway is set up").with(seeded).only(expiring),
		"invalid_scope": lasting(refuses(`{"error":"invalid_scope"}`), "invalid_scope",
			"the client's rights are changed").with(seeded).only(expiring),
		"429 to a password": lasting(replying(slowDown), "429",
			"the login was not looked at").with(withPassword).only(noneYet),
		"temporarily_unavailable to a password": unsure("temporarily_unavailable", refuses(`{"error":"temporarily_unavailable"}`)),
		"a firewall's page, 403, to a password": unsure("an HTML page", page("403 Forbidden")),
		"500 to a password":                     unsure("500", broken),
		"408":                                   lasting(replying(inJSON("408 Request Timeout", `{}`)), "408", "it was not in time").only(expiring),
		"307":                                   lasting(away("307 Temporary Redirect"), "captive.example", "it may answer tomorrow"),
		"307 to a refresh token": lasting(away("307 Temporary Redirect"), "captive.example",
			"the token is intact").with(seeded).only(expiring),
		"308 to a refresh token, no token": lasting(away("308 Permanent Redirect"), "captive.example",
			"the token is intact").with(seeded).only(noneYet),
		"302": lasting(away("302 Found"), "captive.example", "a captive portal").only(expiring),
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

// lastingNetwork are failures before a request is sent, or without a reply to a client alone: nothing can be spent by
// them.
func lastingNetwork(t *testing.T) map[string]lastingFailure {
	t.Helper()
	const host = "api.example"
	refused := func(reason string) func(*ordeal) func() {
		return failingWith(&exchange.NotAllowedError{Reason: host + reason})
	}
	unknown := &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	unresolved := &net.DNSError{Err: "server misbehaving", Name: host, IsTemporary: true}
	silent := misbehaving(manners{unread: true, serve: func(reply turn) { _, _ = reply.Read(make([]byte, 1)) }})
	closed := misbehaving(manners{unread: true, serve: func(turn) {}})
	failures := map[string]lastingFailure{
		"the name does not exist": lasting(failingWith(unknown), "does not exist", "a resolver has lost a zone").once(),
		"no name is resolved": lasting(failingWith(unresolved), "cannot be looked up", "the cluster's DNS is down").
			once().only(expiring),
		"a loopback address": lasting(refused(" has a loopback address"), "loopback address", "a sinkhole").once(),
		"the address 0.0.0.0": lasting(refused(" has the address 0.0.0.0, which is never allowed"), "0.0.0.0",
			"a sinkhole").
			once().only(expiring),
		"a private address": lasting(refused(" has a private address and matches no pattern of --allowed-hosts"), "private address",
			"split horizon").once().only(expiring),
		"connection refused": lasting(failingWith(syscall.ECONNREFUSED), "connection refused",
			"it is restarted").once().only(expiring),
		"no route": lasting(failingWith(syscall.EHOSTUNREACH), "no route to host",
			"the network is away").once().only(expiring),
		"no connection in time": lasting(failingWith(context.DeadlineExceeded), "no connection in time",
			"a firewall drops it").
			once().only(expiring),
		"no reply in time": lasting(silent, "no reply in time", "a client alone spends nothing").only(noneYet),
		"the connection is closed": lasting(closed, "the connection was closed",
			"a client alone spends nothing").only(expiring),
	}
	maps.Copy(failures, lastingTLS(t))
	return failures
}

// lastingTLS are servers with which no TLS can be agreed on.
func lastingTLS(t *testing.T) map[string]lastingFailure {
	t.Helper()
	known, year := newSigner(t), 365*24*time.Hour
	good := known.serving(t, "127.0.0.1", -time.Hour, time.Hour, nil)
	offering := func(bad *tls.Config, says, why string) lastingFailure {
		failure := lasting(misbehaving(manners{tls: bad}), says, why).once().only(expiring)
		failure.tls, failure.caBundle = good, known.bundle()
		return failure
	}
	return map[string]lastingFailure{
		"an expired certificate": offering(known.serving(t, "127.0.0.1", -year, -time.Hour, nil), "expired",
			"it is renewed late"),
		"an unknown authority": offering(newSigner(t).serving(t, "127.0.0.1", -time.Hour, time.Hour, nil), "unknown authority",
			"it is renewed wrongly"),
		"another host's certificate": offering(known.serving(t, "192.0.2.1", -time.Hour, time.Hour, nil), "another host",
			"it is renewed wrongly"),
		"a certificate without a name": offering(known.offering(t, x509.ExtKeyUsageServerAuth), "no",
			"it is renewed wrongly"),
		"a certificate for clients": offering(known.offering(t, x509.ExtKeyUsageClientAuth, net.IPv4(127, 0, 0, 1)), "server",
			"it is renewed wrongly"),
		"a client certificate is required": offering(known.serving(t, "127.0.0.1", -time.Hour, time.Hour, func(c *tls.Config) {
			c.MaxVersion, c.ClientAuth = tls.VersionTLS12, tls.RequireAnyClientCert
		}), "client certificate", "a mesh asks for one"),
	}
}

// offering is what a server is configured with whose certificate is for a use and for addresses.
func (s *signer) offering(t *testing.T, use x509.ExtKeyUsage, addresses ...net.IP) *tls.Config {
	t.Helper()
	leaf := s.issue(t, &x509.Certificate{
		SerialNumber: big.NewInt(3), IPAddresses: addresses, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{use},
	})
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.certificate.Raw}, PrivateKey: leaf.key}}}
}

// lastingProcess are failures of the operator's own process.
func lastingProcess() map[string]lastingFailure {
	return map[string]lastingFailure{
		"killed after a claim": lasting(killedAfterClaim, "", "the log proves that nothing was sent").
			once().only(expiring, staying).mute(),
	}
}

// killedAfterClaim ends the process when it has claimed the refresh token and has sent nothing. Another one begins in the
// end.
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
