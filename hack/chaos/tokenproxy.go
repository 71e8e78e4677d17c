package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// tokenProxy stands between the operator and its token endpoint. It forwards one request per connection, byte for byte, and keeps
// account of every refresh token that a client let go of, whether or not the server ever saw it.
type tokenProxy struct {
	traps
	*gate
	server string // address of the token endpoint

	book    sync.Mutex
	entries []sending
}

// sending is one token request that left a client.
type sending struct {
	at        time.Time
	grant     string
	user      string
	spends    string // the refresh token, in the clear
	forwarded int    // how often the server got it
}

func newTokenProxy(server string) (*tokenProxy, error) {
	p := &tokenProxy{server: server}
	opened, err := newGate(p.accept)
	p.gate = opened
	return p, err
}

// url is what the operator takes for the token endpoint's host.
func (p *tokenProxy) url() string { return "http://" + p.address }

func (p *tokenProxy) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go p.carry(conn)
	}
}

// carry takes one request through.
func (p *tokenProxy) carry(conn net.Conn) {
	defer conn.Close() //nolint:errcheck // there is nobody to tell
	if chosen := p.meet(accepted, &passage{}); chosen.cut {
		p.enterUnread(conn)
		hangUp(conn, chosen)
		return
	}
	raw, travel, err := readRequest(conn)
	if err != nil {
		return
	}
	number := p.enter(travel)
	chosen := p.meet(arrived, travel)
	if chosen.cut {
		hangUp(conn, chosen)
		return
	}
	reply, err := p.forward(number, raw, chosen)
	if err != nil {
		return
	}
	p.deliver(conn, travel, reply)
}

// readRequest reads a request, and what it asks for.
func readRequest(conn net.Conn) ([]byte, *passage, error) {
	var raw bytes.Buffer
	request, err := http.ReadRequest(bufio.NewReader(io.TeeReader(conn, &raw)))
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, nil, err
	}
	asked, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, nil, err
	}
	return raw.Bytes(), &passage{
		method: request.Method, path: request.URL.Path, body: body,
		grant: asked.Get("grant_type"), spends: asked.Get("refresh_token"), user: asked.Get("username"),
	}, nil
}

func (p *tokenProxy) enter(travel *passage) int {
	p.book.Lock()
	defer p.book.Unlock()
	p.entries = append(p.entries, sending{at: time.Now(), grant: travel.grant, spends: travel.spends, user: travel.user})
	return len(p.entries) - 1
}

// unreadFor is how long what a client sends is looked at before its connection is closed unread.
const unreadFor = 100 * time.Millisecond

// enterUnread enters what has left the client on a connection that nobody answers.
func (p *tokenProxy) enterUnread(conn net.Conn) {
	_ = conn.SetReadDeadline(time.Now().Add(unreadFor))
	if _, travel, err := readRequest(conn); err == nil {
		p.enter(travel)
	}
}

// sendings are all requests so far.
func (p *tokenProxy) sendings() []sending {
	p.book.Lock()
	defer p.book.Unlock()
	return append([]sending(nil), p.entries...)
}

// forward asks the server, twice where the fate says so, and returns the reply that is to be delivered.
func (p *tokenProxy) forward(number int, raw []byte, chosen fate) ([]byte, error) {
	reply, err := p.ask(number, raw)
	if err != nil || !chosen.twice {
		return reply, err
	}
	second, err := p.ask(number, raw)
	if chosen.second {
		return second, err
	}
	return reply, err
}

func (p *tokenProxy) ask(number int, raw []byte) ([]byte, error) {
	upstream, err := net.Dial("tcp", p.server)
	if err != nil {
		return nil, err
	}
	defer upstream.Close() //nolint:errcheck // it was read to its end
	p.book.Lock()
	p.entries[number].forwarded++
	p.book.Unlock()
	if _, err := upstream.Write(raw); err != nil {
		return nil, err
	}
	return io.ReadAll(upstream) // the request says "Connection: close"
}

// deliver sends the reply back, or as much of it as its fate allows.
func (p *tokenProxy) deliver(conn net.Conn, travel *passage, reply []byte) {
	sent := 0
	travel.reply = reply
	travel.partly = func(n int) {
		_, _ = conn.Write(reply[sent:min(n, len(reply))])
		sent = min(n, len(reply))
	}
	chosen := p.meet(answered, travel)
	switch {
	case chosen.instead != nil:
		_, _ = conn.Write(chosen.instead)
	case chosen.cut:
		travel.partly(max(sent, chosen.keep))
		hangUp(conn, chosen)
	default:
		travel.partly(len(reply))
	}
}

// hangUp closes a connection, by a RST where the fate says so: then what was sent and not yet read may be lost, too.
func hangUp(conn net.Conn, chosen fate) {
	if kept, ok := conn.(*gateConn); ok && chosen.reset {
		if raw, ok := kept.Conn.(*net.TCPConn); ok {
			_ = raw.SetLinger(0)
		}
	}
	_ = conn.Close()
}
