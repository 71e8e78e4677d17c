package main

import (
	"context"
	"fmt"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// recovery is how a lost reply has to end where the login has a password.
type recovery struct {
	grant string // by which the next token comes
	asked tally  // from the first login until then
}

// recoveryFrom is what a policy does at a server. Whatever happens, no token is presented more than twice, and one family is lost at
// the most.
func recoveryFrom(policy v1alpha1.LostReplyPolicy, again consequence) recovery {
	switch {
	case policy != v1alpha1.LostReplyRetry:
		return recovery{grant: passwordGrant, asked: tally{logins: 2, refreshes: 1, most: 1}}
	case again == tolerant:
		return recovery{grant: refreshGrant, asked: tally{logins: 1, refreshes: 2, reuses: 1, most: 2}}
	}
	return recovery{grant: passwordGrant, asked: tally{logins: 2, refreshes: 2, refusedRefreshes: 1, reuses: 1, most: 2}}
}

func (r recovery) note(policy v1alpha1.LostReplyPolicy) string {
	return fmt.Sprintf("%s: token presented %d×, %d new login", policy, r.asked.most, r.asked.logins-1)
}

func (s *subject) lostReply(ctx context.Context) (permitted, error) {
	return s.lose(ctx, "lost-reply", s.server.right(), (*credential).loseReply)
}

func (s *subject) kill(ctx context.Context) (permitted, error) {
	return s.lose(ctx, "kill", s.server.right(), (*credential).dieWithReply)
}

func (s *subject) wrongPolicy(ctx context.Context) (permitted, error) {
	first := s.proxy.count()
	result, err := s.lose(ctx, "wrong-policy", s.server.wrong(), (*credential).loseReply)
	if err != nil || s.server.again == tolerant {
		return result, err
	}
	fate, err := s.fateOfLost(ctx, first)
	result.note += fate
	return result, err
}

// fateOfLost presents the token that was in the lost reply, past the operator: does it outlive the reuse of the one before it?
func (s *subject) fateOfLost(ctx context.Context, first int) (string, error) {
	var lost string
	for _, request := range s.proxy.since(first) {
		if request.grant == refreshGrant {
			lost = request.refresh
			break
		}
	}
	lives, err := s.works(ctx, lost)
	switch {
	case err != nil:
		return "", err
	case lives == (s.server.again == revokes):
		return "", fmt.Errorf("the family of the reused token lives: %v, which is not what this server is here for", lives)
	case lives:
		return "; the lost family lives on, unused", nil
	}
	return "; the lost family is revoked", nil
}

// loseReply has the server work on a refresh and its reply lost.
func (c *credential) loseReply(ctx context.Context) error {
	c.proxy.loseNext(refreshGrant)
	return c.ask(ctx)
}

// dieWithReply kills the operator while the reply is under way.
func (c *credential) dieWithReply(ctx context.Context) error {
	_, err := c.interrupt(ctx, func(context.Context) error { c.operator.Kill(); return nil })
	return err
}

// lose loses a reply in some way and looks at how the operator recovers, at the chain that follows, and at the bystander.
func (s *subject) lose(
	ctx context.Context, name string, policy v1alpha1.LostReplyPolicy, how func(*credential, context.Context) error,
) (permitted, error) {
	want := recoveryFrom(policy, s.server.again)
	result := permitted{asked: want.asked.plus(unharmed), note: want.note(policy)}
	cred, err := s.logIn(ctx, name, policy)
	if err != nil {
		return result, err
	}
	if err := how(cred, ctx); err != nil {
		return result, err
	}
	if err := cred.obtained(ctx, 2, want.grant); err != nil {
		return result, err
	}
	if err := cred.asked(want.asked); err != nil {
		return result, err
	}
	return result, s.goOn(ctx, cred)
}

// unharmed is what goOn asks for.
var unharmed = refreshed(3)

// goOn rotates what has to live on: the chain that was begun after the loss, and the one of the bystander.
func (s *subject) goOn(ctx context.Context, after *credential) error {
	for range 2 {
		if err := after.rotate(ctx); err != nil {
			return fmt.Errorf("the chain after the loss: %w", err)
		}
	}
	if err := s.bystander.rotate(ctx); err != nil {
		return fmt.Errorf("the bystander's chain: %w", err)
	}
	return nil
}

// lostLogin loses the reply to a first login. It may have been a refusal, so it counts as one; there is one more to be had.
func (s *subject) lostLogin(ctx context.Context) (permitted, error) {
	result := permitted{asked: tally{logins: 2}.plus(refreshed(1))}
	s.proxy.loseNext(passwordGrant)
	cred, err := s.logIn(ctx, "lost-login", s.server.right())
	if err != nil {
		return result, err
	}
	if err := cred.asked(tally{logins: 2}); err != nil {
		return result, err
	}
	return result, cred.rotate(ctx)
}

// wrongPolicySeed loses a reply where there is no password: a person is asked, and a new seed is all it takes.
func (s *subject) wrongPolicySeed(ctx context.Context) (permitted, error) {
	const user = "wrong-policy-seed"
	policy := s.server.wrong()
	result := permitted{asked: stallFrom(policy).plus(refreshed(1)).plus(unharmed)}
	first, err := s.authorize(ctx, user)
	if err != nil {
		return result, err
	}
	cred, err := s.create(ctx, user, policy, s.withClient(map[string]string{v1alpha1.RefreshTokenKey: first}))
	if err != nil {
		return result, err
	}
	if err := cred.obtained(ctx, 1, refreshGrant); err != nil {
		return result, err
	}
	stalled, err := cred.stall(ctx)
	if err != nil {
		return result, err
	}
	result.note = fmt.Sprintf("%s: %s, then a new seed", policy, stalled.reason(v1alpha1.ConditionStalled))
	if err := cred.stands(ctx, stallFrom(policy)); err != nil {
		return result, err
	}
	if err := cred.reseed(ctx, user); err != nil {
		return result, err
	}
	return result, s.goOn(ctx, cred)
}

// stall loses the reply to a refresh, and waits until a person is asked.
func (c *credential) stall(ctx context.Context) (seen, error) {
	if err := c.loseReply(ctx); err != nil {
		return seen{}, err
	}
	return c.await(ctx, "a person is asked", seen.stalled)
}

// reseed gives a second seed, which is spent at once.
func (c *credential) reseed(ctx context.Context, user string) error {
	second, err := c.authorize(ctx, user)
	if err != nil {
		return err
	}
	if err := c.changeLogin(ctx, map[string]string{v1alpha1.RefreshTokenKey: second}); err != nil {
		return err
	}
	return c.obtained(ctx, 2, refreshGrant)
}

// stallFrom is what is asked before a person is: the seed, the token whose reply was lost, and under Retry that token again.
func stallFrom(policy v1alpha1.LostReplyPolicy) tally {
	if policy == v1alpha1.LostReplyRetry {
		return tally{refreshes: 3, refusedRefreshes: 1, reuses: 1, most: 2}
	}
	return refreshed(2)
}
