package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// scenario is what is done to the operator and a server. It returns what is worth a note, or what was wrong.
type scenario struct {
	name string
	// about says what it shows, in the documentation's table.
	about string
	play  func(s *subject, ctx context.Context) (note string, err error)
}

// errNotApplicable is returned where a server cannot do what a scenario is about.
var errNotApplicable = errors.New("the server has no such thing")

// scenarios are all there are, in the order in which they are played. Each has a user of its own, whose name is the scenario's.
var scenarios = []scenario{
	{"obtain", "a first token by password, accepted by the server", (*subject).obtain},
	{"rotate", "rotations one after another, every token used; a restart with a reply under way in the middle", (*subject).rotateMany},
	{"kill", "SIGKILL with a reply under way: the policy, and nothing beyond it", (*subject).kill},
	{"lost-reply", "the server worked and the operator never hears of it, under the policy that fits the server", (*subject).lostReply},
	{"lost-login", "the reply to a first login is lost: one more login, and no lockout", (*subject).lostLogin},
	{"wrong-policy", "the same under a policy that does not fit", (*subject).wrongPolicy},
	{"wrong-policy-seed", "the same with nothing but a refresh token: ends with a person, who is heard", (*subject).wrongPolicySeed},
	{"seed", "a refresh token as a seed, applied again, then replaced", (*subject).seed},
	{"code", "an authorization code as a seed, applied again, then replaced", (*subject).codeSeed},
	{"revocation", "the refresh token is revoked when the FluentCredential goes", (*subject).revocation},
	{"wrong-client", "a wrong client secret is tried once, the right one at once", (*subject).wrongClient},
	{"wrong-password", "a wrong password is tried once, the right one at once", (*subject).wrongPassword},
	{"afterwards", "a restart with nothing due asks nobody; no secret in log, event or status; everything can be deleted", (*subject).afterwards},
}

// bystanderName is the user of a credential of the same client that nothing is done to.
const bystanderName = "bystander"

// userNames are the users whom every server knows.
func userNames() []string { return append(namesOf(scenarios, scenario.called), bystanderName) }

func (s *subject) obtain(ctx context.Context) (string, error) {
	cred, err := s.logIn(ctx, "obtain", s.server.right())
	if err != nil {
		return "", err
	}
	return "", cred.asked(tally{logins: 1})
}

// rotateMany uses every token, so that a server that waits for its use sees it.
func (s *subject) rotateMany(ctx context.Context) (string, error) {
	cred, err := s.logIn(ctx, "rotate", s.server.right())
	if err != nil {
		return "", err
	}
	living := 0
	for i := range s.options.rotations {
		renew := cred.renew
		if i == s.options.rotations/2 {
			renew = cred.renewThroughRestart
		}
		outlived, err := cred.succeed(ctx, renew)
		if err != nil {
			return "", fmt.Errorf("rotation %d: %w", i+1, err)
		}
		if outlived {
			living++
		}
	}
	note := fmt.Sprintf("%d of %d old access tokens outlive the refresh", living, s.options.rotations)
	return note, cred.asked(tally{logins: 1, refreshes: s.options.rotations, most: 1})
}

// succeed has a new token obtained, looks whether the old one outlived that, and uses the new one.
func (c *credential) succeed(ctx context.Context, renew func(context.Context) (seen, error)) (outlived bool, err error) {
	old, err := c.look(ctx)
	if err != nil {
		return false, err
	}
	now, err := renew(ctx)
	if err != nil {
		return false, err
	}
	if outlived, err = c.accepts(ctx, old.authorization()); err != nil {
		return false, err
	}
	return outlived, c.use(ctx, now)
}

// renewThroughRestart asks the operator to end while the reply is under way: it has to take it along.
func (c *credential) renewThroughRestart(ctx context.Context) (seen, error) {
	before, err := c.interrupt(ctx, c.operator.Terminate)
	if err != nil {
		return before, err
	}
	return c.arrived(ctx, before.serial()+1, refreshGrant)
}

// interrupt ends the operator in its way while the reply to a refresh is under way, and starts the next one.
func (c *credential) interrupt(ctx context.Context, end func()) (seen, error) {
	before, err := c.look(ctx)
	if err != nil {
		return before, err
	}
	held := c.proxy.holdNext()
	if err := c.ask(ctx); err != nil {
		return before, err
	}
	if err := happens(ctx, "the server has answered", held.arrived); err != nil {
		return before, err
	}
	end()
	close(held.release)
	if err := c.awaitEnd(ctx); err != nil {
		return before, err
	}
	return before, c.startOperator(ctx)
}

// revocation deletes a FluentCredential, and then presents what was its refresh token.
func (s *subject) revocation(ctx context.Context) (string, error) {
	if s.server.revocationPath == "" {
		return "", errNotApplicable
	}
	cred, err := s.logIn(ctx, "revocation", s.server.right())
	if err != nil {
		return "", err
	}
	if err := cred.rotate(ctx); err != nil {
		return "", err
	}
	before, err := s.counts(ctx)
	if err != nil {
		return "", err
	}
	if err := cred.remove(ctx); err != nil {
		return "", err
	}
	after, err := s.counts(ctx)
	if err != nil {
		return "", err
	}
	if revoked := after.minus(before).Revoked; revoked != 1 {
		return "", fmt.Errorf("the server has revoked %d refresh tokens, want 1", revoked)
	}
	return "", s.presentRevoked(ctx, cred)
}

// presentRevoked presents a revoked refresh token, past the operator: no server may know it any more.
func (s *subject) presentRevoked(ctx context.Context, cred *credential) error {
	var newest string
	for _, request := range s.proxy.since(cred.first) {
		if request.refresh != "" {
			newest = request.refresh
		}
	}
	lives, err := s.works(ctx, newest)
	if err == nil && lives {
		err = errors.New("the refresh token still works")
	}
	return err
}

func (s *subject) wrongClient(ctx context.Context) (string, error) {
	login := s.passwordLogin("wrong-client")
	login[v1alpha1.ClientSecretKey] = "not-" + s.clientSecret
	return s.corrected(ctx, "wrong-client", login, v1alpha1.ClientSecretKey, s.clientSecret)
}

func (s *subject) wrongPassword(ctx context.Context) (string, error) {
	login := s.passwordLogin("wrong-password")
	login[v1alpha1.PasswordKey] = "not-" + s.password
	return s.corrected(ctx, "wrong-password", login, v1alpha1.PasswordKey, s.password)
}

// corrected logs in with one entry of the login wrong, and corrects it.
func (s *subject) corrected(ctx context.Context, name string, login map[string]string, key, value string) (string, error) {
	cred, err := s.create(ctx, name, s.server.right(), login)
	if err != nil {
		return "", err
	}
	refused, err := cred.await(ctx, "the login is refused", func(now seen) bool {
		return now.reason(v1alpha1.ConditionReady) == v1alpha1.ReasonCredentialsRejected
	})
	if err != nil {
		return "", err
	}
	if err := cred.asked(tally{logins: 1, refusedLogins: 1}); err != nil {
		return "", fmt.Errorf("while wrong (%s): %w", refused.tell(), err)
	}
	if err := cred.changeLogin(ctx, map[string]string{key: value}); err != nil {
		return "", err
	}
	if err := cred.obtained(ctx, 1, passwordGrant); err != nil {
		return "", err
	}
	return "", cred.asked(tally{logins: 2, refusedLogins: 1})
}
