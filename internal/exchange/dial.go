package exchange

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
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
}

// Conn is a connection to a token endpoint on which nothing was sent yet. It carries one request.
type Conn struct {
	net.Conn
	sent         *countingConn
	replyTimeout time.Duration
	end          time.Time // set by Arm: what was not sent and answered by then never is
	tape         Tape      // nil: none
}

// Record makes Send write the reply to the tape while it is read.
func (c *Conn) Record(tape Tape) { c.tape = tape }

// Arm bounds everything that follows to the fence and the ReplyTimeout, counted from now. It comes before the claim: a process that
// is frozen at any moment after it cannot send long after others have taken the claim for abandoned.
func (c *Conn) Arm(fence time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), fence+c.replyTimeout)
	defer cancel()
	c.end, _ = ctx.Deadline()
	_ = c.SetDeadline(c.end) // Send sets it again, and tells
}

// expiry is when the exchange that begins now is over.
func (c *Conn) expiry(ctx context.Context) time.Time {
	end, _ := ctx.Deadline()
	if !c.end.IsZero() && c.end.Before(end) {
		return c.end
	}
	return end
}

// wrote tells whether any byte of the request left this process.
func (c *Conn) wrote() bool { return c.sent.written.Load() > 0 }

// Close ends the connection.
func (c *Conn) Close() { _ = c.Conn.Close() }

// Dial connects to the endpoint, TLS included. Nothing is spent by it, so it comes before the claim. A failure is an Answer with
// the verdict Unsent, or RefusedIntact where the Policy forbids the address or caBundle is no certificate.
func (d Dialer) Dial(ctx context.Context, api provider.API, request provider.Request) (*Conn, *provider.Answer) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(d.DialTimeout, DialTimeout))
	defer cancel()
	conn, err := d.dial(ctx, api.Endpoint(), request.CABundle)
	if err == nil {
		return conn, nil
	}
	answer := undialed(err)
	return nil, &answer
}

func undialed(err error) provider.Answer {
	if reason, refused := IsNotAllowed(err); refused {
		return provider.Answer{Verdict: token.RefusedIntact, Problem: provider.Problem{Code: NotAllowed, Description: reason}}
	}
	if errors.Is(err, errCABundle) {
		return provider.Answer{Verdict: token.RefusedIntact, Problem: provider.Problem{Code: NotAllowed, Description: err.Error()}}
	}
	return provider.Answer{Verdict: token.Unsent, Problem: provider.Problem{Description: describeDial(err)}}
}

// NotAllowed is the code of a Problem whose cause is the Policy.
const NotAllowed = "endpoint_not_allowed"

func (d Dialer) dial(ctx context.Context, endpoint *url.URL, caBundle string) (*Conn, error) {
	if err := d.Policy.Check(endpoint); err != nil {
		return nil, err
	}
	raw, err := d.connect(ctx, endpoint)
	if err != nil {
		return nil, err
	}
	counting := &countingConn{Conn: raw}
	secured, err := secure(ctx, counting, endpoint, caBundle)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	counting.written.Store(0) // the handshake's bytes are not the request's
	return &Conn{Conn: secured, sent: counting, replyTimeout: cmp.Or(d.ReplyTimeout, ReplyTimeout)}, nil
}

// connect makes the TCP connection, or has the proxy make it.
func (d Dialer) connect(ctx context.Context, endpoint *url.URL) (net.Conn, error) {
	if endpoint.Scheme != "https" || d.Proxy == nil {
		return d.connector(endpoint.Hostname())(ctx, "tcp", address(endpoint))
	}
	proxy, err := d.Proxy(endpoint)
	if err != nil {
		return nil, &proxyError{cause: errProxyURL}
	}
	if proxy == nil {
		return d.connector(endpoint.Hostname())(ctx, "tcp", address(endpoint))
	}
	return d.through(ctx, proxy, endpoint)
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

func secure(ctx context.Context, conn net.Conn, endpoint *url.URL, caBundle string) (net.Conn, error) {
	if endpoint.Scheme == "http" {
		return conn, nil
	}
	roots, err := trusted(caBundle)
	if err != nil {
		return nil, err
	}
	secured := tls.Client(conn, &tls.Config{
		ServerName: endpoint.Hostname(), RootCAs: roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
	})
	return secured, secured.HandshakeContext(ctx)
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

// countingConn counts what was handed to the kernel: with nothing handed over, nothing can have been spent.
type countingConn struct {
	net.Conn
	written atomic.Int64
}

func (c *countingConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.written.Add(int64(n))
	return n, err
}
