package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/hack/localcluster"
)

// measureSteady measures at a rate that leaves the machine room: what a rotation costs, and how long its token is on its way.
func (b *bench) measureSteady(ctx context.Context) error {
	b.say("moving to tokens of %s, %d a second", lifeFor(b.options.credentials, b.pace.rate), b.pace.rate)
	if err := b.movePaced(ctx, b.steady.URL, b.pace.rate); err != nil {
		return err
	}
	if err := b.untilLoggedIn(ctx, b.steady); err != nil {
		return err
	}
	b.say("steady for %s", b.pace.steady)
	before, err := b.scrape(ctx)
	if err != nil {
		return err
	}
	window, spent, err := b.steadyWindow(ctx)
	if err != nil {
		return err
	}
	after, err := b.scrape(ctx)
	if err != nil {
		return err
	}
	steady := &b.results.Steady
	steady.published = histogram(before, after, "fluent_credential_reply_to_published_seconds")
	if steady.work, err = workIn(ctx, b.steady, window); err == nil {
		steady.allocations = spent.perRotation(steady.Rotations)
	}
	return err
}

// steadyWindow lets the operator work, and returns what it allocated meanwhile.
func (b *bench) steadyWindow(ctx context.Context) (*window, spending, error) {
	before, err := b.spending(ctx)
	if err != nil {
		return nil, before, err
	}
	window := b.open(operatorName)
	if err := b.pass(ctx, b.pace.steady); err != nil {
		return nil, before, err
	}
	window.close()
	after, err := b.spending(ctx)
	return window, spending{after.Objects - before.Objects, after.Bytes - before.Bytes}, err
}

// untilLoggedIn waits until every credential has its first token of a server.
func (b *bench) untilLoggedIn(ctx context.Context, server *localcluster.Authsim) error {
	return b.until(ctx, "every credential has logged in at "+server.Name, b.patience(), func() (bool, error) {
		ledger, err := server.Ledger(ctx)
		return ledger.PasswordGrants >= b.options.credentials, err
	})
}

// measureThroughput lets the operator and the bare client work in turns, each as fast as it can, so that a noisy machine is noisy
// to both.
func (b *bench) measureThroughput(ctx context.Context) error {
	if err := b.operator.Stop(); err != nil {
		return err
	}
	b.say("making the bare client's objects")
	client, err := b.newBareClient(ctx)
	if err != nil {
		return err
	}
	b.say("moving to tokens of %s: always due", lifeFor(b.options.credentials, pressingRate))
	err = each(ctx, b.options.credentials, func(ctx context.Context, i int) error { return b.move(ctx, i, b.pressing.URL) })
	if err != nil {
		return err
	}
	for number := 1; number <= b.pace.rounds; number++ {
		b.say("round %d of %d: the operator", number, b.pace.rounds)
		operator, err := b.operatorRound(ctx)
		if err != nil {
			return err
		}
		b.say("round %d of %d: the bare client", number, b.pace.rounds)
		bare, err := b.bareRound(ctx, client)
		if err != nil {
			return err
		}
		b.results.Rounds = append(b.results.Rounds, round{Operator: operator, Bare: bare})
	}
	return b.measureCost(ctx, client)
}

// untilWarm waits until there were as many refreshes as there are credentials: after a start each is read afresh once, which is a
// restart's cost and not a rotation's.
func (b *bench) untilWarm(ctx context.Context) error {
	return b.until(ctx, "the operator is warm", b.patience(), func() (bool, error) {
		now, err := b.scrape(ctx)
		return now.refreshed() >= b.options.credentials, err
	})
}

// operatorRound starts the operator, lets it work for a while, and stops it.
func (b *bench) operatorRound(ctx context.Context) (work, error) {
	if err := b.startOperator(ctx, "--namespaces="+operatedNamespaces()); err != nil {
		return work{}, err
	}
	if err := b.untilWarm(ctx); err != nil {
		return work{}, err
	}
	window := b.open(operatorName)
	if err := b.pass(ctx, b.pace.round); err != nil {
		return work{}, err
	}
	window.close()
	end, err := b.scrape(ctx)
	if err != nil {
		return work{}, err
	}
	if err := b.operator.Stop(); err != nil {
		return work{}, err
	}
	done, err := workIn(ctx, b.pressing, window)
	done.Waiting = int(end.sum("workqueue_depth"))
	return done, err
}

// bareWarmUp is how long the bare client works before it is counted.
const bareWarmUp = 3 * time.Second

// bareRound lets the bare client work for a while.
func (b *bench) bareRound(ctx context.Context, client *bareClient) (work, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- client.work(ctx) }()
	if err := passUnless(ended, bareWarmUp); err != nil {
		return work{}, err
	}
	counted := b.open(bareName)
	if err := passUnless(ended, b.pace.round); err != nil {
		return work{}, err
	}
	counted.close()
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		return work{}, err
	}
	return workIn(context.WithoutCancel(ctx), b.pressing, counted)
}

// passUnless lets time pass, unless the bare client ends.
func passUnless(ended <-chan error, duration time.Duration) error {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case err := <-ended:
		return fmt.Errorf("the bare client has ended: %w", err)
	case <-timer.C:
		return nil
	}
}

// workIn is what the ledger says of a window: the judge of both.
func workIn(ctx context.Context, server *localcluster.Authsim, window *window) (work, error) {
	ledger, err := server.Ledger(ctx)
	if err != nil {
		return work{}, err
	}
	done := work{Seconds: window.seconds(), requests: &window.requests}
	users := map[string]bool{}
	for _, request := range ledger.TokenRequests {
		isBare := request.Username == bareName
		if request.Grant == authsim.GrantRefreshToken && request.Outcome == authsim.OutcomeGranted &&
			isBare == (window.user == bareName) && window.holds(request.Time) {
			done.Rotations++
			users[request.Username] = true
		}
	}
	done.Users = len(users)
	return done, nil
}

// judge looks at what must never happen, whatever the figures are.
func (b *bench) judge(ctx context.Context) error {
	for _, server := range []*localcluster.Authsim{b.restful, b.steady, b.pressing} {
		ledger, err := server.Ledger(ctx)
		if err != nil {
			return err
		}
		b.results.Reuses += ledger.Reuses
		b.results.LoginsAgain += loginsAgain(ledger)
		b.results.TokenCallsRefused += ledger.Requests - ledger.PasswordGrants - ledger.RefreshGrants
	}
	return nil
}

// loginsAgain counts the logins of users who had logged in before.
func loginsAgain(ledger authsim.Ledger) int {
	again, known := 0, map[string]bool{}
	for _, request := range ledger.TokenRequests {
		if request.Grant != authsim.GrantPassword {
			continue
		}
		if known[request.Username] {
			again++
		}
		known[request.Username] = true
	}
	return again
}
