package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// deafEndpoint refuses connections, or takes a request and says nothing.
func deafEndpoint() []scenario {
	return []scenario{
		{name: "refuses connections", quick: true, run: endpointRefuses},
		{name: "swallows the request", quick: true, waits: true, setting: setting{mayLose: 1}, run: func(ctx context.Context, s *stage) error {
			trap := s.tokens.hold(arrived, 1, isRefresh)
			defer trap.release()
			return rotated(ctx, s)
		}},
		{name: "swallows the request, with only a refresh token", waits: true, setting: brieflySeeded, run: func(ctx context.Context, s *stage) error {
			trap := s.tokens.hold(arrived, 1, isRefresh)
			defer trap.release()
			return rotated(ctx, s)
		}},
		{name: "swallows the connection", waits: true, setting: setting{mayLose: 1}, run: connectionSwallowed},
	}
}

// brieflySeeded is a login that has nothing but its refresh token, and tokens that end soon: what may be spent is presented once more
// shortly before.
var brieflySeeded = setting{seeded: true, life: 20 * time.Second, mayPresent: 2}

// connectionSwallowed: the request lies in a socket that nobody reads; it counts as presented.
func connectionSwallowed(ctx context.Context, s *stage) error {
	before := len(s.tokens.sendings())
	trap := s.tokens.hold(accepted, 1, anything)
	if err := rotated(ctx, s); err != nil {
		return err
	}
	after := len(s.tokens.sendings())
	trap.let(fate{cut: true})
	return until(ctx, 10*time.Second, "what was swallowed is on the account", func(context.Context) (string, error) {
		if now := len(s.tokens.sendings()); now <= after {
			return fmt.Sprintf("%d requests since %d", now, before), nil
		}
		return "", nil
	})
}

// rotated asks for a new token and waits until all is well.
func rotated(ctx context.Context, s *stage) error {
	for _, each := range s.creds {
		if err := each.rotate(ctx); err != nil {
			return err
		}
	}
	return s.settled(ctx)
}

func endpointRefuses(ctx context.Context, s *stage) error {
	s.tokens.shut()
	before := len(s.tokens.sendings())
	if err := s.creds[0].rotate(ctx); err != nil {
		return err
	}
	err := until(ctx, time.Minute, "three dials failed", func(ctx context.Context) (string, error) {
		failed, err := s.replicas[0].counter(ctx, `fluent_credential_exchanges_total{api="fluent",grant="refresh_token",verdict="Unsent"}`)
		if err != nil || failed >= 3 {
			return "", err
		}
		return fmt.Sprintf("%.0f did", failed), nil
	})
	if err != nil {
		return err
	}
	if sent := len(s.tokens.sendings()) - before; sent > 0 {
		s.find("%d requests were sent to an endpoint that refuses connections", sent)
	}
	if err := s.tokens.reopen(); err != nil {
		return err
	}
	return s.settled(ctx)
}

// brokenReplies are replies that do not come back as they were sent, with the operator alive.
func brokenReplies(quick bool) []scenario {
	spoilt := func(name string, then fate) scenario {
		return scenario{name: name, quick: true, setting: setting{mayLose: 1}, run: func(ctx context.Context, s *stage) error {
			s.tokens.add(answered, 1, isRefresh, func(*passage) fate { return then })
			return rotated(ctx, s)
		}}
	}
	step := 1
	if quick {
		step = 37
	}
	return []scenario{
		spoilt("reset", fate{cut: true, reset: true}),
		spoilt("reset in its middle", fate{cut: true, reset: true, keep: 200}),
		spoilt("replaced by a 502", fate{instead: []byte(badGateway)}),
		{name: fmt.Sprintf("cut at every %s", ordinalByte(step)), quick: true, most: 12 * time.Minute, setting: setting{credentials: 20},
			run: func(ctx context.Context, s *stage) error { return cutEverywhere(ctx, s, step) }},
	}
}

func ordinalByte(step int) string {
	if step == 1 {
		return "byte"
	}
	return fmt.Sprintf("%dth byte", step)
}

// badGateway is what a proxy says that lost the server's reply.
const badGateway = "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 24\r\nConnection: close\r\n\r\n<html>Bad Gateway</html>"

