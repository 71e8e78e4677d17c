package main

import (
	"errors"
	"net"
	"sync"
	"time"
)

// gate is a listener on the loopback that can be shut, with all that came through it, and opened again under the same address.
type gate struct {
	address string
	serve   func(net.Listener)

	mu       sync.Mutex
	listener net.Listener // nil: shut
	conns    map[net.Conn]struct{}
}

// newGate opens a gate; serve is called with every listener of it, and has to return when that is closed.
func newGate(serve func(net.Listener)) (*gate, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &gate{address: listener.Addr().String(), serve: serve, conns: map[net.Conn]struct{}{}}
	g.admit(listener)
	return g, nil
}

func (g *gate) admit(listener net.Listener) {
	g.listener = listener
	go g.serve(&gateListener{Listener: listener, gate: g})
}

// shut refuses connections from now on, and breaks those that there are.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener == nil {
		return
	}
	_ = g.listener.Close()
	g.listener = nil
	for conn := range g.conns {
		_ = conn.Close()
	}
}

// isIdle tells whether no connection is open.
func (g *gate) isIdle() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.conns) == 0
}

// reopenPatience is how long the address may be busy with connections that are still being closed.
const reopenPatience = 10 * time.Second

// reopen lets connections in again.
func (g *gate) reopen() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener != nil {
		return nil
	}
	deadline := time.Now().Add(reopenPatience)
	for {
		listener, err := net.Listen("tcp", g.address)
		if err == nil {
			g.admit(listener)
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(errors.New("the address of a proxy was taken by somebody else"), err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

type gateListener struct {
	net.Listener
	gate *gate
}

// Accept keeps the connection in mind.
func (l *gateListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.gate.mu.Lock()
	defer l.gate.mu.Unlock()
	kept := &gateConn{Conn: conn, gate: l.gate}
	l.gate.conns[kept] = struct{}{}
	if l.gate.listener == nil {
		_ = conn.Close() // it slipped through while the gate was being shut
	}
	return kept, nil
}

type gateConn struct {
	net.Conn
	gate *gate
}

// Close forgets the connection.
func (c *gateConn) Close() error {
	go c.forget() // shut holds the lock while it closes
	return c.Conn.Close()
}

func (c *gateConn) forget() {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	delete(c.gate.conns, c)
}
