package simulation

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

// line is a connection to the token server. What was sent on it arrives, or not; what is answered, likewise.
type line struct {
	net.Conn
	replica  *replica
	process  *process
	host     *host
	deadline time.Duration // of what is under way; zero: none
	reply    []byte
	replyAt  time.Duration
	fault    fault
	wrote    bool
	unheard  int // how often there was no reply in time
	sent     *presentation
}

// fault is what goes wrong with one request.
type fault int

const (
	none         fault = iota
	unsent             // reset before the first byte
	torn               // reset after some bytes of the request
	swallowed          // the request never arrives
	lostReply          // the request arrives, the connection is reset
	silent             // the request arrives, nothing comes back
	cut                // the reply is cut off
	badGateway         // the request arrives, the reply becomes a 502
	refusedEarly       // a 500 before anything was done
	tooMany            // a 429
	unavailable        // a 503 that names a time
	twiceFirst         // the network delivers the request twice; the first answer comes back
	twiceSecond        // likewise, and the second answer comes back
	belated            // the request arrives after everybody stopped waiting
	garbage            // the request arrives, the reply is not one
	slow               // the reply takes its time
	faults       = int(slow)
	away         = slow + 1 // the host does not know the client
)

// isProvable tells whether the client can know that nothing was done.
func (f fault) isProvable() bool { return f == unsent || f == tooMany || f == unavailable || f == away }

