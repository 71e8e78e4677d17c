package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/fluent-credential/operator/hack/authsim"
)

// awayBeforeTheClaim is the Kubernetes API gone when a token comes due.
func awayBeforeTheClaim() []scenario {
	// Due after 45 to 50 % of its life.
	const life, away = 40 * time.Second, 30 * time.Second
	return []scenario{
		{name: "refused while a token comes due", quick: true, waits: true, setting: setting{life: life}, run: func(ctx context.Context, s *stage) error {
			return dueWithoutAPI(ctx, s, away)
		}},
		{name: "refused while a token comes due, two replicas that elect", waits: true, setting: setting{life: life, replicas: 2, elects: true},
			run: func(ctx context.Context, s *stage) error { return dueWithoutAPI(ctx, s, away) }},
		{name: "the claim is swallowed", quick: true, run: claimSwallowed},
	}
}

func dueWithoutAPI(ctx context.Context, s *stage, away time.Duration) error {
	done, stop := s.supervise(ctx)
	defer stop()
	before, granted := len(s.tokens.sendings()), s.sim.Ledger().RefreshGrants
	s.shutAPI()
	pause(ctx, away)
	if sent := len(s.tokens.sendings()) - before; sent > 0 {
		s.find("%d requests were sent while the Kubernetes API was away", sent)
	}
	if err := s.reopenAPI(); err != nil {
		return err
	}
	err := until(ctx, time.Minute, "the token that came due was refreshed", func(context.Context) (string, error) {
		if s.sim.Ledger().RefreshGrants == granted {
			return "it was not", nil
		}
		return "", nil
	})
	if err != nil {
		return err
	}
	stop()
	return firstError(s.settled(ctx), done())
}

// claimSwallowed: the network takes the claim and gives no answer, and then the API server is away for a while.
func claimSwallowed(ctx context.Context, s *stage) error {
	trap := s.replicas[0].api.hold(arrived, 1, isClaim)
	if err := s.creds[0].rotate(ctx); err != nil {
		return err
	}
	if _, err := trap.wait(ctx); err != nil {
		return err
	}
	before := len(s.tokens.sendings())
	s.shutAPI()
	trap.let(fate{cut: true})
	pause(ctx, 8*time.Second) // longer than the 5 s for which a claim may be spent
	if sent := len(s.tokens.sendings()) - before; sent > 0 {
		s.find("%d requests were sent without a claim", sent)
	}
	if err := s.reopenAPI(); err != nil {
		return err
	}
	return s.settled(ctx)
}

// awayBeforeTheCommit is the Kubernetes API gone from the reply on.
func awayBeforeTheCommit(away time.Duration) []scenario {
	length := away.String()
	return []scenario{
		{name: "away for " + length, quick: true, most: 2*away + 3*time.Minute, waits: true, run: func(ctx context.Context, s *stage) error {
			return replyWithoutAPI(ctx, s, away, false)
		}},
		{name: "away for " + length + ", with a SIGKILL in it", quick: true, most: 2*away + 3*time.Minute, waits: true,
			run: func(ctx context.Context, s *stage) error { return replyWithoutAPI(ctx, s, away, true) }},
		{name: "away for " + length + ", with a SIGTERM in it", quick: true, most: 2*away + 3*time.Minute, waits: true,
			run: func(ctx context.Context, s *stage) error { return stoppedWithoutAPI(ctx, s, away) }},
	}
}

// stoppedWithoutAPI: SIGTERM while the only copies of a token are in the operator's memory and in its journal. The process waits for
// the API server, stores, publishes, and ends then, without another request.
func stoppedWithoutAPI(ctx context.Context, s *stage, away time.Duration) error {
	before, err := s.replyHeldFromAPI(ctx)
	if err != nil {
		return err
	}
	pause(ctx, away/2)
	s.replicas[0].current().Signal(syscall.SIGTERM)
	pause(ctx, away/2)
	if !s.replicas[0].isAlive() {
		s.find("the operator ended while a reply was not stored")
	}
	if err := s.reopenAPI(); err != nil {
		return err
	}
	select {
	case <-s.replicas[0].current().Done():
	case <-ctx.Done():
		return fmt.Errorf("the operator does not end: %w", context.Cause(ctx))
	}
	if state, err := s.creds[0].readState(ctx); err != nil || state.claimed || state.serial != 2 {
		s.find("the operator ended with serial %d stored, claimed: %t, %v; want 2", state.serial, state.claimed, err)
	}
	if err := s.replicas[0].start(ctx); err != nil {
		return err
	}
	err = s.settled(ctx)
	if sent := len(s.tokens.sendings()) - before; sent > 0 {
		s.find("%d more requests were sent for a reply that was there", sent)
	}
	return err
}

