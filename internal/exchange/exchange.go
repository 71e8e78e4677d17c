// Package exchange makes one HTTP round trip to a token endpoint and returns its result. The request is written once,
// to a connection dialed for it: no redirect, no retry, no keep-alive, no HTTP/2, each of which can send a single-use
// token twice.
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
	// MaxReply bounds the body of a reply, decoded. It follows from the size of Secrets, 1 MiB of data each. The target
	// Secret holds the access token twice, as access_token and in authorization, beside the user's keys. The state
	// Secret holds the whole reply once, in JSON, where no byte of a reply becomes longer than three (an invalid UTF-8
	// byte becomes U+FFFD), beside 256 KiB of its own. A Secret holds four times this bound.
	MaxReply = 256 << 10
	// MaxHeader bounds the header of a reply, including preceding interim replies.
	MaxHeader = 64 << 10
	// MaxWire bounds a reply on the wire, with chunks and content coding: what a Tape receives.
	MaxWire = MaxHeader + MaxReply

	// lastLook is how long the reply is still read after its deadline: a reply that came while this process was frozen
	// is already there.
	lastLook = time.Second
)

const userAgent = "fluent-credential-operator"

// Send writes the request to the connection once, reads the reply and closes the connection. It takes no longer than
// the Dialer's ReplyTimeout. It uses its context only for values: a request on the wire cannot be taken back.
func (c *Conn) Send(
	ctx context.Context, api provider.API, grant token.Grant, request provider.Request,
) provider.Answer {
	defer c.Close()
	reply, fault := c.fetch(ctx, request)
	if fault != nil {
		if fault.status != 0 {
			c.seal() // the reply is complete, and another version of the operator may read it
		}
		return fault.presentable(request.Secrets)
	}
	c.seal() // before anything is made of it
	answer := api.Read(grant, reply)
	answer.Problem = presentable(answer.Problem, request.Secrets)
	return answer
}

// fetch sends the request and reads the reply. Without a reply it returns the fault.
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

// readFault returns why no reply could be read.
func (c *Conn) readFault(err error) *fault {
	at := midRead
	if c.received == 0 {
		at = atRead
	}
	return faultOf(at, err).byClient(*c.asked)
}

// afterWrite looks for the reason why a request could not be written completely. An endpoint may answer, or end TLS
// with an alert, before it has read everything, and close the connection. Data received before the first byte of a
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

// ours are the headers that define how a message is carried. A user's value for one of them could make the reply
// unreadable and lose the chain.
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
		case err != nil && wire.left <= 0: // a header cut in the middle of a line is not valid either
			return provider.Reply{}, wire.exceeded
		case err != nil:
			return provider.Reply{}, err
		}
		if response.StatusCode >= 200 {
			wire.left += MaxReply
			wire.exceeded = errTooLarge
			return readBody(response)
		}
		_ = response.Body.Close()
	}
}

// readBody reads the rest of a reply. A status that means that the request was not carried out counts, even if the body
// is lost.
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

// withStatus adds the status to the fault of a received reply that cannot be used.
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

// mayBeWhole reports whether the data read before the connection failed can be a complete granted reply: a JSON value
// shows its own end. If the server sent the length, the length decides.
func mayBeWhole(response *http.Response) bool {
	return response.StatusCode/100 == 2 && response.ContentLength < 0
}

var (
	errTooLarge       = errors.New("the reply is too large")
	errHeaderTooLarge = fmt.Errorf("%w: its header", errTooLarge)
)

// bounded reads no more than that many bytes.
type bounded struct {
	io.Reader
	left     int
	exceeded error // the error at the limit
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, b.exceeded
	}
	n, err := b.Reader.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
