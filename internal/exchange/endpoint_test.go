package exchange

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// endpoint is a token endpoint that serves every connection by one function, and counts what reaches it.
type endpoint struct {
	listener net.Listener
	tls      *tls.Config // nil: plain TCP
	serve    func(*peer)

	served   sync.WaitGroup
	accepted atomic.Int64
	requests atomic.Int64
	leftover atomic.Int64 // bytes that came after what serve has read
}

func listen(t *testing.T, serve func(*peer)) *endpoint {
	t.Helper()
	return listenTLS(t, nil, serve)
}

func listenTLS(t *testing.T, config *tls.Config, serve func(*peer)) *endpoint {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &endpoint{listener: listener, tls: config, serve: serve}
	e.served.Go(e.accept)
	t.Cleanup(e.stop)
	return e
}

func (e *endpoint) accept() {
	for {
		conn, err := e.listener.Accept()
		if err != nil {
			return
		}
		e.accepted.Add(1)
		e.served.Go(func() { e.attend(conn) })
	}
}

// patience ends a test that hangs; none waits for it.
const patience = 20 * time.Second

// attend serves a connection and then waits for the client to close it, whatever else it sends.
func (e *endpoint) attend(raw net.Conn) {
	defer func() { _ = raw.Close() }()
	_ = raw.SetDeadline(time.Now().Add(patience))
	conn := raw
	if e.tls != nil {
		conn = tls.Server(raw, e.tls)
	}
	p := &peer{Conn: conn, raw: raw.(*net.TCPConn), endpoint: e, reader: bufio.NewReader(conn)}
	e.serve(p)
	more, _ := io.Copy(io.Discard, p.reader)
	e.leftover.Add(more)
	_, _ = io.Copy(io.Discard, raw)
}

// stop waits until every connection is done with.
func (e *endpoint) stop() {
	_ = e.listener.Close()
	e.served.Wait()
}

func (e *endpoint) address() string    { return e.listener.Addr().String() }
func (e *endpoint) connections() int64 { return e.accepted.Load() }

func (e *endpoint) url() string {
	scheme := "http"
	if e.tls != nil {
		scheme = "https"
	}
	return scheme + "://" + e.address() + "/token"
}

// peer is the server's end of one connection.
type peer struct {
	net.Conn
	raw      *net.TCPConn
	reader   *bufio.Reader
	endpoint *endpoint
}

// read takes one whole request off the connection.
func (p *peer) read() *http.Request {
	request, err := http.ReadRequest(p.reader)
	if err != nil {
		return nil
	}
	_, _ = io.Copy(io.Discard, request.Body)
	p.endpoint.requests.Add(1)
	return request
}

func (p *peer) say(text string) { _, _ = io.WriteString(p.Conn, text) }

// hangUp says that nothing more will come.
func (p *peer) hangUp() { _ = p.raw.CloseWrite() }

// reset throws the connection away, and what is on its way with it.
func (p *peer) reset() {
	_ = p.raw.SetLinger(0)
	_ = p.raw.Close()
}

// granting is the body of a reply that grants.
const granting = `{"access_token":"access-after","token_type":"bearer","expires_in":1800,"refresh_token":"refresh-after"}`

func reply(status, body string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
}

// login is what the tests send; every secret in it needs escaping somewhere.
var login = token.Login{
	Username: "orders", Password: token.NewSecret(`pass-w&rd "with" <signs>/%41+é`), ClientID: "operator",
	ClientSecret: token.NewSecret("client-secret/with=signs"), Refresh: token.NewSecret("refresh-before/2YotnFZFEjr1zCsicMWpAA=="),
	Code: token.NewSecret("code&with+signs"),
}

func oauth2(t *testing.T, url string, style provider.ParameterStyle) *provider.OAuth2 {
	t.Helper()
	api, err := provider.NewOAuth2(provider.OAuth2{TokenURL: url, ParameterStyle: style})
	if err != nil {
		t.Fatal(err)
	}
	return api
}

func request(t *testing.T, api provider.API) provider.Request {
	t.Helper()
	built, err := api.Request(token.RefreshToken, login)
	if err != nil {
		t.Fatal(err)
	}
	return built
}

var developing = Policy{InsecureHTTP: true}

// exchanged makes one exchange.
func exchanged(t *testing.T, dialer Dialer, api provider.API, request provider.Request) provider.Answer {
	t.Helper()
	conn, refused := dialer.Dial(context.Background(), api, request)
	if refused != nil {
		return *refused
	}
	return conn.Send(context.Background(), api, token.RefreshToken, request)
}

// outcome is the part of an Answer that these tests look at.
type outcome struct {
	Verdict           token.Verdict
	Status            int
	Code, Description string
	Access            string
}

func outcomeOf(answer provider.Answer) outcome {
	problem := answer.Problem
	return outcome{answer.Verdict, problem.Status, problem.Code, problem.Description, answer.Set.Access.Reveal()}
}
