package exchange

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// proxy is an HTTP proxy that notes what it is asked and everything that passes through it.
type proxy struct {
	*endpoint
	mu      sync.Mutex
	asked   []string
	header  http.Header
	passing bytes.Buffer
}

// newProxy answers every CONNECT with a text, or, where that is empty, does what it is asked.
func newProxy(t *testing.T, answer string) *proxy {
	t.Helper()
	p := &proxy{}
	p.endpoint = listen(t, func(client *peer) {
		request, err := http.ReadRequest(client.reader)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.asked, p.header = append(p.asked, request.Method+" "+request.RequestURI), request.Header
		p.mu.Unlock()
		if answer != "" {
			client.say(answer)
			client.hangUp()
			return
		}
		p.pass(client, request.RequestURI)
	})
	return p
}

// pass connects to the target and copies both ways.
func (p *proxy) pass(client *peer, target string) {
	server, err := net.Dial("tcp", target)
	if err != nil {
		client.say("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
		return
	}
	defer func() { _ = server.Close() }()
	client.say("HTTP/1.1 200 Connection established\r\nProxy-Agent: test\r\n\r\n")
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(client, server)
		client.hangUp()
	}()
	_, _ = io.Copy(io.MultiWriter(server, p), client.reader)
	_ = server.(*net.TCPConn).CloseWrite()
	<-back
}

// Write notes what passes.
func (p *proxy) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.passing.Write(b)
}

func (p *proxy) was() (asked []string, header http.Header, passing string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...), p.header, p.passing.String()
}

func through(user *url.Userinfo, address string) func(*url.URL) (*url.URL, error) {
	return func(*url.URL) (*url.URL, error) { return &url.URL{Scheme: "http", User: user, Host: address}, nil }
}

// TestThroughProxy: the request arrives, the proxy sees none of it, and is asked for a name only where the admin named it.
func TestThroughProxy(t *testing.T) {
	authority := newAuthority(t)
	server := listenTLS(t, authority.serving(t, "localhost", time.Now().Add(-time.Hour), time.Now().Add(time.Hour)), answering(reply("200 OK", granting)))
	_, port, _ := net.SplitHostPort(server.address())
	for name, c := range map[string]struct {
		policy Policy
		target string
		why    string
	}{
		"a host that nobody named": {developing, "CONNECT 127.0.0.1:" + port, "its address was looked up and checked here, and the proxy shall go there and nowhere else"},
		"a host that was named":    {Policy{InsecureHTTP: true, AllowedHosts: []string{"localhost"}}, "CONNECT localhost:" + port, "many proxies decide by name"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, "")
			api, err := provider.NewOAuth2(provider.OAuth2{
				TokenURL: "https://localhost:" + port + "/token", Options: provider.Options{CABundle: authority.bundle},
			})
			if err != nil {
				t.Fatal(err)
			}
			out := request(t, api)
			got := exchanged(t, Dialer{Policy: c.policy, Proxy: through(url.UserPassword("me", "proxy-password"), p.address())}, api, out)
			if got.Verdict != token.Granted {
				t.Fatalf("got %+v", got)
			}
			p.stop()
			asked, header, passing := p.was()
			if len(asked) != 1 || asked[0] != c.target {
				t.Errorf("the proxy was asked %q, want %s: %s", asked, c.target, c.why)
			}
			if header.Get("Proxy-Authorization") != "Basic bWU6cHJveHktcGFzc3dvcmQ=" {
				t.Errorf("the proxy was told %q", header)
			}
			for _, secret := range out.Secrets {
				if value := secret.Reveal(); value != "" && strings.Contains(passing, value) {
					t.Error("a secret passed the proxy in the clear")
				}
			}
			if strings.Contains(passing, "proxy-password") {
				t.Error("the proxy's password went on to the endpoint")
			}
		})
	}
}

