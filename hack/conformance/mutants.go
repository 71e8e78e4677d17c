package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// mutation is a mistake between the operator and a server. To the server it is the operator's; the proxy makes it, and tells nobody,
// so that it is found by what the server says or not at all.
type mutation struct {
	// repeats: a request of this kind is sent once more.
	repeats func(request) bool
	// swallows: the server never hears of it, and the operator is told that all is well.
	swallows func(request) bool
}

// mutant is a mistake, and the scenarios each of which has to find it.
type mutant struct {
	name string
	mutation
	scenarios []string
}

var mutants = []mutant{
	{
		"every refresh token is presented twice", mutation{repeats: isGrant(refreshGrant)},
		[]string{"rotate", "kill", "lost-reply", "wrong-policy", "wrong-policy-seed", "seed", "wrong-client-later", "afterwards"},
	},
	{"every code is presented twice", mutation{repeats: isGrant(codeGrant)}, []string{"code"}},
	{
		"every login is sent twice", mutation{repeats: isGrant(passwordGrant)},
		[]string{"obtain", "lost-login", "wrong-client", "wrong-password"},
	},
	{"the server never sees what is lost", mutation{swallows: isGrant(refreshGrant)}, []string{"kill", "lost-reply"}},
	{"nothing is revoked", mutation{swallows: func(r request) bool { return r.revokes != "" }}, []string{"revocation"}},
}

func isGrant(grant string) func(request) bool {
	return func(r request) bool { return r.grant == grant }
}

// mutate makes the proxy make a mistake, or none any more.
func (p *proxy) mutate(mistake mutation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mutation = mistake
}

// mutated sends a request on, with the mistake that is to be made.
func (p *proxy) mutated(r *http.Request, body []byte, asked request) (reply, error) {
	p.mu.Lock()
	mistake := p.mutation
	p.mu.Unlock()
	if mistake.swallows != nil && mistake.swallows(asked) {
		return reply{status: http.StatusOK}, nil
	}
	said, err := p.forward(r, body)
	if err == nil && mistake.repeats != nil && mistake.repeats(asked) {
		_, err = p.forward(r, body)
	}
	return said, err
}

// infectAll plays every mutant against every server. It is an error where one is not found.
func (s *suite) infectAll(ctx context.Context) error {
	var missed []error
	for _, server := range s.options.servers {
		for _, mutant := range mutants {
			for _, scenario := range mutant.scenarios {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if err := s.infect(ctx, server, mutant, scenario); err != nil {
					missed = append(missed, fmt.Errorf("%s: %s: %w", server.name, mutant.name, err))
				}
			}
		}
	}
	return errors.Join(missed...)
}

// infect plays one scenario with a mistake, against a server started for it alone. The scenario has to find it; to wait in vain for
// something is no finding.
func (s *suite) infect(ctx context.Context, wanted server, mutant mutant, name string) error {
	s.infected++
	subject, err := s.seat(ctx, wanted, fmt.Sprintf("%s-%d", wanted.name, s.infected))
	if err != nil {
		return err
	}
	defer subject.leave()
	if err := subject.open(ctx); err != nil {
		return err
	}
	played, _ := pick("", name, scenarios, scenario.called)
	subject.proxy.mutate(mutant.mutation)
	found := subject.play(ctx, played[0])
	switch {
	case found.notApplicable:
		return nil
	case found.err == nil:
		return fmt.Errorf("%s has not found it", name)
	case errors.Is(found.err, context.DeadlineExceeded):
		return fmt.Errorf("%s waited in vain: %w", name, found.err)
	}
	s.say("%s: %s: %s found it: %v", wanted.name, mutant.name, name, found.err)
	return nil
}
