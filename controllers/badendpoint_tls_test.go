package controllers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// signer is an authority that nobody trusts who was not given its bundle; nil signs for itself.
type signer struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newSigner(t *testing.T) *signer {
	t.Helper()
	return (*signer)(nil).issue(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
}

func (s *signer) issue(t *testing.T, template *x509.Certificate) *signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	by := s
	if by == nil {
		by = &signer{template, key}
	}
	encoded, err := x509.CreateCertificate(rand.Reader, template, by.certificate, &key.PublicKey, by.key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{certificate, key}
}

func (s *signer) bundle() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.certificate.Raw}))
}

// serving is what a server is configured with whose certificate is for an address and good in a span of the machine's own clock.
func (s *signer) serving(t *testing.T, address string, from, until time.Duration, change func(*tls.Config)) *tls.Config {
	t.Helper()
	leaf := s.issue(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.ParseIP(address)}, NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(until),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.certificate.Raw}, PrivateKey: leaf.key}}}
	if change != nil {
		change(config)
	}
	return config
}

// badTLS are the ways to misbehave before a request is sent: nothing is spent by any of them.
func badTLS(t *testing.T, known *signer) map[string]badEndpoint {
	t.Helper()
	unsent := func(bad manners, says, why string) badEndpoint {
		return badEndpoint{manners: bad, then: intact, reason: v1alpha1.ReasonProviderUnavailable, says: says, why: why}
	}
	offering := func(config *tls.Config) manners { return manners{tls: config} }
	good := func(change func(*tls.Config)) manners {
		return offering(known.serving(t, "127.0.0.1", -time.Hour, time.Hour, change))
	}
	untrusted := "the endpoint's certificate is not trusted: "
	plain := func(text string) manners { return manners{raw: true, serve: func(t turn) { t.say(text) }} }
	year := 365 * 24 * time.Hour
	return map[string]badEndpoint{
		"expired":           unsent(offering(known.serving(t, "127.0.0.1", -year, -time.Hour, nil)), untrusted+"it has expired", "nobody vouches for it any more"),
		"not valid yet":     unsent(offering(known.serving(t, "127.0.0.1", time.Hour, year, nil)), untrusted+"it is not valid yet", "nobody vouches for it yet"),
		"self-signed":       unsent(offering((*signer)(nil).serving(t, "127.0.0.1", -time.Hour, time.Hour, nil)), untrusted+"signed by an unknown authority", "anybody can make one"),
		"another authority": unsent(offering(newSigner(t).serving(t, "127.0.0.1", -time.Hour, time.Hour, nil)), untrusted+"signed by an unknown authority", "somebody may be in between"),
		"another address":   unsent(offering(known.serving(t, "192.0.2.1", -time.Hour, time.Hour, nil)), untrusted+"it is for another host", "somebody may be in between"),
		"TLS 1.0": unsent(good(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 }),
			"the endpoint ended TLS: tls: protocol version not supported", "it is not good any more"),
		"TLS 1.1": unsent(good(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }),
			"the endpoint ended TLS: tls: protocol version not supported", "it is not good any more"),
		"a client certificate is asked for": unsent(good(func(c *tls.Config) { c.MaxVersion, c.ClientAuth = tls.VersionTLS12, tls.RequireAnyClientCert }),
			"the endpoint requires a client certificate", "there is none"),
		"a client certificate is asked for, TLS 1.3": unsent(good(func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }),
			"the endpoint requires a client certificate", "it says so when the request has been written, and does not look at it"),
		"another protocol": unsent(good(func(c *tls.Config) { c.NextProtos = []string{"acme-tls/1"} }),
			"the endpoint ended TLS: tls: no application protocol", "it says so before anything is sent"),
		"plain HTTP":           unsent(plain("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), "the endpoint does not speak TLS", "the port is another one's"),
		"no word":              unsent(plain(""), "the connection was closed during the TLS handshake", "a load balancer without a backend does that"),
		"a record of garbage":  unsent(plain("\x16\x03\x03\x00\x04nope"), "TLS could not be agreed on", "it is no handshake"),
		"an alert of a record": unsent(plain("\x15\x03\x03\x00\x02\x02\x50"), "the endpoint ended TLS: tls: internal error", "the server is out of order"),
	}
}

// TestBadTLS lets the endpoint fail before a byte of a request is sent: the refresh token is as good as before, and is used when the
// endpoint behaves.
func TestBadTLS(t *testing.T) {
	t.Parallel()
	known := newSigner(t)
	for name, bad := range badTLS(t, known) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := besetBy(t, newRogue(t, known.serving(t, "127.0.0.1", -time.Hour, time.Hour, nil)), known.bundle(), nil)
			b.suffers(bad)
			if requests, presentations := b.rogue.seen(); requests != 3 || presentations != 1 {
				t.Errorf("%d requests, a refresh token presented %d times; want 3 and 1: nothing is sent without TLS (%s)", requests, presentations, bad.why)
			}
		})
	}
}