// TestProxyFails: whatever a proxy does instead of connecting, nothing was sent.
func TestProxyFails(t *testing.T) {
	const elsewhere = "https://127.0.0.1:1/token"
	closed := listen(t, func(*peer) {})
	closed.stop()
	cases := map[string]struct{ answer, says, why string }{
		"no password":    {"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "HTTP 407", "the admin's to mend"},
		"forbidden":      {"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\n\r\n<html>", "HTTP 403", "the proxy's own policy"},
		"bad gateway":    {"HTTP/1.1 502 Bad Gateway\r\n\r\n", "HTTP 502", "the endpoint is down"},
		"redirect":       {"HTTP/1.1 302 Found\r\nLocation: http://login.proxy.example/\r\nContent-Length: 0\r\n\r\n", "HTTP 302", "a portal is not followed"},
		"not HTTP":       {"SSH-2.0-OpenSSH_9.2\r\n", "not valid HTTP", "it is no proxy"},
		"nothing":        {"HTTP/1.1 200", "not complete, or not valid HTTP", "it hung up"},
		"chatty":         {"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{}", "it spoke in the endpoint's place", "a reply before the request is nobody's"},
		"endless header": {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 20<<10) + "\r\n\r\n", "not complete, or not valid HTTP", "it is read within bounds"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, c.answer)
			api := oauth2(t, elsewhere, provider.Form)
			conn, got := Dialer{Policy: developing, Proxy: through(nil, p.address())}.Dial(t.Context(), api, request(t, api))
			if conn != nil {
				t.Fatalf("connected, but %s", c.why)
			}
			if got.Verdict != token.Unsent || !strings.HasPrefix(got.Problem.Description, "the proxy "+p.address()+": ") || !strings.Contains(got.Problem.Description, c.says) {
				t.Errorf("got %s: %s, want it to say %s, since %s", got.Verdict, got.Problem.Description, c.says, c.why)
			}
		})
	}
	t.Run("away", func(t *testing.T) {
		api := oauth2(t, elsewhere, provider.Form)
		_, got := Dialer{Policy: developing, Proxy: through(nil, closed.address())}.Dial(t.Context(), api, request(t, api))
		if want := "the proxy " + closed.address() + ": connection refused"; got.Verdict != token.Unsent || got.Problem.Description != want {
			t.Errorf("got %+v, want %s", got, want)
		}
	})
	t.Run("silent", func(t *testing.T) {
		p := listen(t, func(client *peer) { client.read() })
		api := oauth2(t, elsewhere, provider.Form)
		dialer := Dialer{Policy: developing, Proxy: through(nil, p.address()), DialTimeout: 200 * time.Millisecond}
		_, got := dialer.Dial(t.Context(), api, request(t, api))
		if want := "the proxy " + p.address() + ": no connection in time"; got.Verdict != token.Unsent || got.Problem.Description != want {
			t.Errorf("got %+v, want %s", got, want)
		}
	})
}

// TestProxyIsAskedForNothingForbidden: the policy holds for what the proxy is asked for, and the proxy hears nothing of the rest.
func TestProxyIsAskedForNothingForbidden(t *testing.T) {
	for name, c := range map[string]struct {
		url     string
		policy  Policy
		verdict token.Verdict
		says    string
		why     string
	}{
		"a metadata address":        {"https://169.254.169.254/token", Policy{}, token.RefusedIntact, "never allowed", "clouds give credentials away there"},
		"a mapped metadata address": {"https://[::ffff:169.254.169.254]/token", Policy{}, token.RefusedIntact, "never allowed", "in whatever clothing"},
		"a private address":         {"https://10.0.0.7/token", Policy{}, token.RefusedIntact, "private address", "the admin did not name it"},
		"a name of a loopback":      {"https://localhost/token", Policy{}, token.Unsent, "loopback address", "it would be the proxy's own"},
		"a name that nobody knows":  {"https://login.invalid/token", Policy{}, token.Unsent, "cannot be looked up here", "what it is cannot be checked"},
		"a name not allowed":        {"https://login.example/token", Policy{AllowedHosts: []string{"*.api.fluentretail.com"}}, token.RefusedIntact, "matches no pattern", "the admin said so"},
		"plain http":                {"http://127.0.0.1:1/token", developing, token.Unsent, "connection refused", "only https goes through a proxy"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
			api := oauth2(t, c.url, provider.Form)
			_, got := Dialer{Policy: c.policy, Proxy: through(nil, p.address())}.Dial(t.Context(), api, request(t, api))
			if got == nil || got.Verdict != c.verdict || !strings.Contains(got.Problem.Description, c.says) {
				t.Errorf("got %+v, want %s and %s, since %s", got, c.verdict, c.says, c.why)
			}
			p.stop()
			if n := p.connections(); n != 0 {
				t.Errorf("the proxy got %d connections, but %s", n, c.why)
			}
		})
	}
	p := newProxy(t, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
	api := oauth2(t, "https://login.invalid/token", provider.Form)
	named := Dialer{Policy: Policy{AllowedHosts: []string{"*.invalid"}}, Proxy: through(nil, p.address())}
	if _, got := named.Dial(t.Context(), api, request(t, api)); got == nil || got.Verdict != token.Unsent {
		t.Errorf("got %+v", got)
	}
	p.stop()
	if asked, _, _ := p.was(); len(asked) != 1 || asked[0] != "CONNECT login.invalid:443" {
		t.Errorf("the proxy was asked %q; a name that the admin named is the proxy's to look up", asked)
	}
}
