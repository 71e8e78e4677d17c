package main

import (
	"context"
	"time"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// killedAt rotates the first credential and kills the operator once the request is at a point that the trap holds; then it
// starts the operator again.
func killedAt(ctx context.Context, s *stage, trap *held) error {
	if err := s.creds[0].rotate(ctx); err != nil {
		return err
	}
	if _, err := trap.wait(ctx); err != nil {
		return err
	}
	s.replicas[0].kill()
	trap.traps.remove(trap.trap)
	return nil
}

// killedThenRestarted kills at a trap, drops or forwards what it held, starts anew, and waits until all is well.
func killedThenRestarted(ctx context.Context, s *stage, trap *held, then fate) error {
	if err := killedAt(ctx, s, trap); err != nil {
		return err
	}
	trap.let(then)
	if err := s.replicas[0].start(ctx); err != nil {
		return err
	}
	return s.settled(ctx)
}

func killedBeforeTheSend() []scenario {
	at := func(name string, point point) scenario {
		return scenario{name: name, quick: true, run: func(ctx context.Context, s *stage) error {
			return killedThenRestarted(ctx, s, s.replicas[0].api.hold(point, 1, isClaim), fate{cut: true})
		}}
	}
	return []scenario{
		at("the claim on its way to the API server", arrived),
		at("the claim written, its answer on the way back", answered),
	}
}

func killedBeforeTheReply() []scenario {
	quickly := map[string]bool{"Auto": true, "Retry": true}
	var cases []scenario
	for _, policy := range []string{"Auto", "Retry", "Reauthenticate", "Stop"} {
		for _, seeded := range []bool{false, true} {
			cases = append(cases, lostReply(policy, seeded, quickly[policy]))
		}
	}
	return append(cases, scenario{
		name: "half of the reply received", quick: true, setting: setting{mayLose: 1},
		run: func(ctx context.Context, s *stage) error {
			trap := s.tokens.hold(answered, 1, anything)
			if err := s.creds[0].rotate(ctx); err != nil {
				return err
			}
			caught, err := trap.wait(ctx)
			if err != nil {
				return err
			}
			caught.partly(len(caught.reply) / 2)
			s.replicas[0].kill()
			trap.let(fate{cut: true})
			if err := s.replicas[0].start(ctx); err != nil {
				return err
			}
			return s.settled(ctx)
		},
	})
}

// lostReply is a SIGKILL with the request honoured and its reply not delivered, under one policy.
func lostReply(policy string, seeded, quick bool) scenario {
	login := "a password"
	if seeded {
		login = "only a refresh token"
	}
	wanted := setting{policy: policy, seeded: seeded, mayLose: 1}
	if policy == "Retry" || policy == "Auto" && seeded {
		wanted.mayPresent = 2
	}
	if seeded {
		wanted.life = 20 * time.Second // a late presentation comes near the token's end
	}
	return scenario{name: policy + " with " + login, quick: quick, waits: seeded, setting: wanted, run: func(ctx context.Context, s *stage) error {
		trap := s.tokens.hold(answered, 1, isRefresh)
		if err := s.creds[0].rotate(ctx); err != nil {
			return err
		}
		caught, err := trap.wait(ctx)
		if err != nil {
			return err
		}
		s.replicas[0].kill()
		trap.release()
		if err := s.replicas[0].start(ctx); err != nil {
			return err
		}
		if policy != "Stop" && !seeded {
			err = s.settled(ctx)
		} else {
			err = s.askedForAPerson(ctx, 2*time.Minute)
		}
		return firstError(err, s.recoveredByPolicy(ctx, caught.spends))
	}}
}

// recoveredByPolicy: the lost reply was told, and its token presented as often as the policy says, not less either.
func (s *stage) recoveredByPolicy(ctx context.Context, lost string) error {
	wanted := max(1, s.mayPresent)
	if sent := s.timesSent(lost); sent != wanted {
		s.find("the token whose reply was lost was presented %d times, the policy says %d", sent, wanted)
	}
	return s.told(ctx, v1alpha1.ReasonReplyLost)
}

func isRefresh(p *passage) bool { return p.grant == authsim.GrantRefreshToken }

// silence is how long nothing may be sent any more once a person is asked.
const silence = 10 * time.Second

// askedForAPerson waits until only a person can help, and then for silence. The chain is lost, and the ledger does not show it.
func (s *stage) askedForAPerson(ctx context.Context, most time.Duration) error {
	err := until(ctx, most, "a person is asked", func(ctx context.Context) (string, error) {
		cred, err := s.creds[0].get(ctx)
		if err != nil || conditionOf(cred, v1alpha1.ConditionStalled).Status == "True" {
			return "", err
		}
		return "Stalled is not True", nil
	})
	if err != nil {
		return err
	}
	s.lost++
	before := len(s.tokens.sendings())
	pause(ctx, silence)
	if after := len(s.tokens.sendings()); after != before {
		s.find("%d requests were sent while only a person could help", after-before)
	}
	return nil
}

func killedBeforeTheCommit() []scenario {
	at := func(name string, trap func(*stage) *held, quick bool) scenario {
		return scenario{name: name, quick: quick, run: func(ctx context.Context, s *stage) error {
			return s.silently(1, func() error { return killedThenRestarted(ctx, s, trap(s), fate{cut: true}) })
		}}
	}
	return []scenario{
		at("the commit on its way to the API server", func(s *stage) *held { return s.replicas[0].api.hold(arrived, 1, isCommit) }, true),
	}
}

func killedAfterTheCommit() []scenario {
	at := func(name string, point point, wants func(*passage) bool) scenario {
		return scenario{name: name, quick: true, run: func(ctx context.Context, s *stage) error {
			return s.silently(1, func() error {
				return killedThenRestarted(ctx, s, s.replicas[0].api.hold(point, 1, wants), fate{cut: true})
			})
		}}
	}
	return []scenario{
		at("the commit's answer on its way back", answered, isCommit),
		at("the publication on its way", arrived, isPublication),
		at("the publication's answer on its way back", answered, isPublication),
		at("the status on its way", arrived, isStatus),
	}
}

// silently does something that may send so many requests to the token endpoint, and no more.
func (s *stage) silently(permitted int, do func() error) error {
	before := len(s.tokens.sendings())
	err := do()
	if sent := len(s.tokens.sendings()) - before; sent > permitted {
		s.find("%d requests were sent, %d would have done", sent, permitted)
	}
	return err
}
