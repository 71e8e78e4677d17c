package controllers

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// rogue is a token endpoint in front of the simulated server. It behaves for as long as it has no manners, and it counts what is
// sent to it, whatever becomes of that.
type rogue struct {
	listener net.Listener
	tls      *tls.Config // nil: it speaks plain HTTP
	behind   http.Handler
	manners  atomic.Pointer[manners]
	busy     sync.WaitGroup

	mu        sync.Mutex
	requests  int
	presented map[string]int // by refresh token
	headers   []http.Header
	kept      int // requests that did not ask to close the connection
}

// manners are a way to misbehave.
type manners struct {
	unread bool        // the server behind is not asked: the request is not processed
	tls    *tls.Config // in the place of the good one
	raw    bool        // what is served goes out before TLS
	serve  func(turn)  // nil: the good reply
}

// turn is one request to which a rogue answers.
type turn struct {
	net.Conn
	good string // the body of the reply that the server behind gave
	sent string // the body of the request
}

func (t turn) say(text string) { _, _ = io.WriteString(t, text) }

func newRogue(t *testing.T, secured *tls.Config) *rogue {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &rogue{listener: listener, tls: secured, presented: map[string]int{}}
	r.busy.Go(r.accept)
	t.Cleanup(func() { _ = listener.Close(); r.busy.Wait() })
	return r
}

func (r *rogue) accept() {
	for {
		conn, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.busy.Go(func() { r.attend(conn, r.manners.Load()) })
	}
}

func (r *rogue) attend(conn net.Conn, bad *manners) {
	defer func() { _ = conn.Close() }()
	if bad != nil && bad.raw {
		_, _ = conn.Read(make([]byte, 8192)) // the client's first words
		bad.serve(turn{Conn: conn})
		return
	}
	if secured := r.offered(bad); secured != nil {
		conn = tls.Server(conn, secured)
		defer func() { _ = conn.Close() }()
	}
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	body, _ := io.ReadAll(request.Body)
	r.count(request, body)
	request.Body = io.NopCloser(bytes.NewReader(body))
	r.answer(conn, request, bad, string(body))
}

func (r *rogue) answer(conn net.Conn, request *http.Request, bad *manners, sent string) {
	reply := httptest.NewRecorder()
	if bad == nil || !bad.unread {
		r.behind.ServeHTTP(reply, request)
	}
	if bad == nil || bad.serve == nil {
		_ = reply.Result().Write(conn)
		return
	}
	bad.serve(turn{conn, reply.Body.String(), sent})
}

func (r *rogue) offered(bad *manners) *tls.Config {
	if bad != nil && bad.tls != nil {
		return bad.tls
	}
	return r.tls
}

func (r *rogue) count(request *http.Request, body []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	r.headers = append(r.headers, request.Header)
	if !request.Close || request.ProtoMajor != 1 {
		r.kept++
	}
	if form, err := url.ParseQuery(string(body)); err == nil && form.Get("refresh_token") != "" {
		r.presented[form.Get("refresh_token")]++
	}
}

// seen is how many requests came, and how often the refresh token came that came most often.
func (r *rogue) seen() (requests, presentations int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, times := range r.presented {
		presentations = max(presentations, times)
	}
	return r.requests, presentations
}

// mustBeAskedPlainly: a connection is for one request, no coding of the reply is asked for, and nothing that a reply set comes back.
func (r *rogue) mustBeAskedPlainly(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept > 0 {
		t.Errorf("%d requests would have kept the connection", r.kept)
	}
	for _, header := range r.headers {
		if header.Get("Accept-Encoding") != "identity" || header.Get("Cookie") != "" || header.Get("Idempotency-Key") != "" {
			t.Errorf("asked with the headers %v", header)
		}
	}
}

func (r *rogue) url() v1alpha1.BaseURL {
	scheme := "http://"
	if r.tls != nil {
		scheme = "https://"
	}
	return v1alpha1.BaseURL(scheme + r.listener.Addr().String())
}

// beset is a driven operator whose endpoint is a rogue.
type beset struct {
	*driven
	rogue *rogue
}

func newBeset(t *testing.T) *beset {
	t.Helper()
	return besetBy(t, newRogue(t, nil), "", nil)
}

// newBesetWith changes the login before it is created.
func newBesetWith(t *testing.T, login func(*corev1.Secret)) *beset {
	t.Helper()
	return besetBy(t, newRogue(t, nil), "", login)
}

func besetBy(t *testing.T, front *rogue, caBundle string, login func(*corev1.Secret)) *beset {
	t.Helper()
	forEver := func(config *authsim.Config) { config.RefreshTokenLifetime = -1 }
	d := newDrivenWith(t, forEver, login, func(cred *v1alpha1.FluentCredential) {
		cred.Spec.Provider.Fluent.BaseURL, cred.Spec.Provider.Fluent.CABundle = front.url(), caBundle
	})
	front.behind = d.server.Server
	return &beset{driven: d, rogue: front}
}