// cutEverywhere cuts one reply after another, each a step later, and many credentials at a time.
func cutEverywhere(ctx context.Context, s *stage, step int) error {
	var next, longest atomic.Int64
	s.tokens.add(answered, -1, isRefresh, func(p *passage) fate {
		at := next.Add(1) - 1
		longest.Store(int64(len(p.reply)))
		keep := int(at) * step
		if keep < len(p.reply) {
			s.mu.Lock()
			s.mayLose++
			s.mu.Unlock()
		}
		return fate{cut: true, keep: keep}
	})
	for longest.Load() == 0 || next.Load()*int64(step) <= longest.Load() {
		if err := rotated(ctx, s); err != nil {
			return err
		}
		s.say("cut after up to %d of %d bytes", next.Load()*int64(step), longest.Load())
	}
	return nil
}

// serverErrors come before the server did anything.
func serverErrors() []scenario {
	struck := func(name, fault string, lost int) scenario {
		return scenario{name: name, quick: true, setting: setting{mayLose: lost}, run: func(ctx context.Context, s *stage) error {
			if err := s.addFault(fault); err != nil {
				return err
			}
			return rotated(ctx, s)
		}}
	}
	return []scenario{
		struck("500", "1st refresh_token: server-error 500", 1),
		struck("503 that asks to come again", "1st x2 refresh_token: server-error 503 1", 0),
		struck("429", "1st x2 refresh_token: rate-limited 1", 0),
		struck("a CDN's 403", "1st refresh_token: html 403", 1),
		struck("the connection closed", "1st refresh_token: drop-before", 1),
		struck("500, and then 500 to the login", "1st x2: server-error 500", 1),
		{name: "500, with only a refresh token", waits: true, setting: brieflySeeded, run: func(ctx context.Context, s *stage) error {
			if err := s.addFault("1st refresh_token: server-error 500"); err != nil {
				return err
			}
			return rotated(ctx, s) // presented once more, late: the server had not looked at it
		}},
	}
}

func (s *stage) addFault(text string) error {
	fault, err := authsim.ParseFault(text)
	if err == nil {
		s.sim.AddFault(fault)
		s.faults = append(s.faults, fault.String())
	}
	return err
}

// doubled is the request delivered twice by the network.
func doubled() []scenario {
	twice := func(name string, second bool, lost int) scenario {
		return scenario{name: name, quick: true, setting: setting{mayLose: lost}, run: func(ctx context.Context, s *stage) error {
			s.tokens.add(arrived, 1, isRefresh, func(*passage) fate { return fate{twice: true, second: second} })
			return rotated(ctx, s)
		}}
	}
	return []scenario{
		twice("the first reply comes back", false, 0),
		twice("the second reply, a refusal, comes back", true, 1),
	}
}

// elsewhere is a redirect, and a connection that is closed under a request.
func elsewhere() []scenario {
	var cases []scenario
	for _, status := range []int{301, 302, 303, 307, 308} {
		cases = append(cases, scenario{name: fmt.Sprintf("redirect by %d", status), quick: status == 307, setting: leftInDoubt(status), run: func(ctx context.Context, s *stage) error {
			return redirected(ctx, s, status)
		}})
	}
	return append(cases, scenario{name: "closed under the request", quick: true, setting: setting{mayLose: 1},
		run: func(ctx context.Context, s *stage) error {
			s.tokens.add(accepted, 1, anything, func(*passage) fate { return fate{cut: true, reset: true} })
			return rotated(ctx, s)
		}})
}

// leftInDoubt: servers answer by a redirect what they have carried out, too. Only 307 and 308 say that they have not.
func leftInDoubt(status int) setting {
	if status == http.StatusTemporaryRedirect || status == http.StatusPermanentRedirect {
		return setting{}
	}
	return setting{mayLose: 1}
}

// redirected: the other host gets nothing, and neither is the token presented again that is not known to be intact.
func redirected(ctx context.Context, s *stage, status int) error {
	var strayed atomic.Int64
	other, err := s.serve(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strayed.Add(1) }))
	if err != nil {
		return err
	}
	if err := s.addFault(fmt.Sprintf("1st refresh_token: redirect %d http://%s/oauth/token", status, other)); err != nil {
		return err
	}
	if err := rotated(ctx, s); err != nil { // an endpoint that redirects is asked again
		return err
	}
	cred, err := s.creds[0].get(ctx)
	if err != nil {
		return err
	}
	isRedirect := func(told v1alpha1.ExchangeStatus) bool { return told.Reason == v1alpha1.ReasonEndpointNotAllowed }
	if !slices.ContainsFunc(cred.Status.History, isRedirect) {
		s.find("the history does not name the redirect")
	}
	if got := strayed.Load(); got > 0 {
		s.find("the other host got %d requests", got)
	}
	return nil
}
