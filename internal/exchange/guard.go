package exchange

import (
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// guardedConn is the connection below TLS. It counts the bytes passed to the kernel: if there are none, nothing can
// have been spent. It checks the clock right before it passes bytes on, since a process can be stopped at any moment
// before that, and the deadline of a connection is a timer that may fire after the write.
type guardedConn struct {
	net.Conn
	now     func() time.Time
	written atomic.Int64
	fence   time.Time // zero: none
}

// errTooLate is returned for a request whose claim is too old to be spent.
var errTooLate = errors.New("the claim's deadline passed")

// around puts the guard around a new connection.
func (g *guardedConn) around(conn net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	g.Conn = conn
	return g, nil
}

// arm sets the time after which no request is begun.
func (g *guardedConn) arm(fence time.Duration) { g.fence = g.now().Add(fence) }

// check compares the clock with the fence. It uses the monotonic clock, which stops while a virtual machine is paused,
// and the wall clock, which can be set; either is enough. A request begun in time is not stopped halfway: the
// connection's deadline ends it.
func (g *guardedConn) check() error {
	if g.fence.IsZero() || g.written.Load() > 0 {
		return nil
	}
	now := g.now()
	if now.After(g.fence) || now.Round(0).After(g.fence.Round(0)) {
		return errTooLate
	}
	return nil
}

// Write passes bytes to the kernel. It checks the clock right before each system call.
func (g *guardedConn) Write(b []byte) (int, error) {
	return g.write(b)
}

// writeWhole writes to a connection whose system calls are not accessible.
func (g *guardedConn) writeWhole(b []byte) (int, error) {
	if err := g.check(); err != nil {
		return 0, err
	}
	n, err := g.Conn.Write(b)
	g.written.Add(int64(n))
	return n, err
}

// now returns the time that is compared with the fence.
func (d Dialer) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now() //nolint:forbidigo // the fence holds only if the clock is read at the system call
}
