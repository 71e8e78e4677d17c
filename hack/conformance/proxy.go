package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
)

// proxy stands between the operator and a server. It notes every request, and can lose a reply that the server has given.
type proxy struct {
	URL string

	target *url.URL
	server *http.Server

	mu       sync.Mutex
	requests []request
	secrets  map[string]bool // every value that must never be seen anywhere else
	fault    *fault
	mutation mutation
}

// fault is what to do with the reply to the next request for a grant.
type fault struct {
	grant   string
	arrived chan struct{} // closed when the server has answered
	release chan struct{} // the reply is kept until this is closed
	lose    bool          // then the connection is closed, and the reply is gone
}

// newProxy listens on the loopback.
func newProxy(target string) (*proxy, error) {
	parsed, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{URL: "http://" + listener.Addr().String(), target: parsed, secrets: map[string]bool{}}
	p.server = &http.Server{Handler: p}
	go func() { _ = p.server.Serve(listener) }() // ends with Close, and says so
	return p, nil
}

func (p *proxy) Close() error { return p.server.Close() }

// loseNext has the reply to the next request for a grant lost.
func (p *proxy) loseNext(grant string) {
	now := make(chan struct{})
	close(now)
	p.arm(&fault{grant: grant, arrived: make(chan struct{}), release: now, lose: true})
}

// holdNext keeps the reply to the next refresh until it is released.
func (p *proxy) holdNext() *fault {
	held := &fault{grant: refreshGrant, arrived: make(chan struct{}), release: make(chan struct{})}
	p.arm(held)
	return held
}

func (p *proxy) arm(armed *fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = armed
}

// reply is what a server has said.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// ServeHTTP lets the server do all of its work before anything is done to the reply.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	asked := readRequest(r, body)
	said, err := p.mutated(r, body, asked)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	if armed := p.note(asked.with(said)); armed != nil {
		close(armed.arrived)
		<-armed.release
		if armed.lose {
			panic(http.ErrAbortHandler) // closes the connection
		}
	}
	for name, values := range said.header {
		w.Header()[name] = values
	}
	w.WriteHeader(said.status)
	_, _ = w.Write(said.body)
}

// forward sends a request on and reads the whole reply, whether or not the operator still waits for it.
func (p *proxy) forward(r *http.Request, body []byte) (reply, error) {
	target := *p.target
	target.Path, target.RawQuery = r.URL.Path, r.URL.RawQuery
	onward, err := http.NewRequest(r.Method, target.String(), bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	onward.Header = r.Header.Clone()
	return do(onward)
}

// directly asks the servers, and follows no redirect.
var directly = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// do asks a server and reads what it says.
func do(asked *http.Request) (reply, error) {
	response, err := directly.Do(asked)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, body}, err
}

// note writes a request down, and takes the fault that waits for it.
func (p *proxy) note(noted request) *fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = append(p.requests, noted)
	for _, secret := range noted.secrets() {
		p.secrets[secret] = true
	}
	if p.fault == nil || noted.grant != p.fault.grant {
		return nil
	}
	armed := p.fault
	p.fault = nil
	return armed
}

// since returns the requests from a number on.
func (p *proxy) since(first int) []request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]request(nil), p.requests[first:]...)
}

// tally is what the requests from a number on were about.
func (p *proxy) tally(first int) tally { return tallyOf(p.since(0), first) }

func (p *proxy) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.requests)
}

// seenIn says whether a text holds one of the values that went through here.
func (p *proxy) seenIn(what string, text []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for secret := range p.secrets {
		if bytes.Contains(text, []byte(secret)) {
			return fmt.Errorf("a secret of %d characters is in %s", len(secret), what)
		}
	}
	return nil
}
