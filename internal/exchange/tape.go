package exchange

import (
	"io"
	"net/http"
	"strings"

	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// Tape is what a reply is written to while it is read, byte for byte: the only copy of a refresh token, in case this process ends
// before it is stored.
type Tape interface {
	io.Writer
	// Seal makes the reply durable. What it returns is known to the tape's owner.
	Seal() error
}

func (c *Conn) taped() io.Reader {
	if c.tape == nil {
		return c
	}
	return io.TeeReader(c, c.tape)
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
		return failed(token.Unknown, err)
	}
	reply, err := readReply(strings.NewReader(tape.Reveal()), request)
	if err != nil {
		return failed(token.Unknown, err)
	}
	answer := api.Read(grant, reply)
	answer.Problem = presentable(answer.Problem, secrets)
	return answer
}