// replyHeldFromAPI makes a refresh whose reply comes when the Kubernetes API is away, and tells how many requests there were by then.
func (s *stage) replyHeldFromAPI(ctx context.Context) (sent int, err error) {
	trap := s.tokens.hold(answered, 1, isRefresh)
	if err := s.creds[0].rotate(ctx); err != nil {
		return 0, err
	}
	if _, err := trap.wait(ctx); err != nil {
		return 0, err
	}
	sent = len(s.tokens.sendings())
	s.shutAPI()
	trap.let(fate{})
	return sent, nil
}

func replyWithoutAPI(ctx context.Context, s *stage, away time.Duration, kill bool) error {
	before, err := s.replyHeldFromAPI(ctx)
	if err != nil {
		return err
	}
	done, stop := s.supervise(ctx)
	defer stop()
	pause(ctx, away/2)
	if kill {
		s.replicas[0].kill()
	}
	pause(ctx, away/2)
	s.say("the API server is back after %s; %d starts of the operator", away, s.replicas[0].starts)
	if err := s.reopenAPI(); err != nil {
		return err
	}
	err = s.settled(ctx)
	if sent := len(s.tokens.sendings()) - before; sent > 0 {
		s.find("%d more requests were sent for a reply that was there", sent)
	}
	stop()
	return firstError(err, done())
}

// lostAnswers are compare-and-swaps whose answer is lost on the way back.
func lostAnswers() []scenario {
	after := func(name string, wants func(*passage) bool, away time.Duration) scenario {
		return scenario{name: name, quick: true, run: func(ctx context.Context, s *stage) error {
			return answerLost(ctx, s, wants, away)
		}}
	}
	return []scenario{
		after("the claim's", isClaim, 0),
		after("the commit's", isCommit, 0),
		after("the commit's, and the API server away for 5 s", isCommit, 5*time.Second),
		after("the publication's", isPublication, 0),
		after("the status's", isStatus, 0),
		{name: "those of the first login", quick: true, setting: setting{idle: true}, run: firstAnswersLost},
	}
}

func answerLost(ctx context.Context, s *stage, wants func(*passage) bool, away time.Duration) error {
	trap := s.replicas[0].api.hold(answered, 1, wants)
	return s.silently(1, func() error {
		if err := s.creds[0].rotate(ctx); err != nil {
			return err
		}
		if _, err := trap.wait(ctx); err != nil {
			return err
		}
		if away > 0 {
			s.shutAPI()
			trap.let(fate{cut: true})
			pause(ctx, away)
			if err := s.reopenAPI(); err != nil {
				return err
			}
		} else {
			trap.let(fate{cut: true})
		}
		return s.settled(ctx)
	})
}

// firstAnswersLost loses the answer to every write of the state Secret in a first login, once.
func firstAnswersLost(ctx context.Context, s *stage) error {
	seen := map[string]bool{}
	s.replicas[0].api.add(answered, -1, isStateWrite, func(p *passage) fate {
		kind := fmt.Sprint(p.method, hasClaim(p))
		s.mu.Lock()
		defer s.mu.Unlock()
		lost := !seen[kind]
		seen[kind] = true
		return fate{cut: lost}
	})
	if err := s.begin(ctx); err != nil {
		return err
	}
	if asked := s.sim.Ledger().RequestsOf(authsim.GrantPassword); asked != 1 {
		s.find("the password was used %d times for a first login", asked)
	}
	return nil
}

// shutAPI takes the Kubernetes API away from every replica.
func (s *stage) shutAPI() {
	for _, each := range s.replicas {
		each.api.shut()
	}
}

func (s *stage) reopenAPI() error {
	for _, each := range s.replicas {
		if err := each.api.reopen(); err != nil {
			return err
		}
	}
	return nil
}

// supervise keeps all replicas running until stop is called; done says what went wrong, and is to be called after stop.
func (s *stage) supervise(ctx context.Context) (done func() error, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var ended []<-chan error
	for _, each := range s.replicas {
		ended = append(ended, each.supervise(ctx))
	}
	return func() error {
		var failed error
		for _, each := range ended {
			failed = firstError(failed, <-each)
		}
		return failed
	}, cancel
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
