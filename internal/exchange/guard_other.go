//go:build !unix

package exchange

// write leaves the system calls to the runtime.
func (g *guardedConn) write(b []byte) (int, error) { return g.writeWhole(b) }
