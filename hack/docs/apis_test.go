package docs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fluent-credential/operator/hack/authsim"
)

// internet is the authentication APIs under the names that the pages call them, and the proxy by which they are reached. So whatever a page
// shows is run as it stands: it goes to acme.sandbox.api.fluentretail.com, and a simulated server answers.
type internet struct {
	proxy *httptest.Server
	apis  *httptest.Server
	roots string // a file with the certificate that they show

	mu    sync.Mutex
	hosts map[string]*authsim.Server
	away  map[string]bool // hosts that the proxy cannot reach
}

// names are the hosts that the certificate is for.
var names = []string{"*.sandbox.api.fluentretail.com", "*.api.fluentretail.com", "auth.commercelayer.io", "api.nordeaopenbanking.com", "*.example.com", "*.partner.example.com"}

func newInternet(t *testing.T) *internet {
	t.Helper()
	net := &internet{hosts: map[string]*authsim.Server{}, away: map[string]bool{}, roots: filepath.Join(t.TempDir(), "roots.pem")}
	certificate, text := certificateFor(t, names)
	if err := os.WriteFile(net.roots, text, 0o600); err != nil {
		t.Fatal(err)
	}
	net.apis = httptest.NewUnstartedServer(http.HandlerFunc(net.serve))
	net.apis.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	net.apis.StartTLS()
	net.proxy = httptest.NewServer(http.HandlerFunc(net.connect))
	t.Cleanup(net.apis.Close)
	t.Cleanup(net.proxy.Close)
	return net
}

// host opens an API under a name, in place of the one that was there.
func (n *internet) host(name string, config authsim.Config) *authsim.Server {
	server := authsim.New(config)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[name] = server
	return server
}

// outage takes a host away, or brings it back.
func (n *internet) outage(name string, away bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away[name] = away
}

func (n *internet) find(name string) (*authsim.Server, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hosts[name], n.hosts[name] != nil && !n.away[name]
}

func (n *internet) serve(w http.ResponseWriter, r *http.Request) {
	server, ok := n.find(r.Host)
	if !ok {
		http.Error(w, "there is no "+r.Host, http.StatusNotFound)
		return
	}
	r.URL.Path = strings.Replace(r.URL.Path, "/oauth2/token", "/oauth/token", 1) // RFC 6749 lets a server have it anywhere
	server.ServeHTTP(w, r)
}

// connect makes a tunnel (RFC 9110 section 9.3.6), whatever the host, to where all of them are.
func (n *internet) connect(w http.ResponseWriter, r *http.Request) {
	name, _, _ := strings.Cut(r.Host, ":")
	if _, ok := n.find(name); r.Method != http.MethodConnect || !ok {
		http.Error(w, "there is no "+name, http.StatusBadGateway)
		return
	}
	server, err := net.Dial("tcp", n.apis.Listener.Addr().String())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer server.Close() //nolint:errcheck // it was copied to the end
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close() //nolint:errcheck // it was copied to the end
	_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		_, _ = io.Copy(server, buffered)
		_ = server.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(client, server)
}

// certificateFor makes a certificate that is its own authority.
func certificateFor(t *testing.T, names []string) (certificate tls.Certificate, text []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the APIs of the documentation"}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
