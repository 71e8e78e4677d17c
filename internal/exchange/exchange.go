// Package exchange makes one HTTP round trip to a token endpoint and says what came of it. The request is written to
// a connection that was dialed for it, once: no redirect, no retry, no keep-alive, no HTTP/2, all of which can send a
// single-use token twice.
package exchange

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	// MaxReply bounds the body of a reply, decoded. It follows from what Secrets hold, 1 MiB of data each: the target
	// Secret holds the access token twice, as access_token and in authorization, beside keys of the user's; the state
	// Secret holds all of a reply once, in JSON, which makes no byte of a reply longer than three (one that is not
	// UTF-8 becomes U+FFFD), beside 256 KiB of its own. Four times this bound is what a Secret holds.
	MaxReply = 256 << 10
	// MaxHeader bounds the header of a reply, with the interim replies before it.
	MaxHeader = 64 << 10
	// MaxWire bounds a reply as it comes over the wire, with chunks and content coding: what a Tape gets.
	MaxWire = MaxHeader + MaxReply

	// lastLook is how long a reply is waited for after its deadline: one that came while this process was frozen lies
	// there.
	lastLook = time.Second
)

const userAgent = "fluent-credential-operator"

// Send writes the request to the connection, once, reads the reply and closes the connection. It takes no longer than
// the Dialer's ReplyTimeout, and its context is only for its values: what is on the wire is not taken back.
func (c *Conn) Send(
	ctx context.Context, api provider.API, grant token.Grant, request provider.Request,
) provider.Answer {
	defer c.Close()
	reply, fault := c.fetch(ctx, request)
	if fault != nil {
		if fault.status != 0 {
			c.seal() // it is all there, and another version of the operator may read it
		}
		return fault.presentable(request.Secrets)
	}
	c.seal() // before anything is made of it
	answer := api.Read(grant, reply)
	answer.Problem = presentable(answer.Problem, request.Secrets)
	return answer
}

// fetch sends the request and reads the reply; without one it returns what is known.
func (c *Conn) fetch(ctx context.Context, request provider.Request) (provider.Reply, *fault) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.replyTimeout)
	defer cancel()
	out, err := httpRequest(ctx, request)
	if err != nil {
		return provider.Reply{}, &fault{phase: atURL, cause: err} // the error may repeat the URL
	}
	if err := c.SetDeadline(c.expiry(ctx)); err != nil {
		return provider.Reply{}, faultOf(atWrite, err)
	}
	if err := out.Write(c.Conn); err != nil {
		return c.afterWrite(out, err)
	}
	reply, err := readReply(c.taped(), out)
	if err != nil {
		return provider.Reply{}, c.readFault(err)
	}
	return reply, nil
}

// readFault is why no reply could be read.
func (c *Conn) readFault(err error) *fault {
	at := midRead
	if c.received == 0 {
		at = atRead
	}
	return faultOf(at, err).byClient(*c.asked)
}

// afterWrite looks for the reason of a request that could not be written whole: an endpoint may answer, or end TLS
// with an alert, before it has read everything, and close the connection. What comes before the first byte of a
// request is no reply to it.
func (c *Conn) afterWrite(out *http.Request, err error) (provider.Reply, *fault) {
	failed := faultOf(atWrite, err).byClient(*c.asked)
	begun := c.sent.written.Load() > 0
	if begun && failed.phase == atWrite {
		failed.phase = midWrite
	}
	if failed.kind != reset {
		return provider.Reply{}, failed
	}
	from := io.Reader(&patient{Conn: c})
	if begun {
		from = c.taped()
	}
	reply, err := readReply(from, out)
	switch {
	case err == nil && begun:
		return reply, nil
	case err == nil:
		return provider.Reply{}, failed
	}
	if read := c.readFault(err); read.phase == atRead && (read.kind == wantsClient || read.kind == rejectedTLS) {
		return provider.Reply{}, read
	}
	return provider.Reply{}, failed
}

func httpRequest(ctx context.Context, request provider.Request) (*http.Request, error) {
	body := strings.NewReader(request.Body.Reveal())
	out, err := http.NewRequestWithContext(ctx, http.MethodPost, request.URL.Reveal(), body)
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

// ours are the headers that say how a message is carried: one of the user's could make the reply unreadable, and lose
// the chain.
var ours = map[string]bool{
	"Connection": true, "Content-Encoding": true, "Content-Length": true, "Expect": true, "Host": true, "Keep-Alive": true,
	"Proxy-Connection": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
}

// readReply reads one final reply; interim ones (RFC 9110 section 15.2) are passed over.
func readReply(conn io.Reader, request *http.Request) (provider.Reply, error) {
	wire := &bounded{conn, MaxHeader, errHeaderTooLarge}
	reader := bufio.NewReader(wire)
	for {
		response, err := http.ReadResponse(reader, request)
		switch {
		case err != nil && wire.left <= 0: // cut in the middle of a line it is not valid either
			return provider.Reply{}, wire.exceeded
		case err != nil:
			return provider.Reply{}, err
		}
		if response.StatusCode >= 200 {
			wire.left, wire.exceeded = wire.left+MaxReply, errTooLarge
			return readBody(response)
		}
		_ = response.Body.Close()
	}
}

// readBody reads the rest of a reply. A status that says by itself that the request was not carried out says so
// whatever becomes of the body.
func readBody(response *http.Response) (provider.Reply, error) {
	defer func() { _ = response.Body.Close() }()
	reply := provider.Reply{Status: response.StatusCode, Header: response.Header}
	body, err := wholeBody(response)
	if err != nil && !reply.IsUnprocessed() {
		return provider.Reply{}, withStatus(response, err)
	}
	reply.Body = body
	return reply, nil
}

func wholeBody(response *http.Response) ([]byte, error) {
	wire, err := io.ReadAll(response.Body)
	if err != nil && !mayBeWhole(response) {
		return nil, err
	}
	body, broken := decodeBody(response, wire)
	switch {
	case err != nil && (broken != nil || !json.Valid(body)):
		return nil, err
	case broken != nil:
		return nil, broken
	}
	return body, nil
}

// withStatus adds the status to what is wrong with a reply that came, and cannot be used.
func withStatus(response *http.Response, err error) error {
	var known *fault
	switch {
	case errors.As(err, &known):
		known.status = response.StatusCode
		return known
	case errors.Is(err, errTooLarge):
		return &fault{phase: midRead, kind: tooLarge, status: response.StatusCode, cause: err}
	}
	return err
}

// mayBeWhole reports whether what was read before the connection failed can be all of a granted reply: a JSON value
// says itself where it ends. If the server told the length, the length counts.
func mayBeWhole(response *http.Response) bool {
	return response.StatusCode/100 == 2 && response.ContentLength < 0
}

var (
	errTooLarge       = errors.New("the reply is too large")
	errHeaderTooLarge = fmt.Errorf("%w: its header", errTooLarge)
)

// bounded reads no more than so many bytes.
type bounded struct {
	io.Reader
	left     int
	exceeded error // what is returned then
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, b.exceeded
	}
	n, err := b.Reader.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
