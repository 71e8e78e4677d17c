package exchange

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// nameServer answers every question for an IPv4 address with what it is told to.
type nameServer struct {
	code    dnsmessage.RCode
	address netip.Addr // none: there is no answer in the reply
	silent  bool
}

// serve makes it the name server of this process.
func (s *nameServer) serve(t *testing.T) {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		into := make([]byte, 1<<10)
		for {
			n, from, err := socket.ReadFrom(into)
			if err != nil {
				return
			}
			if reply := s.reply(into[:n]); reply != nil {
				_, _ = socket.WriteTo(reply, from)
			}
		}
	}()
	former := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", socket.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = former
		_ = socket.Close()
	})
}

func (s *nameServer) reply(question []byte) []byte {
	var message dnsmessage.Message
	if message.Unpack(question) != nil || s.silent {
		return nil
	}
	message.Response, message.RecursionAvailable = true, true
	message.RCode, message.Additionals = s.code, nil
	if asked := message.Questions[0]; s.address.IsValid() && asked.Type == dnsmessage.TypeA {
		message.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: asked.Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.AResource{A: s.address.As4()},
		}}
	}
	packed, _ := message.Pack()
	return packed
}

// TestNameServerThatLies: whatever it says, nothing is sent, and it is asked again; through a proxy, too.
func TestNameServerThatLies(t *testing.T) {
	at := func(address string) nameServer { return nameServer{address: netip.MustParseAddr(address)} }
	tests := map[string]struct {
		names nameServer
		code  string
		says  string
		why   string
	}{
		"a sinkhole":        {at("127.0.0.1"), NotAllowed, "has a loopback address", "a filter answers like that"},
		"another sinkhole":  {at("0.0.0.0"), NotAllowed, "has the address 0.0.0.0, which is never allowed", "a filter answers like that"},
		"split horizon":     {at("10.1.2.3"), NotAllowed, "has a private address and matches no pattern of --allowed-hosts", "the other side of it is asked for a while"},
		"metadata":          {at("169.254.169.254"), NotAllowed, "which is never allowed", "somebody tries to get credentials of the cloud"},
		"shared":            {at("100.64.0.9"), NotAllowed, "has a private address", "a provider's portal"},
		"broadcast":         {at("255.255.255.255"), NotAllowed, "which is never allowed", "a name without an address, to some"},
		"no such name":      {nameServer{code: dnsmessage.RCodeNameError}, "", "does not exist", "the zone may be away for a while"},
		"no address":        {nameServer{}, "", "does not exist", "the zone may be half there"},
		"a failure":         {nameServer{code: dnsmessage.RCodeServerFailure}, "", "cannot be looked up", "another one may know"},
		"refused":           {nameServer{code: dnsmessage.RCodeRefused}, "", "cannot be looked up", "another one may know"},
		"silent for a time": {nameServer{silent: true}, "", "in time", "it may answer the next time"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.names.serve(t)
			api := oauth2(t, "https://login.example./token", provider.Form)
			for _, dialer := range []Dialer{{}, {Proxy: through(nil, "127.0.0.1:1")}} {
				if dialer.DialTimeout = DialTimeout; test.names.silent {
					dialer.DialTimeout = 50 * time.Millisecond
				}
				_, got := dialer.Dial(t.Context(), api, request(t, api))
				if got == nil || got.Verdict != token.Unsent || got.Cause != failure.Passing() || got.Problem.Code != test.code {
					t.Fatalf("got %+v, want Unsent, passing, with the code %q: %s", got, test.code, test.why)
				}
				if words := got.Problem.Description; dialer.Proxy == nil && !strings.Contains(words, test.says) {
					t.Errorf("got %q, want %q in it", words, test.says)
				}
			}
		})
	}
}

// TestNameServerThatIsRightAgain: the lie of a moment leaves nothing behind.
func TestNameServerThatIsRightAgain(t *testing.T) {
	server := listen(t, answering(reply("200 OK", granting)))
	_, port, _ := net.SplitHostPort(server.address())
	api := oauth2(t, "http://login.example.:"+port+"/token", provider.Form)
	names := &nameServer{address: netip.MustParseAddr("0.0.0.0")}
	names.serve(t)
	if got := exchanged(t, Dialer{Policy: developing}, api, request(t, api)); got.Verdict != token.Unsent {
		t.Fatalf("got %+v", outcomeOf(got))
	}
	names = &nameServer{address: netip.MustParseAddr("127.0.0.1")}
	names.serve(t)
	if got := exchanged(t, Dialer{Policy: developing}, api, request(t, api)); got.Verdict != token.Granted {
		t.Errorf("got %+v", outcomeOf(got))
	}
}
