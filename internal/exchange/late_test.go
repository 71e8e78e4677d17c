package exchange

import (
	"context"
	"testing"
	"time"

	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// TestReplyThatCameBelatedly: of a process that was frozen the deadline has passed, and the reply lies in its socket.
func TestReplyThatCameBelatedly(t *testing.T) {
	server := listen(t, func(p *peer) {
		p.read()
		time.Sleep(20 * time.Millisecond) // longer than the client's deadline, shorter than its last look
		p.say("HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n" + `{"access_token": "access-after"}`)
	})
	api := oauth2(t, server.url(), provider.Form)
	dialer := Dialer{Policy: developing, ReplyTimeout: 10 * time.Millisecond}
	if got := exchanged(t, dialer, api, request(t, api)); got.Verdict != token.Granted {
		t.Errorf("%s: %+v; the only copy of a token was thrown away", got.Verdict, got.Problem)
	}
	server.stop()
}

// TestArmedBeforeTheClaim: a process that was frozen after its last look at the clock sends nothing any more.
func TestArmedBeforeTheClaim(t *testing.T) {
	server := listen(t, func(p *peer) { p.read() })
	api := oauth2(t, server.url(), provider.Form)
	asked := request(t, api)
	conn, refused := Dialer{Policy: developing, ReplyTimeout: time.Nanosecond}.Dial(context.Background(), api, asked)
	if refused != nil {
		t.Fatal(refused.Problem)
	}
	conn.Arm(0)
	conn.replyTimeout = ReplyTimeout // what Send alone would allow
	if got := conn.Send(context.Background(), api, token.RefreshToken, asked); got.Verdict != token.Unsent {
		t.Errorf("%s: %+v, want Unsent", got.Verdict, got.Problem)
	}
	server.stop()
	if n := server.requests.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
}