func (r *replica) connect(ctx context.Context, life int, address string) (net.Conn, error) {
	w := r.world
	process := w.of(ctx, r, life)
	w.step(ctx, process, "dial")
	w.pace.dialed(process)
	if err := w.sufferDial(ctx, process); err != nil {
		return nil, err
	}
	switch w.dice.choose("dial", 3) {
	case 1:
		w.tell("dial %s !! refused", address)
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	case 2:
		w.tell("dial %s !! no answer", address)
		w.park(&ticket{process: process, label: "dial", pause: time.Hour, latest: w.endOf(ctx)})
	case 3:
		w.park(&ticket{process: process, label: "dial", pause: 7 * time.Second, latest: w.endOf(ctx)})
	}
	if ctx.Err() != nil {
		return nil, &net.OpError{Op: "dial", Err: ctx.Err()}
	}
	at := w.hostAt(address)
	if at.refuses {
		w.tell("dial %s: refused", address)
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	w.tell("dial %s: ok", address)
	return &line{replica: r, process: process, host: at}, nil
}

// endOf is when a context ends; zero: never.
func (w *world) endOf(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return max(deadline.Sub(w.began), 0) + time.Microsecond
}

// SetDeadline bounds what is under way, and what follows.
func (l *line) SetDeadline(at time.Time) error {
	l.deadline = 0
	if !at.IsZero() {
		l.deadline = max(at.Sub(l.replica.world.began), 0) + time.Microsecond
	}
	return nil
}

func (l *line) SetReadDeadline(at time.Time) error { return l.SetDeadline(at) }

func (l *line) isLate() bool { return l.deadline > 0 && l.replica.world.now() >= l.deadline }

var errReset = &net.OpError{Op: "read", Err: syscall.ECONNRESET}

// Write sends the request. The connection's deadline does not hold it back: that is a timer of the runtime, which may fire too late in a
// process that was frozen.
func (l *line) Write(request []byte) (int, error) {
	w := l.replica.world
	if l.wrote {
		panic("the request is expected in one piece")
	}
	l.fault = fault(w.dice.choose("net", faults))
	if l.fault == unsent {
		w.tell("send !! reset before the first byte")
		return 0, errReset
	}
	l.wrote = true
	asked := l.host.of(readRequest(request))
	l.fault = l.host.treat(asked, l.fault)
	lasting := w.sufferReply(asked)
	if lasting != nil {
		l.fault = lasting.fault
	}
	l.sent = w.oracle.presenting(l.replica, asked, l.fault)
	asked.claim = l.sent.claim
	asked.sent = w.now()
	w.tell("send %s%s", asked, l.fault)
	l.replyAt = w.now() + 20*time.Millisecond
	l.transmit(asked)
	if l.fault == slow && l.host.slowFor > 0 {
		l.replyAt = w.now() + l.host.slowFor
	}
	lasting.put(l)
	if w.onGrant != nil {
		w.onGrant()
	}
	w.step(context.Background(), l.process, "sent")
	if l.fault == torn {
		return len(request) / 2, errReset
	}
	return len(request), nil
}

// transmit brings the request to the server and the reply into the line.
func (l *line) transmit(asked question) {
	w := l.replica.world
	switch l.fault {
	case none, lostReply, silent, cut, badGateway, garbage, slow, twiceFirst, twiceSecond:
		l.reply = w.server.answer(asked)
	case refusedEarly:
		l.reply = replyOf(http.StatusInternalServerError, `{"error":"server_error"}`)
	case tooMany:
		l.reply = replyOf(http.StatusTooManyRequests, `{}`)
	case unavailable:
		l.reply = replyOf(http.StatusServiceUnavailable, `{}`)
	case belated:
		asked.because = "the network:" + l.fault.String()
		w.server.late = append(w.server.late, delivery{w.now() + time.Duration(w.dice.draw("belated")*float64(90*time.Second)), asked})
	case away:
		l.reply = turnedAway()
	case torn, swallowed, unsent:
	}
	switch l.fault {
	case cut:
		l.reply = l.reply[:int(w.dice.draw("cut")*float64(len(l.reply)))]
	case badGateway:
		l.reply = replyOf(http.StatusBadGateway, `<html>`)
	case garbage:
		l.reply = replyOf(http.StatusOK, `{"access_token":`)
	case slow:
		l.replyAt = w.now() + time.Duration(w.dice.draw("slow")*float64(29*time.Second))
	case twiceFirst:
		asked.because = "the network:" + l.fault.String()
		w.server.answer(asked)
	case twiceSecond:
		asked.because = "the network:" + l.fault.String()
		l.reply = w.server.answer(asked)
	default:
	}
}

// Read waits for the reply. Its deadline counts even where the reply lies there: that is how the runtime's poller does it.
func (l *line) Read(into []byte) (int, error) {
	w := l.replica.world
	if l.fault == silent || l.fault == swallowed || l.fault == belated {
		w.sleep(l.process, "no reply", max(0, l.deadline-w.now()))
	} else {
		w.sleep(l.process, "reply", max(0, l.replyAt-w.now()))
	}
	if l.isLate() {
		w.tell("reply: none in time")
		if l.unheard++; l.unheard > 1 {
			w.oracle.unheard(l.sent)
		}
		return 0, os.ErrDeadlineExceeded
	}
	if l.fault == lostReply || l.fault == torn {
		w.tell("reply: reset")
		return 0, errReset
	}
	if len(l.reply) == 0 {
		return 0, io.EOF
	}
	n := copy(into, l.reply)
	l.reply = l.reply[n:]
	w.tell("reply: %d bytes", n)
	if len(l.reply) == 0 && l.fault != cut {
		w.oracle.heard(l.sent)
	}
	return n, nil
}

func (l *line) Close() error { return nil }

func (f fault) String() string {
	if f == none {
		return ""
	}
	return " !! " + [...]string{
		"", "unsent", "torn", "swallowed", "reply lost", "silence", "reply cut", "bad gateway", "500 before anything", "429",
		"503", "delivered twice", "delivered twice, second answer", "delivered late", "garbage", "slow", "not its client",
	}[f]
}

// question is a token request as the server reads it.
type question struct {
	grant, refresh, username, password, client string

	claim   *claimed // that it stands on; nil: none
	sent    time.Duration
	path    string // of the endpoint
	secret  string // of the client
	because string // why it may arrive as it does, where the network did something to it
}

func (q question) String() string {
	if q.refresh != "" {
		return q.grant + " " + q.refresh
	}
	return q.grant + " " + q.username
}

// A revocation is asked for at another path, and is claimed by a name of its own.
const (
	revocationPath = "/oauth/revoke"
	revocation     = "revocation"
)

func readRequest(raw []byte) question {
	request, err := http.ReadRequest(newReader(raw))
	if err == nil {
		err = request.ParseForm()
	}
	if err != nil {
		panic(errors.Join(errors.New("the request is none"), err))
	}
	form := request.PostForm
	if request.URL.Path == revocationPath {
		return question{grant: revocation, refresh: form.Get("token")}
	}
	return question{
		path: request.URL.Path, secret: clientSecret(request), grant: form.Get("grant_type"), refresh: form.Get("refresh_token"), client: form.Get("client_id") + " " + form.Get("scope"),
		username: form.Get("username"), password: form.Get("password"),
	}
}

// clientSecret is in the form or, encoded as one, in the header (RFC 6749 section 2.3.1).
func clientSecret(request *http.Request) string {
	if _, encoded, ok := request.BasicAuth(); ok {
		if secret, err := url.QueryUnescape(encoded); err == nil {
			return secret
		}
	}
	return request.PostForm.Get("client_secret")
}

func replyOf(status int, body string) []byte { return replyWith(status, body, http.Header{}) }

func replyWith(status int, body string, header http.Header) []byte {
	header.Set("Content-Type", "application/json")
	if strings.HasPrefix(body, "<") {
		header.Set("Content-Type", "text/html")
	}
	response := http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Body: io.NopCloser(bytes.NewReader([]byte(body))),
		ContentLength: int64(len(body)), Header: header,
	}
	if status == http.StatusServiceUnavailable {
		response.Header.Set("Retry-After", "3")
	}
	var out bytes.Buffer
	if err := response.Write(&out); err != nil {
		panic(err)
	}
	return out.Bytes()
}
