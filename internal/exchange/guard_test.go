package exchange

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// frozenClock is a clock that is moved by what freezes the process.
type frozenClock struct {
	mu    sync.Mutex
	now   time.Time
	looks int // how often it was looked at
}

func (c *frozenClock) pass(wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(wait)
}

func (c *frozenClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looks++
	return c.now
}

// opaque is a connection without a socket that can be reached.
type opaque struct{ net.Conn }

// TestFenceIsCheckedAtTheWrite: whatever a process was held up by after the claim, a request that has not begun by
// then is not sent.
func TestFenceIsCheckedAtTheWrite(t *testing.T) {
	const fence = 5 * time.Second
	tests := map[string]struct {
		held    time.Duration
		unarmed bool
		wall    bool // the clock has no monotonic reading
		verdict token.Verdict
		why     string
	}{
		"not held up":            {0, false, false, token.Granted, "nothing is wrong"},
		"almost":                 {fence, false, false, token.Granted, "until then nobody else takes the claim for abandoned"},
		"a moment too long":      {fence + 1, false, false, token.Unsent, "somebody else may be recovering the claim"},
		"for hours":              {9 * time.Hour, false, false, token.Unsent, "somebody else has recovered the claim"},
		"by the wall clock":      {9 * time.Hour, false, true, token.Unsent, "the monotonic clock stands still while a machine is paused"},
		"without a claim":        {9 * time.Hour, true, false, token.Granted, "there is nothing to keep to"},
		"the wall clock is back": {-time.Hour, false, true, token.Granted, "a clock that was set is no proof of time that passed"},
	}
	for name, test := range tests {
		for _, wrap := range []func(net.Conn) net.Conn{func(c net.Conn) net.Conn { return c }, func(c net.Conn) net.Conn { return opaque{c} }} {
			server := listen(t, answering(reply("200 OK", granting)))
			clock := &frozenClock{now: time.Now()}
			if test.wall {
				clock.now = clock.now.Round(0)
			}
			dialer := Dialer{Policy: developing, Now: clock.Now, Connect: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
				return wrap(conn), err
			}}
			api := oauth2(t, server.url(), provider.Form)
			conn, refused := dialer.Dial(t.Context(), api, request(t, api))
			if refused != nil {
				t.Fatal(refused)
			}
			if !test.unarmed {
				conn.Arm(fence)
			}
			clock.pass(test.held)
			got := conn.Send(t.Context(), api, token.RefreshToken, request(t, api))
			if got.Verdict != test.verdict {
				t.Errorf("%s: %+v, want %s: %s", name, outcomeOf(got), test.verdict, test.why)
			}
			if want := "the request was not sent: the claim's deadline passed"; got.Verdict == token.Unsent &&
				(got.Problem.Description != want || got.Cause != failure.Passing()) {
				t.Errorf("%s: %+v, want %q", name, got, want)
			}
			server.stop()
			if n := server.requests.Load(); (n == 1) != (test.verdict == token.Granted) {
				t.Errorf("%s: %d requests", name, n)
			}
		}
	}
}

// TestFenceHoldsUnderTLS: what is written to the kernel is looked at there, below TLS and below a proxy's TLS.
func TestFenceHoldsUnderTLS(t *testing.T) {
	known := newAuthority(t)
	server := listenTLS(t, known.serving(t, "127.0.0.1", time.Now().Add(-time.Hour), time.Now().Add(time.Hour)), answering(reply("200 OK", granting)))
	proxy := newProxy(t, "")
	for name, dialer := range map[string]Dialer{"direct": {}, "through a proxy": {Proxy: through(nil, proxy.address())}} {
		clock := &frozenClock{now: time.Now()}
		dialer.Policy, dialer.Now = developing, clock.Now
		api := oauth2(t, server.url(), provider.Form)
		asked := request(t, api)
		asked.CABundle = known.bundle
		conn, refused := dialer.Dial(t.Context(), api, asked)
		if refused != nil {
			t.Fatalf("%s: %+v", name, refused)
		}
		conn.Arm(time.Second)
		clock.pass(2 * time.Second)
		if got := conn.Send(t.Context(), api, token.RefreshToken, asked); got.Verdict != token.Unsent {
			t.Errorf("%s: %+v", name, outcomeOf(got))
		}
	}
	server.stop()
	if n := server.requests.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// TestRequestThatHasBegunIsFinished: half a request would be worth nothing to anybody, and its token in doubt.
func TestRequestThatHasBegunIsFinished(t *testing.T) {
	server := listen(t, answering(reply("200 OK", granting)))
	api := oauth2(t, server.url(), provider.Form)
	long := login
	long.Refresh = token.NewSecret(strings.Repeat("0123456789abcdef", 1<<16)) // more than a socket takes at once
	asked, err := api.Request(token.RefreshToken, long)
	if err != nil {
		t.Fatal(err)
	}
	clock := &frozenClock{now: time.Now()}
	looked := func() time.Time {
		now := clock.Now()
		if clock.looks > 1 { // Arm, and the first write
			clock.pass(time.Hour)
		}
		return now
	}
	conn, refused := Dialer{Policy: developing, Now: looked}.Dial(t.Context(), api, asked)
	if refused != nil {
		t.Fatal(refused)
	}
	conn.Arm(time.Second)
	if got := conn.Send(t.Context(), api, token.RefreshToken, asked); got.Verdict != token.Granted {
		t.Errorf("got %+v", outcomeOf(got))
	}
}
