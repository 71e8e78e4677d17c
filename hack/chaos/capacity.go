package main

import (
	"context"
	"fmt"
	"slices"
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
	s.judgeRate(s.tokens.sendings()[before:], rate)
	s.judgeOrder(s.firstTurns(before), time.Minute/time.Duration(rate))
	return nil
}

func (s *stage) turnsTaken(ctx context.Context, before int) error {
	return until(ctx, 8*time.Minute, "everybody had a turn", func(context.Context) (string, error) {
		if had := len(s.firstTurns(before)); had < len(s.creds) {
			return fmt.Sprintf("%d had", had), nil
		}
		return "", nil
	})
}

// turn is a request, and when the token expired that it was to replace.
type turn struct {
	at, expires time.Time
	user        string
}

// firstTurns are the first requests of each credential: all of them waited from the start. Those with the shortest lives come due
// again before the last had its turn.
func (s *stage) firstTurns(before int) []turn {
	ledger := s.sim.Ledger()
	expiries := map[string]time.Time{} // by user, of the first token
	for _, token := range slices.Backward(ledger.AccessTokens) {
		expiries[token.Username] = token.Expires
	}
	owners := map[string]string{}
	for _, token := range ledger.RefreshTokens {
		owners[token.Value] = token.Username
	}
	var first []turn
	for _, each := range s.tokens.sendings()[before:] {
		user := owners[each.spends]
		if expires, isFirst := expiries[user]; isFirst {
			first = append(first, turn{at: each.at, expires: expires, user: user})
			delete(expiries, user)
		}
	}
	return first
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

// judgeOrder compares the order of the requests with that of the expiries, and looks for tokens that expired although there was time.
func (s *stage) judgeOrder(turns []turn, interval time.Duration) {
	pairs, inverted := inversions(turns)
	s.count("pairs of requests in the order of their expiries", pairs-inverted)
	s.count("pairs out of that order", inverted)
	if inverted*10 > pairs {
		s.find("%d of %d pairs of requests were not in the order of their expiries", inverted, pairs)
	}
	began := turns[0].at
	slices.SortFunc(turns, func(a, b turn) int { return a.expires.Compare(b.expires) })
	for number, each := range turns {
		// There was time if its turn came before, were every other turn one of those that came due again.
		hadTime := began.Add(2 * time.Duration(number+1) * interval).Before(each.expires)
		if hadTime && each.at.After(each.expires) {
			s.find("the token of %s expired %s before its turn", each.user, each.at.Sub(each.expires).Round(time.Millisecond))
		}
	}
}

// inversions counts the pairs, and those whose later one expires first.
func inversions(order []turn) (pairs, inverted int) {
	for i := range order {
		for j := range order[:i] {
			pairs++
			if order[i].expires.Before(order[j].expires) {
				inverted++
			}
		}
	}
	return pairs, inverted
}
