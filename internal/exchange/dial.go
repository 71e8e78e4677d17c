package exchange

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"time"

	"github.com/fluent-credential/operator/internal/provider"
)

// Dialer opens the connections on which tokens are spent.
type Dialer struct {
	Policy Policy
	// Proxy is the HTTP proxy through which an https endpoint is reached; nil, or a nil URL: none.
	Proxy func(*url.URL) (*url.URL, error)
	// DialTimeout and ReplyTimeout replace the constants of these names; zero does not.
	DialTimeout, ReplyTimeout time.Duration
	// Connect replaces the operating system's network, in a simulation; the Policy does not see its addresses.
	Connect func(ctx context.Context, network, address string) (net.Conn, error)
	// Now replaces the machine's clock for the fence in a simulation.
	Now func() time.Time
}

// Conn is a connection to a token endpoint on which nothing was sent yet. It carries one request.
type Conn struct {
	net.Conn
	sent         *guardedConn
	replyTimeout time.Duration
	end          time.Time // set by Arm: what was not sent and answered by then never is
	tape         Tape      // nil: none
	received     int       // bytes of the reply
	asked        *bool     // the endpoint asked for a client certificate
}

// Record makes Send write the reply to the tape while it is read.
func (c *Conn) Record(tape Tape) { c.tape = tape }

// Arm bounds everything that follows, counted from now: the request by the fence, and the reply by the ReplyTimeout
// after it. Arm comes before the claim: a process that is frozen at any later moment cannot send once others consider
// the claim abandoned.
func (c *Conn) Arm(fence time.Duration) {
	c.sent.arm(fence)
	ctx, cancel := context.WithTimeout(context.Background(), fence+c.replyTimeout)
	defer cancel()
	c.end, _ = ctx.Deadline()
	_ = c.SetDeadline(c.end) // Send sets it again, and returns the error
}

// expiry is when the exchange that begins now is over.
func (c *Conn) expiry(ctx context.Context) time.Time {
	end, _ := ctx.Deadline()
	if !c.end.IsZero() && c.end.Before(end) {
		return c.end
	}
	return end
}

// Close ends the connection.
func (c *Conn) Close() { _ = c.Conn.Close() }

// Dial connects to the endpoint, TLS included. It spends nothing, so it comes before the claim. A failure is an Answer
// with the verdict Unsent, or RefusedIntact if the Policy forbids the URL or caBundle is no certificate.
func (d Dialer) Dial(ctx context.Context, api provider.API, request provider.Request) (*Conn, *provider.Answer) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(d.DialTimeout, DialTimeout))
	defer cancel()
	conn, fault := d.dial(ctx, api.Endpoint(), request.CABundle)
	if fault == nil {
		return conn, nil
	}
	answer := fault.presentable(request.Secrets)
	return nil, &answer
}

// NotAllowed is the code of a Problem whose cause is the Policy.
const NotAllowed = "endpoint_not_allowed"

func (d Dialer) dial(ctx context.Context, endpoint *url.URL, caBundle string) (*Conn, *fault) {
	if err := d.Policy.Check(endpoint); err != nil {
		return nil, faultOf(atURL, err)
	}
	roots, err := trusted(caBundle)
	if err != nil {
		return nil, &fault{phase: atTrust, detail: err.Error(), cause: err}
	}
	guard := &guardedConn{now: d.now}
	raw, err := d.connect(ctx, endpoint, guard)
	if err != nil {
		return nil, faultOf(atConnect, err)
	}
	asked := new(bool)
	secured, err := secure(ctx, raw, endpoint, roots, asked)
	if err != nil {
		_ = raw.Close()
		return nil, faultOf(atHandshake, err).byClient(*asked)
	}
	guard.written.Store(0) // the handshakes and the bytes sent to the proxy are not part of the request
	return &Conn{Conn: secured, sent: guard, replyTimeout: cmp.Or(d.ReplyTimeout, ReplyTimeout), asked: asked}, nil
}

// connect makes the TCP connection, or has the proxy make it.
func (d Dialer) connect(ctx context.Context, endpoint *url.URL, guard *guardedConn) (net.Conn, error) {
	if endpoint.Scheme != "https" || d.Proxy == nil {
		return guard.around(d.connector(endpoint.Hostname())(ctx, "tcp", address(endpoint)))
	}
	proxy, err := d.Proxy(endpoint)
	if err != nil {
		return nil, &fault{phase: atProxy, detail: errProxyURL.Error(), cause: err}
	}
	if proxy == nil {
		return guard.around(d.connector(endpoint.Hostname())(ctx, "tcp", address(endpoint)))
	}
	return d.through(ctx, proxy, endpoint, guard)
}

func (d Dialer) connector(host string) func(context.Context, string, string) (net.Conn, error) {
	if d.Connect != nil {
		return d.Connect
	}
	dialer := net.Dialer{Control: d.Policy.control(host)}
	return dialer.DialContext
}

func address(endpoint *url.URL) string {
	return net.JoinHostPort(endpoint.Hostname(), portOf(endpoint))
}

func portOf(endpoint *url.URL) string {
	switch port := endpoint.Port(); {
	case port != "":
		return port
	case endpoint.Scheme == "http":
		return "80"
	}
	return "443"
}

// secure makes the TLS handshake, and records whether the endpoint asks for a client certificate. There is none; the
// handshake reports that to the endpoint, which decides.
func secure(
	ctx context.Context, conn net.Conn, endpoint *url.URL, roots *x509.CertPool, asked *bool,
) (net.Conn, error) {
	if endpoint.Scheme == "http" {
		return conn, nil
	}
	secured := tls.Client(conn, &tls.Config{
		ServerName: endpoint.Hostname(), RootCAs: roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			*asked = true
			return &tls.Certificate{}, nil
		},
	})
	return secured, secured.HandshakeContext(ctx)
}

// byClient treats the end of a handshake as the rejection of a client without a certificate if the endpoint has asked
// for one.
func (f *fault) byClient(asked bool) *fault {
	f.asked = asked
	if asked && f.kind == rejectedTLS {
		f.kind = wantsClient
		f.detail = ""
	}
	return f
}

var errCABundle = errors.New("caBundle holds no PEM certificate")

// trusted is the system's certificates and those of the bundle; nil means the system's.
func trusted(caBundle string) (*x509.CertPool, error) {
	if caBundle == "" {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM([]byte(caBundle)) {
		return nil, errCABundle
	}
	return pool, nil
}
