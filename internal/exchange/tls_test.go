package exchange

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// authority issues certificates, and is trusted by nobody who was not given its bundle.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	bundle      string
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	key := newKey(t)
	signed := sign(t, template, template, key, key)
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})
	certificate, err := x509.ParseCertificate(signed)
	if err != nil {
		t.Fatal(err)
	}
	return authority{certificate, key, string(bundle)}
}

// serving is the configuration of a server with a certificate for one host.
func (a authority) serving(t *testing.T, host string, from, until time.Time) *tls.Config {
	t.Helper()
	return a.issuing(t, host, func(template *x509.Certificate) { template.NotBefore, template.NotAfter = from, until })
}

// issuing is the configuration of a server whose certificate for one host was changed before it was signed.
func (a authority) issuing(t *testing.T, host string, change func(*x509.Certificate)) *tls.Config {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	change(template)
	key := newKey(t)
	signed := sign(t, template, a.certificate, key, a.key)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{signed}, PrivateKey: key}}}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) []byte {
	t.Helper()
	signed, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestTLS(t *testing.T) {
	known, stranger := newAuthority(t), newAuthority(t)
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	good := known.serving(t, "127.0.0.1", past, future)
	with := func(change func(*tls.Config)) *tls.Config {
		changed := good.Clone()
		change(changed)
		return changed
	}
	untrusted := func(cause string) outcome { return unsent("the endpoint's certificate is not trusted: " + cause) }
	noBundle := outcome{token.RefusedIntact, 0, NotAllowed, "caBundle holds no PEM certificate", ""}
	cases := map[string]struct {
		config *tls.Config
		bundle string
		want   outcome
		why    string
	}{
		"trusted":          {good, known.bundle, granted, "the bundle is for that"},
		"two in bundle":    {good, stranger.bundle + "\n" + known.bundle, granted, "a bundle may hold several"},
		"no bundle":        {good, "", untrusted("signed by an unknown authority"), "the system does not know it"},
		"other bundle":     {good, stranger.bundle, untrusted("signed by an unknown authority"), "somebody may be in between"},
		"no PEM":           {good, "trust me", noBundle, "only a change of input helps"},
		"key for a bundle": {good, "-----BEGIN KEY-----\nAAAA\n-----END KEY-----\n", noBundle, "only a change of input helps"},
		"other host":       {known.serving(t, "login.example.com", past, future), known.bundle, untrusted("it is for another host (login.example.com)"), "somebody may be in between"},
		"other address":    {known.serving(t, "192.0.2.7", past, future), known.bundle, untrusted("it is for another host (192.0.2.7)"), "somebody may be in between"},
		"expired":          {known.serving(t, "127.0.0.1", past.AddDate(-1, 0, 0), past), known.bundle, untrusted("it has expired"), "nobody vouches for it any more"},
		"not valid yet":    {known.serving(t, "127.0.0.1", future, future.AddDate(1, 0, 0)), known.bundle, untrusted("it is not valid yet"), "nobody vouches for it yet"},
		"TLS 1.2":          {with(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), known.bundle, granted, "it is still good"},
		"TLS 1.1": {
			with(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }), known.bundle,
			unsent("the endpoint ended TLS: tls: protocol version not supported"), "it is not good any more",
		},
		"another protocol": {
			with(func(c *tls.Config) { c.NextProtos = []string{"acme-tls/1"} }), known.bundle,
			unsent("the endpoint ended TLS: tls: no application protocol"), "the server speaks no HTTP/1.1, and says so before anything is sent",
		},
		"client certificate": {
			with(func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }), known.bundle,
			unsent("the endpoint requires a client certificate"), "in TLS 1.3 the alert comes after the request, which was not looked at",
		},
		"client certificate, TLS 1.2": {
			with(func(c *tls.Config) { c.ClientAuth, c.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12 }), known.bundle,
			unsent("the endpoint requires a client certificate"), "in TLS 1.2 the alert comes before the request",
		},
		"client certificate, optional": {
			with(func(c *tls.Config) { c.ClientAuth = tls.RequestClientCert }), known.bundle, granted, "without one is good, too",
		},
		"no SAN": {
			known.issuing(t, "127.0.0.1", func(c *x509.Certificate) { c.IPAddresses, c.Subject.CommonName = nil, "127.0.0.1" }), known.bundle,
			untrusted("it has no subject alternative name"), "the common name is not looked at",
		},
		"only a mail address": {
			known.issuing(t, "127.0.0.1", func(c *x509.Certificate) { c.IPAddresses, c.EmailAddresses = nil, []string{"a@example.com"} }), known.bundle,
			untrusted("it has no subject alternative name"), "none of a host",
		},
		"for clients": {
			known.issuing(t, "127.0.0.1", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), known.bundle,
			untrusted("it is not meant for servers"), "its extended key usage says so",
		},
		"for anything": {
			known.issuing(t, "127.0.0.1", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }), known.bundle,
			granted, "that includes servers",
		},
		"SHA-1": {
			known.issuing(t, "127.0.0.1", func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }), known.bundle,
			untrusted("its key or its signature is too weak"), "somebody can make another one with this signature",
		},
		"critical extension": {
			known.issuing(t, "127.0.0.1", func(c *x509.Certificate) {
				c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
			}), known.bundle,
			untrusted("it is not valid (unhandled critical extension)"), "what it says is not understood",
		},
		"signed by no authority": {
			serverOf(t, known).serving(t, "127.0.0.1", past, future), known.bundle,
			untrusted("signed by an unknown authority"), "a certificate of a server signs no other",
		},
		"no certificate": {
			&tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }}, known.bundle,
			unsent("the endpoint ended TLS: tls: unrecognized name"), "it serves other hosts only",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			server := listenTLS(t, c.config, answering(reply("200 OK", granting)))
			api := oauth2(t, server.url(), provider.Form)
			asked := request(t, api)
			asked.CABundle = c.bundle
			if diff := cmp.Diff(c.want, outcomeOf(exchanged(t, Dialer{Policy: developing}, api, asked))); diff != "" {
				t.Errorf("wrong answer (-want +got), but %s\n%s", c.why, diff)
			}
			server.stop()
			requests, connections := int64(0), int64(1)
			if c.want == granted {
				requests = 1
			}
			if c.want == noBundle {
				connections = 0
			}
			if got := server.requests.Load(); got != requests || server.connections() != connections {
				t.Errorf("%d requests on %d connections, want %d on %d", got, server.connections(), requests, connections)
			}
		})
	}
}

