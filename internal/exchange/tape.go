package exchange

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// Tape receives a reply byte for byte while it is read: the reply is the only copy of a refresh token, and this process
// may end before the token is stored.
type Tape interface {
	io.Writer
	// Seal makes the reply durable. What it returns is known to the tape's owner.
	Seal() error
}

func (c *Conn) taped() io.Reader {
	if c.tape == nil {
		return &patient{Conn: c}
	}
	return io.TeeReader(&patient{Conn: c}, c.tape)
}

// patient reads once more after the deadline. The runtime reports an expired deadline even if the reply has already
// arrived.
type patient struct {
	*Conn
	looked bool
}

func (p *patient) Read(into []byte) (int, error) {
	n, err := p.read(into)
	p.received += n
	return n, err
}

func (p *patient) read(into []byte) (int, error) {
	n, err := p.Conn.Read(into)
	if n > 0 || p.looked || !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	p.looked = true
	ctx, cancel := context.WithTimeout(context.Background(), lastLook)
	defer cancel()
	end, _ := ctx.Deadline()
	if p.SetReadDeadline(end) != nil {
		return n, err
	}
	return p.Conn.Read(into)
}

func (c *Conn) seal() {
	if c.tape != nil {
		_ = c.tape.Seal() // the owner of the tape asks it
	}
}

// Replay reads a reply from a tape as Send would have read it from the connection.
func Replay(api provider.API, grant token.Grant, tape token.Secret, secrets []token.Secret) provider.Answer {
	request, err := http.NewRequest(http.MethodPost, api.Endpoint().String(), http.NoBody)
	if err != nil {
		return faultOf(midRead, err).presentable(secrets)
	}
	reply, err := readReply(strings.NewReader(tape.Reveal()), request)
	if err != nil {
		return faultOf(midRead, err).presentable(secrets)
	}
	answer := api.Read(grant, reply)
	answer.Problem = presentable(answer.Problem, secrets)
	return answer
}
