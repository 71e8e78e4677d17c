package exchange

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// mishap is one way in which a server treats a request.
type mishap struct {
	serve func(*peer)
	want  outcome
	slow  bool // the reply must not be waited for
	why   string
}

var (
	granted  = outcome{Verdict: token.Granted, Access: "access-after"}
	cutOff   = unknown("the connection was closed before the reply was complete")
	tooBig   = outcome{Verdict: token.Unknown, Status: 200, Code: provider.InvalidReply, Description: "the reply is larger than 256 KiB"}
	longHead = outcome{Verdict: token.Unknown, Code: provider.InvalidReply, Description: "the header of the reply is larger than 64 KiB"}
	noHTTP   = unknown("the reply is not valid HTTP")
	tooSlow  = unknown("no reply in time")
)

func unknown(description string) outcome {
	return outcome{Verdict: token.Unknown, Description: description}
}

// answering reads the request, says something, and hangs up.
func answering(text string) func(*peer) {
	return func(p *peer) {
		p.read()
		p.say(text)
		p.hangUp()
	}
}

// faults are all ways that do not need a second server.
func faults() map[string]mishap {
	body := func(size int) string {
		start, end := `{"access_token":"access-after","padding":"`, `"}`
		return start + strings.Repeat("x", size-len(start)-len(end)) + end
	}
	chunked := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	return map[string]mishap{
		"granted":            {answering(reply("200 OK", granting)), granted, false, "this is what should happen"},
		"kept alive":         {func(p *peer) { p.read(); p.say(reply("200 OK", granting)); p.read() }, granted, false, "a second request never comes, however long the server waits"},
		"two replies":        {answering(reply("200 OK", granting) + reply("400 Bad Request", `{"error":"invalid_grant"}`)), granted, false, "the first one is the answer"},
		"without a length":   {answering("HTTP/1.0 200 OK\r\n\r\n" + granting), granted, false, "the end of the connection is the end of the reply"},
		"only line feeds":    {answering("HTTP/1.1 200 OK\n\n" + granting), granted, false, "a careless server has granted all the same"},
		"continue first":     {answering("HTTP/1.1 100 Continue\r\n\r\n" + reply("200 OK", granting)), granted, false, "interim replies are passed over"},
		"hints first":        {answering("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + reply("200 OK", granting)), granted, false, "interim replies are passed over"},
		"chunked":            {answering(chunked + fmt.Sprintf("10\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", granting[:16], len(granting)-16, granting[16:])), granted, false, "HTTP/1.1 has chunks"},
		"chunked, trailer":   {answering(chunked + fmt.Sprintf("%x\r\n%s\r\n0\r\nX-Sum: 1\r\n\r\n", len(granting), granting)), granted, false, "chunks can have a trailer"},
		"256 KiB":            {answering(reply("200 OK", body(MaxReply))), granted, false, "this is the bound itself"},
		"refused":            {answering(reply("400 Bad Request", `{"error":"invalid_grant","error_description":"used"}`)), outcome{token.RefusedDead, 400, "invalid_grant", "used", ""}, false, "the reply is handed to the API"},
		"unavailable":        {answering(reply("503 Service Unavailable", "")), outcome{token.Unknown, 503, "", "no reply of the API", ""}, false, "the reply is handed to the API"},
		"dropped at once":    {func(p *peer) { p.hangUp() }, cutOff, false, "the request was written, so it may have been read"},
		"dropped after":      {func(p *peer) { p.read(); p.hangUp() }, cutOff, false, "the token may be spent"},
		"reset after":        {func(p *peer) { p.read(); p.reset() }, unknown("connection reset by peer"), false, "the token may be spent"},
		"truncated status":   {answering("HTTP/1.1 2"), noHTTP, false, "half a status line is none"},
		"truncated header":   {answering("HTTP/1.1 200 OK\r\nContent-Type: applica"), cutOff, false, "the token may be spent"},
		"truncated body":     {answering(reply("200 OK", granting)[:120]), cutOff, false, "the token may be spent"},
		"limit, truncated":   {answering(reply("429 Too Many Requests", granting)[:120]), outcome{token.TryLater, 429, "", "no reply of the API", ""}, false, "the status alone says that nothing was done"},
		"moved, too long":    {answering(reply("307 Temporary Redirect", body(260<<10))), outcome{token.RefusedIntact, 307, provider.Redirect, "redirects, and does not say where to", ""}, false, "the status alone says that it was not carried out here"},
		"limit, never ends":  {func(p *peer) { p.read(); p.say(reply("429 Too Many Requests", granting)[:120]) }, outcome{token.TryLater, 429, "", "no reply of the API", ""}, true, "the status alone says that nothing was done"},
		"refusal, truncated": {answering(reply("401 Unauthorized", granting)[:120]), cutOff, false, "what is missing may say that the token is spent"},
		"secret coding":      {answering(coded(login.ClientSecret.Reveal(), "\x01")), outcome{token.Unknown, 200, provider.InvalidReply, "the reply has the content coding [redacted], which was not asked for", ""}, false, "a header of the peer is words of the peer"},
		"last byte missing":  {answering(strings.TrimSuffix(reply("200 OK", granting), "}")), cutOff, false, "the token may be spent"},
		"truncated chunk":    {answering(chunked + "ff\r\n" + granting), granted, false, "a JSON object says itself where it ends"},
		"last chunk missing": {answering(chunked + fmt.Sprintf("%x\r\n%s\r\n", len(granting), granting)), granted, false, "a JSON object says itself where it ends"},
		"only interim":       {answering("HTTP/1.1 100 Continue\r\n\r\n"), cutOff, false, "an interim reply is no answer"},
		"260 KiB":            {answering(reply("200 OK", body(260<<10))), tooBig, false, "memory is bounded"},
		"260 KiB, chunked":   {answering(chunked + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", 260<<10, body(260<<10))), tooBig, false, "memory is bounded"},
		"large header":       {answering("HTTP/1.1 200 OK\r\nX-Pad: " + strings.Repeat("x", 70<<10) + "\r\n\r\n" + granting), longHead, false, "memory is bounded"},
		"interim for ever":   {endlessly("HTTP/1.1 100 Continue\r\n\r\n"), longHead, false, "time and memory are bounded"},
		"status for ever":    {endlessly("HTTP/1.1"), longHead, false, "time and memory are bounded"},
		"no HTTP":            {answering("SSH-2.0-OpenSSH_9.2\r\n"), noHTTP, false, "the token may be anywhere"},
		"HTTP/2 alone":       {answering("\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x08\x07\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x0d"), noHTTP, false, "this is how such a server declines HTTP/1.1"},
		"two lengths":        {answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n" + granting), noHTTP, false, "which of them is right is open"},
		"bad chunk":          {answering(chunked + "zz\r\n" + granting), noHTTP, false, "the token may be spent"},
		"bad header":         {answering("HTTP/1.1 200 OK\r\nrefresh-before/2YotnFZFEjr1zCsicMWpAA==\r\n\r\n"), noHTTP, false, "the parser's own error repeats the line"},
		"bad status":         {answering("HTTP/1.1 refresh-before/2YotnFZFEjr1zCsicMWpAA==\r\n\r\n"), noHTTP, false, "the parser's own error repeats the line"},
		"silent":             {func(p *peer) { p.read() }, tooSlow, true, "the token may be spent"},
		"slow header":        {func(p *peer) { p.read(); p.say("HTTP/1.1 200 OK\r\n") }, tooSlow, true, "the token may be spent"},
		"slow body":          {func(p *peer) { p.read(); p.say(reply("200 OK", granting)[:120]) }, tooSlow, true, "the token may be spent"},
		"dripping":           {dripping, tooSlow, true, "a byte now and then must not hold the connection for ever"},
		"upgrade":            {answering("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n" + reply("200 OK", granting)), granted, false, "nothing was offered to switch to, so it is one more interim reply"},
	}
}

// endlessly repeats a text until the client hangs up.
func endlessly(text string) func(*peer) {
	return func(p *peer) {
		p.read()
		for {
			if _, err := p.Write([]byte(text)); err != nil {
				return
			}
		}
	}
}

func dripping(p *peer) {
	p.read()
	p.say("HTTP/1.1 200 OK\r\nX-Pad: ")
	for {
		if _, err := p.Write([]byte("x")); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// dialerOf shortens the wait where the test is that there is an end to it.
func (f mishap) dialer() Dialer {
	if f.slow {
		return Dialer{Policy: developing, ReplyTimeout: 200 * time.Millisecond}
	}
	return Dialer{Policy: developing}
}

func TestFaults(t *testing.T) {
	for name, c := range faults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := listen(t, c.serve)
			api := oauth2(t, server.url(), provider.Form)
			got := outcomeOf(exchanged(t, c.dialer(), api, request(t, api)))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("wrong answer (-want +got), but %s\n%s", c.why, diff)
			}
			server.stop()
			if server.connections() != 1 || server.requests.Load() > 1 {
				t.Errorf("%d connections, %d requests: a token is presented once", server.connections(), server.requests.Load())
			}
			if n := server.leftover.Load(); n != 0 && server.requests.Load() == 1 {
				t.Errorf("%d bytes came after the request", n)
			}
		})
	}
}