// serverOf is a server that signs certificates, as no server may.
func serverOf(t *testing.T, a authority) authority {
	t.Helper()
	own := a.issuing(t, "127.0.0.1", func(*x509.Certificate) {}).Certificates[0]
	certificate, err := x509.ParseCertificate(own.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return authority{certificate, own.PrivateKey.(*ecdsa.PrivateKey), ""}
}

// TestClientCertificateIsRequiredAfterTheRequest: in TLS 1.3 the endpoint decides when the client is through with the handshake, and has
// perhaps sent its request, and closes the connection with the request unread. The alert is found all the same, each time.
func TestClientCertificateIsRequiredAfterTheRequest(t *testing.T) {
	known := newAuthority(t)
	config := known.issuing(t, "127.0.0.1", func(*x509.Certificate) {})
	config.ClientAuth = tls.RequireAnyClientCert
	server := listenTLS(t, config, func(p *peer) {
		_ = p.Conn.(*tls.Conn).Handshake()
		_ = p.raw.Close() // what has come is not read, so this resets the connection
	})
	api := oauth2(t, server.url(), provider.Form)
	asked := request(t, api)
	asked.CABundle = known.bundle
	for range 50 {
		want := unsent("the endpoint requires a client certificate")
		if got := outcomeOf(exchanged(t, Dialer{Policy: developing}, api, asked)); got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
}

// TestWordsAfterTheHandshake: what happens in it explains what comes later.
func TestWordsAfterTheHandshake(t *testing.T) {
	known := newAuthority(t)
	asking := known.issuing(t, "127.0.0.1", func(*x509.Certificate) {})
	asking.ClientAuth = tls.RequestClientCert
	const hint = "; the endpoint had asked for a client certificate"
	cases := map[string]struct {
		config *tls.Config
		serve  func(*peer)
		want   outcome
	}{
		"hangs up, asked":     {asking, func(p *peer) { p.read(); p.hangUp() }, unknown(cutOff.Description + hint)},
		"resets, asked":       {asking, func(p *peer) { p.read(); p.reset() }, unknown("connection reset by peer" + hint)},
		"hangs up, not asked": {known.issuing(t, "127.0.0.1", func(*x509.Certificate) {}), func(p *peer) { p.read(); p.hangUp() }, cutOff},
	}
	for name, c := range cases {
		server := listenTLS(t, c.config, c.serve)
		api := oauth2(t, server.url(), provider.Form)
		asked := request(t, api)
		asked.CABundle = known.bundle
		if got := outcomeOf(exchanged(t, Dialer{Policy: developing}, api, asked)); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

// TestAuthorityThatHasExpired is no fault of the endpoint's own certificate.
func TestAuthorityThatHasExpired(t *testing.T) {
	old := newAuthority(t)
	template := *old.certificate
	template.NotAfter = time.Now().Add(-time.Minute)
	signed := sign(t, &template, &template, old.key, old.key)
	server := listenTLS(t, old.issuing(t, "127.0.0.1", func(*x509.Certificate) {}), answering(reply("200 OK", granting)))
	api := oauth2(t, server.url(), provider.Form)
	asked := request(t, api)
	asked.CABundle = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}))
	got := outcomeOf(exchanged(t, Dialer{Policy: developing}, api, asked))
	if want := unsent("the endpoint's certificate is not trusted: it has expired (the certificate of its authority)"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// The other end of an https:// endpoint speaks no TLS.
func TestNoTLS(t *testing.T) {
	cases := map[string]struct {
		serve func(*peer)
		want  outcome
		why   string
	}{
		"plain HTTP": {func(p *peer) { p.say("HTTP/1.1 400 Bad Request\r\n\r\n"); p.hangUp() }, unsent("the endpoint does not speak TLS"), "the port is another one's"},
		"hangs up":   {func(p *peer) { p.hangUp() }, unsent("the connection was closed during the TLS handshake"), "a load balancer without a backend does that"},
		"silent":     {func(*peer) {}, unsent("no connection in time"), "the handshake must not hold a worker for ever"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			server := listen(t, c.serve)
			api := oauth2(t, "https://"+server.address()+"/token", provider.Form)
			dialer := Dialer{Policy: developing}
			if name == "silent" {
				dialer.DialTimeout = 50 * time.Millisecond
			}
			if diff := cmp.Diff(c.want, outcomeOf(exchanged(t, dialer, api, request(t, api)))); diff != "" {
				t.Errorf("wrong answer (-want +got), but %s\n%s", c.why, diff)
			}
		})
	}
}

// A server that would speak HTTP/2 and keep connections open is asked once, over HTTP/1.1, on a connection that is closed.
func TestModernServer(t *testing.T) {
	var requests, connections atomic.Int64
	var protocol atomic.Value
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		protocol.Store(r.Proto)
		_, _ = w.Write([]byte(granting))
	}))
	server.EnableHTTP2 = true
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	defer server.Close()
	api := oauth2(t, server.URL+"/token", provider.Form)
	asked := request(t, api)
	asked.CABundle = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	if got := outcomeOf(exchanged(t, Dialer{Policy: developing}, api, asked)); got != granted {
		t.Fatalf("got %+v", got)
	}
	if requests.Load() != 1 || connections.Load() != 1 || protocol.Load() != "HTTP/1.1" {
		t.Errorf("%d requests on %d connections over %v", requests.Load(), connections.Load(), protocol.Load())
	}
}

// What TLS itself sends is not the request: a connection on which nothing else was written proves that nothing was spent.
func TestHandshakeIsNotTheRequest(t *testing.T) {
	known := newAuthority(t)
	dialed := make(chan struct{})
	config := known.serving(t, "127.0.0.1", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	server := listenTLS(t, config, func(p *peer) {
		_ = p.Conn.(*tls.Conn).Handshake()
		<-dialed
		p.reset()
	})
	api := oauth2(t, server.url(), provider.Form)
	asked := request(t, api)
	asked.CABundle = known.bundle
	conn, refused := Dialer{Policy: developing}.Dial(context.Background(), api, asked)
	close(dialed)
	if refused != nil {
		t.Fatalf("not connected: %+v", refused)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Fatal("the server sent something")
	}
	if got := conn.Send(context.Background(), api, token.RefreshToken, asked); got.Verdict != token.Unsent {
		t.Errorf("got %+v, but not a byte of the request left this process", outcomeOf(got))
	}
}
