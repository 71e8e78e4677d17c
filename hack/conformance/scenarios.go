package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// scenario is what is done to the operator and a server. It returns what it permits, to the last request, or what was wrong.
type scenario struct {
	name string
	// about says what it shows, in the documentation's table.
	about string
	play  func(s *subject, ctx context.Context) (permitted, error)
}

// permitted is what both witnesses have to say of a scenario.
type permitted struct {
	asked         tally
	own           counts // what the judge did itself to show that it is counted
	note          string // what is worth one
	notApplicable bool   // the server cannot do what the scenario is about
}

// scenarios are all there are, in the order in which they are played. Each has a user of its own, whose name is the scenario's.
var scenarios = []scenario{
	{"witness", "what no operator may do, done by the judge: the server counts each", (*subject).witness},
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
	{"wrong-client", "a wrong client secret is retried for a while, the right one at once", (*subject).wrongClient},
	{"wrong-client-later", "the same at a refresh, whose token it does not cost", (*subject).wrongClientLater},
	{"wrong-password", "a wrong password is tried once, the right one at once", (*subject).wrongPassword},
	{"afterwards", "every family lives; a restart with nothing due asks nobody; no secret leaks; everything can be deleted", (*subject).afterwards},
}

// bystanderName is the user of a credential of the same client that nothing is done to.
const bystanderName = "bystander"

// userNames are the users whom every server knows.
func userNames() []string { return append(namesOf(scenarios, scenario.called), bystanderName) }

func (s *subject) obtain(ctx context.Context) (permitted, error) {
	_, err := s.logIn(ctx, "obtain", s.server.right())
	return permitted{asked: tally{logins: 1}}, err
}

// rotateMany uses every token, so that a server that waits for its use sees it.
func (s *subject) rotateMany(ctx context.Context) (permitted, error) {
	cred, err := s.logIn(ctx, "rotate", s.server.right())
	if err != nil {
		return permitted{}, err
	}
	living, rotations := 0, s.options.rotations
	for i := range rotations {
		renew := cred.renew
		if i == rotations/2 {
			renew = cred.renewThroughRestart
		}
		outlived, err := cred.succeed(ctx, renew)
		if err != nil {
			return permitted{}, fmt.Errorf("rotation %d: %w", i+1, err)
		}
		living += oneIf(outlived)
	}
	return permitted{
		asked: tally{logins: 1}.plus(refreshed(rotations)),
		note:  fmt.Sprintf("%d of %d old access tokens outlive the refresh", living, rotations),
	}, nil
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
	before, err := c.interrupt(ctx, c.terminate)
	if err != nil {
		return before, err
	}
	return c.arrived(ctx, before.serial()+1, refreshGrant)
}

// interrupt ends the operator in its way while the reply to a refresh is under way, and starts the next one.
func (c *credential) interrupt(ctx context.Context, end func(context.Context) error) (seen, error) {
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
	err = end(ctx)
	close(held.release)
	if err != nil {
		return before, err
	}
	if err := c.awaitEnd(ctx); err != nil {
		return before, err
	}
	return before, c.startOperator(ctx)
}

// terminate asks the operator to end, and waits until it says that it has heard.
func (s *suite) terminate(ctx context.Context) error {
	const hearing = "Stopping and waiting for"
	before, err := os.ReadFile(s.operator.Log)
	if err != nil {
		return err
	}
	s.operator.Terminate()
	return s.until(ctx, func() (bool, error) {
		log, err := os.ReadFile(s.operator.Log)
		return err == nil && strings.Contains(string(log[len(before):]), hearing), err
	})
}

// revocation deletes a FluentCredential, and then presents what was its refresh token. Where a server revokes nothing, nothing is
// asked.
func (s *subject) revocation(ctx context.Context) (permitted, error) {
	can := s.server.revocationPath != ""
	result := permitted{asked: tally{logins: 1, revocations: oneIf(can)}.plus(refreshed(1)), notApplicable: !can}
	cred, err := s.logIn(ctx, "revocation", s.server.right())
	if err != nil {
		return result, err
	}
	if err := cred.rotate(ctx); err != nil {
		return result, err
	}
	if err := cred.remove(ctx); err != nil || !can {
		return result, err
	}
	if err := s.told(ctx, "RefreshTokenRevoked", "revocation"); err != nil {
		return result, err
	}
	return result, s.presentRevoked(ctx, cred)
}

// told waits for an event about a credential.
func (s *subject) told(ctx context.Context, reason, name string) error {
	list := fmt.Sprintf("get events.events.k8s.io -n %s -o name --field-selector reason=%s,regarding.name=%s", s.namespace, reason, name)
	err := s.until(ctx, func() (bool, error) {
		found, err := s.kubectl(ctx, list)
		return found != "", err
	})
	if err != nil {
		err = fmt.Errorf("waiting for the event %s: %w", reason, err)
	}
	return err
}

// presentRevoked presents a revoked refresh token: no server may know it any more.
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
