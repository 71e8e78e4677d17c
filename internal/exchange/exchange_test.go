package exchange

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

func TestRedirectIsNotFollowed(t *testing.T) {
	for status, means := range map[string]token.Verdict{
		"301 Moved": token.Unknown, "302 Found": token.Unknown, "303 See Other": token.Unknown,
		"307 Temporary Redirect": token.RefusedIntact, "308 Permanent Redirect": token.RefusedIntact,
	} {
		t.Run(status, func(t *testing.T) {
			other := listen(t, answering(reply("200 OK", granting)))
			server := listen(t, answering("HTTP/1.1 "+status+"\r\nLocation: http://user@"+other.address()+"/token?a=b\r\nContent-Length: 0\r\n\r\n"))
			api := oauth2(t, server.url(), provider.Form)
			got := exchanged(t, Dialer{Policy: developing}, api, request(t, api))
			if got.Verdict != means || got.Problem.Code != provider.Redirect {
				t.Errorf("a redirect is answered by %+v, want %s", got, means)
			}
			if want := "redirects to 127.0.0.1, which is not followed"; got.Problem.Description != want {
				t.Errorf("got %q, want %q", got.Problem.Description, want)
			}
			other.stop()
			if n := other.connections(); n != 0 {
				t.Errorf("the other host got %d connections", n)
			}
		})
	}
}

func TestDialFails(t *testing.T) {
	closed := listen(t, func(*peer) {})
	closed.stop()
	stopped, stop := context.WithCancel(context.Background())
	stop()
	cases := map[string]struct {
		ctx  context.Context
		url  string
		want []outcome // any of them
		why  string
	}{
		"nothing listens": {context.Background(), closed.url(), []outcome{unsent("connection refused")}, "not a byte was sent"},
		"no such host": {
			context.Background(), "https://login.invalid/token",
			[]outcome{unsent("the host login.invalid does not exist"), unsent("the host login.invalid cannot be looked up")},
			"not a byte was sent",
		},
		"stopped": {stopped, closed.url(), []outcome{unsent("the connection was not waited for")}, "not a byte was sent"},
		"forbidden": {
			context.Background(), "https://169.254.169.254/token",
			[]outcome{{token.RefusedIntact, 0, NotAllowed, "169.254.169.254 has the address 169.254.169.254, which is never allowed", ""}},
			"only a change of input helps",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			api := oauth2(t, c.url, provider.Query)
			dialer := Dialer{Policy: developing, DialTimeout: 2 * time.Second}
			conn, refused := dialer.Dial(c.ctx, api, request(t, api))
			if conn != nil || refused == nil {
				t.Fatalf("connected, but %s", c.why)
			}
			got := outcomeOf(*refused)
			for _, want := range c.want {
				if got == want {
					return
				}
			}
			t.Errorf("got %+v, want any of %+v, because %s", got, c.want, c.why)
		})
	}
}

func unsent(description string) outcome {
	return outcome{Verdict: token.Unsent, Description: description}
}

// A connection that died while it waited for the claim proves that nothing was sent.
func TestResetBeforeTheRequestIsUnsent(t *testing.T) {
	dialed := make(chan struct{})
	server := listen(t, func(p *peer) { <-dialed; p.reset() })
	api := oauth2(t, server.url(), provider.Form)
	conn, refused := Dialer{Policy: developing}.Dial(context.Background(), api, request(t, api))
	close(dialed)
	if refused != nil {
		t.Fatalf("not connected: %+v", refused)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil { // returns when the reset has arrived
		t.Fatal("the server sent something")
	}
	got := conn.Send(context.Background(), api, token.RefreshToken, request(t, api))
	if got.Verdict != token.Unsent || got.Problem.Description != "broken pipe" {
		t.Errorf("got %+v, but not a byte left this process", outcomeOf(got))
	}
}

func TestConnCarriesOneRequest(t *testing.T) {
	server := listen(t, func(p *peer) { p.read(); p.say(reply("200 OK", granting)); p.read() })
	api := oauth2(t, server.url(), provider.Form)
	conn, refused := Dialer{Policy: developing}.Dial(context.Background(), api, request(t, api))
	if refused != nil {
		t.Fatalf("not connected: %+v", refused)
	}
	for _, want := range []token.Verdict{token.Granted, token.Unsent} {
		if got := conn.Send(context.Background(), api, token.RefreshToken, request(t, api)); got.Verdict != want {
			t.Errorf("got %+v, want %s", outcomeOf(got), want)
		}
	}
	server.stop()
	if n := server.requests.Load(); n != 1 {
		t.Errorf("the server got %d requests", n)
	}
}

// A shutdown does not take back what is on the wire: the reply is the only copy of the next token.
func TestSendOutlivesItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	server := listen(t, func(p *peer) { p.read(); cancel(); p.say(reply("200 OK", granting)) })
	api := oauth2(t, server.url(), provider.Form)
	conn, refused := Dialer{Policy: developing}.Dial(ctx, api, request(t, api))
	if refused != nil {
		t.Fatalf("not connected: %+v", refused)
	}
	if got := conn.Send(ctx, api, token.RefreshToken, request(t, api)); got.Verdict != token.Granted {
		t.Errorf("got %+v", outcomeOf(got))
	}
}

// What the server sees is one plain HTTP/1.1 request.
func TestRequestOnTheWire(t *testing.T) {
	var seen *http.Request
	var form map[string][]string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen, form = r, nil
		if r.ParseForm() == nil {
			form = r.PostForm
		}
		_, _ = w.Write([]byte(granting))
	}))
	defer server.Close()
	api := oauth2(t, server.URL+"/token", provider.Form)
	if got := outcomeOf(exchanged(t, Dialer{Policy: developing}, api, request(t, api))); got != granted {
		t.Fatalf("got %+v", got)
	}
	if seen.Method != http.MethodPost || seen.Proto != "HTTP/1.1" || seen.RequestURI != "/token" || !seen.Close {
		t.Errorf("got %s %s over %s, close: %t", seen.Method, seen.RequestURI, seen.Proto, seen.Close)
	}
	want := http.Header{
		"Accept": {"application/json"}, "Accept-Encoding": {"identity"}, "Connection": {"close"}, "Content-Length": {strconv.Itoa(len(request(t, api).Body.Reveal()))},
		"Content-Type": {"application/x-www-form-urlencoded"}, "User-Agent": {"fluent-credential-operator"},
	}
	if diff := cmp.Diff(want, seen.Header); diff != "" {
		t.Errorf("other headers (-want +got)\n%s", diff)
	}
	wantForm := map[string][]string{
		"grant_type": {"refresh_token"}, "refresh_token": {login.Refresh.Reveal()}, "client_id": {login.ClientID},
		"client_secret": {login.ClientSecret.Reveal()},
	}
	if diff := cmp.Diff(wantForm, form); diff != "" {
		t.Errorf("other parameters (-want +got)\n%s", diff)
	}
}

func TestAddress(t *testing.T) {
	cases := map[string]string{
		"https://host/token":       "host:443",
		"http://host/token":        "host:80",
		"https://host:8443/token":  "host:8443",
		"https://[2001:db8::1]/":   "[2001:db8::1]:443",
		"https://[2001:db8::1]:1/": "[2001:db8::1]:1",
	}
	for text, want := range cases {
		if got := address(oauth2(t, text, provider.Form).Endpoint()); got != want {
			t.Errorf("%s is dialed at %s, not at %s", text, got, want)
		}
	}
	if _, _, err := net.SplitHostPort(address(oauth2(t, "https://host/", provider.Form).Endpoint())); err != nil {
		t.Error(err)
	}
}
