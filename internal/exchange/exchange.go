// Package exchange makes one HTTP round trip to a token endpoint and says what came of it. The request is written to a connection
// that was dialed for it, once: no redirect, no retry, no keep-alive, no HTTP/2, all of which can send a single-use token twice.
package exchange

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// Bounds of one exchange.
const (
	// DialTimeout bounds name resolution, TCP and TLS together.
	DialTimeout = 10 * time.Second
	// ReplyTimeout bounds the time from the first byte sent to the last byte read.
	ReplyTimeout = 30 * time.Second
	// MaxReply bounds the body of a reply.
	MaxReply = 64 << 10

	maxHeader = 64 << 10
	// lastLook is how long a reply is waited for after its deadline: one that came while this process was frozen lies there.
	lastLook = time.Second
)

const userAgent = "fluent-credential-operator"

// Send writes the request to the connection, once, reads the reply and closes the connection. It takes no longer than the Dialer's
// ReplyTimeout, and its context is only for its values: what is on the wire is not taken back.
func (c *Conn) Send(ctx context.Context, api provider.API, grant token.Grant, request provider.Request) provider.Answer {
	defer c.Close()
	answer := c.roundTrip(ctx, api, grant, request)
	answer.Problem = presentable(answer.Problem, request.Secrets)
	return answer
}

func (c *Conn) roundTrip(ctx context.Context, api provider.API, grant token.Grant, request provider.Request) provider.Answer {
	reply, none := c.fetch(ctx, request)
	if none != nil {
		return *none
	}
	c.seal() // before anything is made of it
	return api.Read(grant, reply)
}

// fetch sends the request and reads the reply; without one it says what is known.
func (c *Conn) fetch(ctx context.Context, request provider.Request) (provider.Reply, *provider.Answer) {
	none := func(answer provider.Answer) (provider.Reply, *provider.Answer) { return provider.Reply{}, &answer }
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.replyTimeout)
	defer cancel()
	out, err := httpRequest(ctx, request)
	if err != nil {
		return none(provider.Answer{Verdict: token.Unsent, Problem: provider.Problem{Description: "the request cannot be built"}})
	}
	if err := c.SetDeadline(c.expiry(ctx)); err != nil {
		return none(failed(token.Unsent, err))
	}
	if err := out.Write(c); err != nil {
		return none(failed(c.afterWrite(), err))
	}
	reply, err := readReply(c.taped(), out)
	if err != nil {
		return none(failed(token.Unknown, err))
	}
	return reply, nil
}

// afterWrite is the verdict on a request that could not be written whole.
func (c *Conn) afterWrite() token.Verdict {
	if c.wrote() {
		return token.Unknown
	}
	return token.Unsent
}

func httpRequest(ctx context.Context, request provider.Request) (*http.Request, error) {
	out, err := http.NewRequestWithContext(ctx, http.MethodPost, request.URL.Reveal(), strings.NewReader(request.Body.Reveal()))
	if err != nil {
		return nil, err
	}
	out.GetBody, out.Close = nil, true
	out.Header.Set("User-Agent", userAgent)
	for name, value := range request.Header {
		if !ours[http.CanonicalHeaderKey(name)] {
			out.Header.Set(name, value.Reveal())
		}
	}
	out.Header.Set("Accept-Encoding", "identity") // without it any coding would do (RFC 9110 section 12.5.3)
	return out, nil
}

// ours are the headers that say how a message is carried: one of the user's could make the reply unreadable, and lose the chain.
var ours = map[string]bool{
	"Connection": true, "Content-Encoding": true, "Content-Length": true, "Expect": true, "Host": true, "Keep-Alive": true,
	"Proxy-Connection": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
}

// readReply reads one final reply; interim ones (RFC 9110 section 15.2) are passed over.
func readReply(conn io.Reader, request *http.Request) (provider.Reply, error) {
	reader := bufio.NewReader(&bounded{conn, maxHeader + MaxReply + 1})
	for {
		response, err := http.ReadResponse(reader, request)
		if err != nil {
			return provider.Reply{}, err
		}
		if response.StatusCode >= 200 {
			return readBody(response)
		}
		_ = response.Body.Close()
	}
}

func readBody(response *http.Response) (provider.Reply, error) {
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxReply+1))
	if err != nil && !isWhole(response, body) {
		return provider.Reply{}, err
	}
	if len(body) > MaxReply {
		return provider.Reply{}, errTooLarge
	}
	return provider.Reply{Status: response.StatusCode, Header: response.Header, Body: body}, nil
}

// isWhole tells whether what was read before the connection failed is all of a granted reply: a JSON value says itself where it
// ends. Where the server told the length, the length counts.
func isWhole(response *http.Response, body []byte) bool {
	return response.StatusCode/100 == 2 && response.ContentLength < 0 && len(body) <= MaxReply && json.Valid(body)
}

var errTooLarge = errors.New("the reply is larger than 64 KiB")

// bounded reads no more than so many bytes: header, body and interim replies together.
type bounded struct {
	io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	n, err := b.Reader.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// failed is the answer where no reply could be read.
func failed(verdict token.Verdict, err error) provider.Answer {
	problem := provider.Problem{Description: describe(err)}
	if errors.Is(err, errTooLarge) {
		problem.Code = provider.InvalidReply
	}
	return provider.Answer{Verdict: verdict, Problem: problem}
}

// describe tells an error without what it may carry: http's own errors repeat the URL, and parse errors repeat the reply.
func describe(err error) string {
	var network net.Error
	var operation *net.OpError
	switch {
	case errors.Is(err, errTooLarge):
		return err.Error()
	case errors.As(err, &network) && network.Timeout():
		return "no reply in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed before the reply was complete"
	case errors.As(err, &operation):
		return rootCause(operation)
	}
	return "the reply is not valid HTTP"
}
