package main

import (
	"context"
	"fmt"
	"time"
)

// freezing is a moment at which the leader is frozen.
type freezing struct {
	name  string
	at    point
	wants func(*passage) bool
	token bool // the request is one to the token endpoint
	keep  int  // so much of the reply is delivered before
	// late: what was on its way arrives only when the leader has thawed; otherwise at once.
	late  bool
	early bool // the leader thaws as soon as another one leads, and not when that one is done
	lost  int
	quick bool
	// seeded is a login with nothing but its refresh token: it shows whether a token that was not sent is still good.
	seeded bool
}

// setting is the stage for it.
func (f freezing) setting() setting {
	wanted := setting{replicas: 2, elects: true, mayLose: f.lost}
	if f.seeded {
		wanted.seeded, wanted.life = true, 20*time.Second // a token that may be spent is presented again when that one ends
	}
	return wanted
}

func frozenLeader() []scenario {
	var cases []scenario
	for _, each := range []freezing{
		{name: "the claim on its way", at: arrived, wants: isClaim, late: true},
		{name: "the claim written, its answer on the way back", at: answered, wants: isClaim, lost: 1, quick: true}, // the journal that tells of it is the frozen one's
		{name: "the claim written, its answer on the way back, only a refresh token", at: answered, wants: isClaim, seeded: true},
		{name: "the request on its way", at: arrived, wants: isRefresh, token: true, lost: 1, quick: true},
		{name: "the request arrives after the thaw", at: arrived, wants: isRefresh, token: true, late: true, lost: 1},
		{name: "half of the reply received", at: answered, wants: isRefresh, token: true, keep: 200, lost: 1},
		{name: "the commit on its way, and it arrives", at: arrived, wants: isCommit, quick: true},
		{name: "the commit arrives after another leader is done", at: arrived, wants: isCommit, late: true, lost: 1},
		{name: "the commit arrives while another leader waits", at: arrived, wants: isCommit, late: true, early: true},
		{name: "the publication on its way", at: arrived, wants: isPublication, late: true},
		{name: "the status on its way", at: arrived, wants: isStatus, late: true},
	} {
		cases = append(cases, scenario{
			name: each.name, quick: each.quick, most: 9 * time.Minute, waits: true,
			setting: each.setting(),
			run:     func(ctx context.Context, s *stage) error { return frozen(ctx, s, each) },
		})
	}
	return cases
}

// frozen freezes the leader, lets another one take over, and thaws it.
func frozen(ctx context.Context, s *stage, moment freezing) error {
	leader := s.replicas[0]
	traps := &leader.api.traps
	if moment.token {
		traps = &s.tokens.traps
	}
	trap := traps.hold(moment.at, 1, moment.wants)
	if err := s.creds[0].rotate(ctx); err != nil {
		return err
	}
	caught, err := trap.wait(ctx)
	if err != nil {
		return err
	}
	if moment.keep > 0 {
		caught.partly(moment.keep)
	}
	leader.freeze()
	defer leader.thaw()
	began := time.Now()
	state, err := s.creds[0].readState(ctx)
	if err != nil {
		return err
	}
	if !moment.late {
		trap.let(fate{})
	}
	if err := s.takenOver(ctx, moment); err != nil {
		return err
	}
	s.say("thawed after %.0f s", time.Since(began).Seconds())
	sent := s.timesSent(state.refresh)
	leader.thaw()
	if moment.late {
		trap.let(fate{})
	}
	return s.afterThaw(ctx, state.refresh, sent)
}

// timesSent is how often a refresh token left a client.
func (s *stage) timesSent(refresh string) (times int) {
	for _, each := range s.tokens.sendings() {
		if each.spends == refresh {
			times++
		}
	}
	return times
}

// takenOver waits until another replica leads, or has brought everything into order.
func (s *stage) takenOver(ctx context.Context, moment freezing) error {
	if !moment.early {
		return s.creds[0].settledIn(ctx, 5*time.Minute)
	}
	return until(ctx, time.Minute, "another replica leads", func(ctx context.Context) (string, error) {
		leads, err := s.replicas[1].counter(ctx, fmt.Sprintf(`leader_election_master_status{name=%q}`, leaseName))
		if err != nil || leads == 1 {
			return "", err
		}
		return "it does not", nil
	})
}

// leaseName is the lease that the leader holds.
const leaseName = "fluent-credential-operator.auth.fluent-credential.dev"

// afterThaw waits until the former leader has found out and ended, without having sent the token that it had claimed; starts it again,
// and makes one more rotation.
func (s *stage) afterThaw(ctx context.Context, claimed string, sent int) error {
	select {
	case <-s.replicas[0].current().Done():
	case <-ctx.Done():
		return fmt.Errorf("the former leader does not end: %w", context.Cause(ctx))
	}
	if late := s.timesSent(claimed) - sent; late > 0 {
		s.find("the former leader sent the token of its old claim %d times after it thawed", late)
	}
	if err := s.settled(ctx); err != nil {
		return err
	}
	if err := s.replicas[0].start(ctx); err != nil {
		return err
	}
	return rotated(ctx, s)
}
