package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/fluent-credential/operator/hack/localcluster"
)

// counts is what a server says of itself: each counts in the library's own hooks, or in its own database.
type counts struct {
	Granted        int `json:"granted"`        // replies with an access token, by whatever grant
	Presented      int `json:"presented"`      // refresh tokens, by a client that it knows
	Codes          int `json:"codes"`          // authorization codes, by a client that it knows
	Reused         int `json:"reused"`         // of both, those that had been spent before
	RefusedLogins  int `json:"refusedLogins"`  // by user name and password
	RefusedClients int `json:"refusedClients"` // whatever they wanted
	Revoked        int `json:"revoked"`        // refresh tokens, at the revocation endpoint
}

func (c counts) plus(more counts) counts {
	return counts{
		c.Granted + more.Granted, c.Presented + more.Presented, c.Codes + more.Codes, c.Reused + more.Reused,
		c.RefusedLogins + more.RefusedLogins, c.RefusedClients + more.RefusedClients, c.Revoked + more.Revoked,
	}
}

func (c counts) minus(less counts) counts {
	return c.plus(counts{
		-less.Granted, -less.Presented, -less.Codes, -less.Reused, -less.RefusedLogins, -less.RefusedClients, -less.Revoked,
	})
}

// brief is the counts in a cell of the table: grants, presentations, reuses and refusals.
func (c counts) brief() string {
	return fmt.Sprintf("%d/%d/%d/%d", c.Granted, c.Presented+c.Codes, c.Reused, c.RefusedLogins+c.RefusedClients)
}

// briefly says what brief is.
const briefly = "granted/presented/reused/refused"

// count asks the server what it has counted until now.
func (s *subject) count(ctx context.Context) (counts, error) {
	var told counts
	body, err := localcluster.Get(ctx, s.process.URL+"/judge/counts")
	if err == nil {
		err = json.Unmarshal(body, &told)
	}
	if err != nil {
		return told, fmt.Errorf("the counts of %s: %w", s.server.name, err)
	}
	return told, nil
}

// witnesses is how far the two witnesses had come when they were heard last.
type witnesses struct {
	counted counts // by the server, without what the judge did itself
	seen    int    // requests, by the proxy
}

// hearing asks both witnesses what happened since they were heard last, so that nothing falls between two scenarios.
func (s *subject) hearing(ctx context.Context) (tally, counts, error) {
	told, err := s.count(ctx)
	if err != nil {
		return tally{}, counts{}, err
	}
	last := s.heard
	s.heard = witnesses{told.minus(s.own), s.proxy.count()}
	return s.proxy.tally(last.seen), s.heard.counted.minus(last.counted), nil
}

// judged compares what both witnesses say with what a scenario permits.
func judged(permitted, seen tally, counted counts) error {
	if seen != permitted {
		return fmt.Errorf("the proxy has seen %+v, want %+v", seen, permitted)
	}
	if want := permitted.counts(); counted != want {
		return fmt.Errorf("the server has counted %+v, want %+v", counted, want)
	}
	return nil
}
