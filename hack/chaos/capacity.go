package main

import (
	"context"
	"fmt"
	"time"

	"github.com/fluent-credential/operator/hack/authsim"
)

// dueTogether are many credentials due at one moment, at a host that allows so many requests a minute.
func dueTogether(quick bool) []scenario {
	count, rate := 60, 30
	if quick {
		count, rate = 20, 60
	}
	// The n-th token to expire has its turn after n requests; it lives twice that long, and some more for the start.
	turn := time.Minute / time.Duration(rate)
	life := func(number int) time.Duration { return 50*time.Second + 2*time.Duration(number)*turn }
	return []scenario{{
		name: fmt.Sprintf("%d due together, %d a minute", count, rate), quick: true, most: 12 * time.Minute, waits: true,
		setting: setting{credentials: count, client: numberedClient, tenant: func(config *authsim.Config) {
			config.KillOnRefresh = false
			for number := range count {
				config.Clients = append(config.Clients, authsim.Client{
					ID: numberedClient(number), Secret: clientSecret, Scope: "api", AccessTokenLifetime: life(shuffled(number, count)),
				})
			}
		}},
		run: func(ctx context.Context, s *stage) error { return inTurn(ctx, s, rate) },
	}}
}

func numberedClient(number int) string { return fmt.Sprintf("%s-%d", clientID, number) }

// shuffled deals the lives out so that neither names nor ages tell which token expires first.
func shuffled(number, count int) int { return number * 7 % count }

// inTurn lets all come due while the operator is down, and starts it with a limit.
func inTurn(ctx context.Context, s *stage, rate int) error {
	s.replicas[0].kill()
	for _, each := range s.creds {
		if err := each.rotate(ctx); err != nil {
			return err
		}
	}
	before := len(s.tokens.sendings())
	s.replicas[0].args = []string{fmt.Sprintf("--host-rate=%d", rate)}
	if err := s.replicas[0].start(ctx); err != nil {
		return err
	}
	if err := s.turnsTaken(ctx, before); err != nil {
		return err
	}
	first := s.tokens.sendings()[before : before+len(s.creds)]
	s.judgeRate(first, rate)
	s.judgeOrder(first)
	return nil
}

func (s *stage) turnsTaken(ctx context.Context, before int) error {
	return until(ctx, 8*time.Minute, "everybody had a turn", func(context.Context) (string, error) {
		if had := len(s.tokens.sendings()) - before; had < len(s.creds) {
			return fmt.Sprintf("%d had", had), nil
		}
		return "", nil
	})
}

// judgeRate counts the requests of every minute.
func (s *stage) judgeRate(sent []sending, rate int) {
	for i := rate; i < len(sent); i++ {
		// A request is on its way for a moment: of two that left in time the first may have been held up.
		if apart := sent[i].at.Sub(sent[i-rate].at); apart < time.Minute-time.Second {
			s.find("%d requests within %s, the limit is %d a minute", rate+1, apart.Round(time.Millisecond), rate)
			return
		}
	}
}

// judgeOrder compares the order of the requests with that of the expiries.
func (s *stage) judgeOrder(sent []sending) {
	ledger := s.sim.Ledger()
	expiries := map[string]time.Time{} // by user, of the first token
	for _, token := range ledger.AccessTokens {
		if _, known := expiries[token.Username]; !known {
			expiries[token.Username] = token.Expires
		}
	}
	owners := map[string]string{}
	for _, token := range ledger.RefreshTokens {
		owners[token.Value] = token.Username
	}
	order := make([]time.Time, len(sent))
	for i, each := range sent {
		order[i] = expiries[owners[each.spends]]
	}
	pairs, inverted := inversions(order)
	s.count("pairs of requests in the order of their expiries", pairs-inverted)
	s.count("pairs out of that order", inverted)
	if inverted*10 > pairs {
		s.find("%d of %d pairs of requests were not in the order of their expiries", inverted, pairs)
	}
}

// inversions counts the pairs, and those whose later one expires first.
func inversions(order []time.Time) (pairs, inverted int) {
	for i := range order {
		for j := range order[:i] {
			pairs++
			if order[i].Before(order[j]) {
				inverted++
			}
		}
	}
	return pairs, inverted
}
