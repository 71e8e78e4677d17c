package main

import (
	"context"
	"net/http"
	"time"
)

// clockJumps are jumps of the wall clock under a running operator, and between two.
func clockJumps() []scenario {
	const hour, day = time.Hour, 24 * time.Hour
	var cases []scenario
	for _, each := range []struct {
		name  string
		jump  time.Duration
		quick bool
	}{
		{"an hour ahead", hour, true}, {"an hour back", -hour, true}, {"a day ahead", day, false}, {"a day back", -day, false},
	} {
		wanted := setting{idle: true, life: jumpLife}
		cases = append(cases,
			scenario{name: each.name, quick: each.quick, waits: true, setting: wanted, run: func(ctx context.Context, s *stage) error {
				return jumped(ctx, s, each.jump, false)
			}},
			scenario{name: each.name + ", and the operator killed", waits: true, setting: wanted, run: func(ctx context.Context, s *stage) error {
				return jumped(ctx, s, each.jump, true)
			}},
			scenario{name: each.name + " with a request on its way", quick: each.quick, setting: setting{idle: true},
				run: func(ctx context.Context, s *stage) error { return jumpedInFlight(ctx, s, each.jump) }})
	}
	return cases
}

// Tokens of jumpLife are due after 45 to 50 % of it; jumpCalls are what a jump may cause in that time, besides the refresh.
const (
	jumpLife  = time.Minute
	jumpCalls = 5
	jumpGrace = 2.0 // seconds without a token: a refresh kills the old one before the new one is published
)

// beginWithClock starts the operator with a clock that can be moved.
func (s *stage) beginWithClock(ctx context.Context) (*wallClock, error) {
	clock := &wallClock{}
	s.replicas[0].atExec = func(pid int) error {
		taken, err := takeClock(pid, 0)
		if err == nil {
			*clock = *taken
		}
		return err
	}
	return clock, s.begin(ctx)
}

// jumped: the token that came due was refreshed in time by the true clock, and without a loop.
func jumped(ctx context.Context, s *stage, jump time.Duration, kill bool) error {
	clock, err := s.beginWithClock(ctx)
	if err != nil {
		return err
	}
	before := len(s.tokens.sendings())
	if err := clock.set(jump); err != nil {
		return err
	}
	if kill {
		s.replicas[0].atExec = func(pid int) error { _, err := takeClock(pid, jump); return err }
		if err := s.replicas[0].restart(ctx); err != nil {
			return err
		}
	}
	if err := s.replicas[0].showsTime(ctx, jump); err != nil {
		return err
	}
	pause(ctx, jumpLife*3/4)
	if err := s.settled(ctx); err != nil {
		return err
	}
	switch calls := len(s.tokens.sendings()) - before; {
	case calls == 0:
		s.find("the token that came due was not refreshed")
	case calls > jumpCalls:
		s.find("%d requests within %s", calls, jumpLife*3/4)
	}
	if gap := s.gap(); gap > jumpGrace {
		s.find("for %.1f s there was no valid token", gap)
	}
	return nil
}

// gap is how long the credential that fared worst was without a valid token until now.
func (s *stage) gap() float64 {
	var result tally
	s.judgePublications(&result, s.sim.Ledger())
	return result.Without
}

// jumpedInFlight: the clock jumps between claim and reply.
func jumpedInFlight(ctx context.Context, s *stage, jump time.Duration) error {
	clock, err := s.beginWithClock(ctx)
	if err != nil {
		return err
	}
	trap := s.tokens.hold(answered, 1, isRefresh)
	if err := s.creds[0].rotate(ctx); err != nil {
		return err
	}
	if _, err := trap.wait(ctx); err != nil {
		return err
	}
	if err := clock.set(jump); err != nil {
		return err
	}
	if err := s.replicas[0].showsTime(ctx, jump); err != nil {
		return err
	}
	trap.let(fate{})
	return s.silently(1, func() error { return s.settled(ctx) }) // one more where the new token seems to come from the future
}

// showsTime checks that the process takes the jump for true: its web server says what time it is.
func (r *replica) showsTime(ctx context.Context, jump time.Duration) error {
	return until(ctx, 10*time.Second, "the operator's clock has jumped", func(ctx context.Context) (string, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.metrics, nil)
		if err != nil {
			return "", err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		shown, err := http.ParseTime(response.Header.Get("Date"))
		if off := time.Until(shown) - jump; err != nil || off.Abs() < time.Minute {
			return "", err
		}
		return "it says " + shown.String(), nil
	})
}
