//go:build unix

package exchange

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// write makes the system calls itself, so that nothing comes between the check of the clock and the call. The runtime
// still waits for the socket to accept more, and for the deadline.
func (g *guardedConn) write(b []byte) (int, error) {
	socket, ok := g.Conn.(syscall.Conn)
	if !ok {
		return g.writeWhole(b)
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	written := 0
	var failed error
	err = raw.Write(func(descriptor uintptr) bool {
		for written < len(b) {
			if failed = g.check(); failed != nil {
				return true
			}
			n, err := syscall.Write(int(descriptor), b[written:])
			if n > 0 {
				written += n
				g.written.Add(int64(n))
			}
			switch {
			case errors.Is(err, syscall.EAGAIN):
				return false // called again when the socket accepts more
			case err != nil && !errors.Is(err, syscall.EINTR):
				cause := os.NewSyscallError("write", err)
				failed = &net.OpError{Op: "write", Net: "tcp", Addr: g.RemoteAddr(), Err: cause}
				return true
			}
		}
		return true
	})
	if failed != nil {
		return written, failed
	}
	return written, err
}
