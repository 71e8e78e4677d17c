package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var oneLogin = []string{"--client", "fluent-api", "--client-secret", "s", "--user", "orders", "--password", "p"}

// started runs the command and returns its URL and a function that stops it and
// returns its exit code.
func started(t *testing.T, arguments ...string) (url string, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	reader, writer := io.Pipe()
	var stderr bytes.Buffer
	exit := make(chan int, 1)
	go func() {
		exit <- run(ctx, arguments, writer, &stderr)
		_ = writer.Close()
	}()
	line, err := bufio.NewReader(reader).ReadString('\n')
	if err != nil {
		t.Fatalf("no line with the URL: %v, %s", err, stderr.String())
	}
	t.Cleanup(cancel)
	return strings.TrimSuffix(line, "\n"), func() int {
		cancel()
		return <-exit
	}
}

func login(client *http.Client, base string) (*http.Response, error) {
	return client.PostForm(base+"/oauth/token", url.Values{
		"grant_type": {"password"}, "username": {"orders"}, "password": {"p"},
		"client_id": {"fluent-api"}, "client_secret": {"s"},
	})
}

func TestServesOnLoopbackUntilStopped(t *testing.T) {
	url, stop := started(t, append(oneLogin, "--fault", "2nd: html 503", "--no-refresh-tokens", "--token-lifetime", "5m")...)
	if !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Errorf("serves on %s, want a loopback address", url)
	}
	for _, want := range []struct {
		why    string
		status int
		body   string
	}{
		{"the flags make a login", 200, `"expires_in":300,"scope":"api"`},
		{"the flags make a fault", 503, "503 Service Unavailable"},
	} {
		response, err := login(http.DefaultClient, url)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != want.status || !strings.Contains(string(body), want.body) {
			t.Errorf("got %d %s, want %d: %s", response.StatusCode, body, want.status, want.why)
		}
	}
	if code := stop(); code != 0 {
		t.Errorf("exit code %d after a stop, want 0", code)
	}
	if response, err := login(http.DefaultClient, url); err == nil {
		_ = response.Body.Close()
		t.Error("still serves after it was stopped")
	}
}

func TestStopsThoughARequestIsHeldUp(t *testing.T) {
	url, stop := started(t, append(oneLogin, "--fault", "every: slow 1h")...)
	answered := make(chan int, 1)
	go func() {
		response, err := login(http.DefaultClient, url)
		if err != nil {
			answered <- 0
			return
		}
		_ = response.Body.Close()
		answered <- response.StatusCode
	}()
	awaitRequest(t, url)
	if code := stop(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if status := <-answered; status != 200 {
		t.Errorf("the request that was held up got %d, want 200 at the stop", status)
	}
}

func awaitRequest(t *testing.T, url string) {
	t.Helper()
	for range 2000 {
		response, err := http.Get(url + "/ledger")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if strings.Contains(string(body), `"outcome":"pending"`) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the request never arrived")
}

func TestServesTLS(t *testing.T) {
	certFile, keyFile, pool := certificate(t)
	url, stop := started(t, append(oneLogin, "--tls-cert", certFile, "--tls-key", keyFile)...)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	response, err := login(client, url)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if !strings.HasPrefix(url, "https://") || response.StatusCode != 200 {
		t.Errorf("%s answered %d", url, response.StatusCode)
	}
	client.CloseIdleConnections()
	if code := stop(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// certificate borrows the one that httptest has for loopback addresses.
func certificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	borrowed := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(borrowed.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return pemFile(t, "CERTIFICATE", borrowed.Certificate[0]), pemFile(t, "PRIVATE KEY", key), pool
}

func pemFile(t *testing.T, kind string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.pem")
	encoded := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content})
	if err := os.WriteFile(path, encoded, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCommandLine(t *testing.T) {
	tests := map[string]struct {
		why       string
		arguments []string
		code      int
		stderr    string
	}{
		"unknown dialect":   {"the dialects are few", append([]string{"--dialect", "klingon"}, oneLogin...), 2, "want one of [fluent"},
		"help":              {"asking for help is no mistake", []string{"--help"}, 0, "-kill-on-refresh"},
		"nothing":           {"a tenant needs someone who can log in", nil, 2, "--client and --user are required"},
		"no password":       {"every user has a password", []string{"--client", "c", "--user", "u"}, 2, "every --user needs one --password"},
		"secret without":    {"a secret belongs to a client", append([]string{"--client-secret", "hush"}, oneLogin...), 2, "more --client-secret"},
		"key without cert":  {"a key alone serves nothing", append([]string{"--tls-key", "k"}, oneLogin...), 2, "come together"},
		"unknown flag":      {"a slip is told", []string{"--locked"}, 2, "not defined: -locked"},
		"odd fault":         {"a fault is read at once", []string{"--fault", "3: drop-after"}, 2, "want 3rd"},
		"stray word":        {"a stray word is not repeated: it may be a secret", append([]string{"--lockout"}, append(oneLogin, "hush")...), 2, "unexpected arguments: 1"},
		"address in use":    {"what cannot be listened on is a failure", append([]string{"--listen", "127.0.0.1:-1"}, oneLogin...), 1, "invalid port"},
		"missing cert file": {"a certificate must exist", append([]string{"--tls-cert", "none", "--tls-key", "none"}, oneLogin...), 1, "none"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), test.arguments, &stdout, &stderr)
			if code != test.code || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("exit code %d and %q, want %d and %q: %s", code, stderr.String(), test.code, test.stderr, test.why)
			}
			if strings.Contains(stderr.String(), "hush") {
				t.Errorf("a secret was written out: %s", stderr.String())
			}
		})
	}
}

func TestSpeaksTheDialectItIsTold(t *testing.T) {
	url, _ := started(t, append(oneLogin, "--dialect", "commercelayer", "--rate-limit", "1")...)
	ask := func() int {
		body := strings.NewReader(`{"grant_type":"client_credentials","client_id":"fluent-api","client_secret":"s"}`)
		response, err := http.Post(url+"/oauth/token", "application/json", body)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	if first, second := ask(), ask(); first != 200 || second != 429 {
		t.Errorf("two requests got %d and %d, want 200 and, over the limit, 429", first, second)
	}
}
