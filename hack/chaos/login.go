package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/url"
	"time"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// The passwords that a login holds beside the right one.
const wrongPassword, newPassword = "a-wrong-password-to-be-searched-for", "a-new-password-to-be-searched-for"

// refusedLogins are logins that the server refuses, with an operator that crashes all the time.
func refusedLogins(quick bool) []scenario {
	length := 3 * time.Minute
	if quick {
		length = 30 * time.Second
	}
	lockout := func(config *authsim.Config) { config.Lockout = true }
	return []scenario{
		{name: "wrong password, SIGKILL at any moment for " + length.String(), quick: true, most: length + 6*time.Minute, waits: true,
			setting: setting{idle: true, tenant: lockout, password: wrongPassword},
			run:     func(ctx context.Context, s *stage) error { return crashLoop(ctx, s, length) }},
		{name: "SIGKILL in the login, again and again", quick: true, setting: setting{idle: true, tenant: lockout, password: wrongPassword},
			run: killedInTheLogin},
		{name: "wrong password, SIGKILL after the refusal, then the right one", quick: true,
			setting: setting{idle: true, tenant: lockout, password: wrongPassword}, run: mendedAfterCrashes},
		{name: "password changed", quick: true, setting: setting{tenant: lockout, mayLose: 1}, run: passwordChanged},
		{name: "account locked by somebody else", quick: true, setting: setting{idle: true, tenant: lockout}, run: lockedAccount},
	}
}

// crashLoop kills the operator at random moments.
func crashLoop(ctx context.Context, s *stage, length time.Duration) error {
	if err := s.replicas[0].launch(); err != nil {
		return err
	}
	if err := s.createCredentials(ctx); err != nil {
		return err
	}
	// It goes on until a login was refused, or there would have been nothing to hold back.
	for end := time.Now().Add(length); time.Now().Before(end) || s.sim.Ledger().LoginsRefused == 0; {
		if ctx.Err() != nil {
			return errors.New("no login was ever tried")
		}
		pause(ctx, time.Duration(200+rand.IntN(2000))*time.Millisecond)
		s.replicas[0].kill()
		if err := s.replicas[0].launch(); err != nil {
			return err
		}
	}
	s.count("SIGKILLs in a loop", s.replicas[0].starts-1)
	return nil
}

// killedInTheLogin kills the operator whenever its login has been taken by the server and not yet answered.
func killedInTheLogin(ctx context.Context, s *stage) error {
	trap := s.tokens.hold(answered, -1, func(p *passage) bool { return p.grant == authsim.GrantPassword })
	defer trap.release()
	if err := s.replicas[0].start(ctx); err != nil {
		return err
	}
	if err := s.createCredentials(ctx); err != nil {
		return err
	}
	for range budget {
		if _, err := trap.wait(ctx); err != nil {
			return err
		}
		s.replicas[0].kill()
		trap.let(fate{cut: true})
		if err := s.replicas[0].start(ctx); err != nil {
			return err
		}
	}
	sent := len(s.tokens.sendings())
	for range 3 {
		if err := s.replicas[0].restart(ctx); err != nil {
			return err
		}
		pause(ctx, 3*time.Second)
	}
	if more := len(s.tokens.sendings()) - sent; more > 0 {
		s.find("%d more logins after %d whose answer nobody saw", more, sent)
	}
	return nil
}

// mendedAfterCrashes kills the operator after it has seen the refusal; the right password works at once.
func mendedAfterCrashes(ctx context.Context, s *stage) error {
	if err := s.replicas[0].start(ctx); err != nil {
		return err
	}
	if err := s.createCredentials(ctx); err != nil {
		return err
	}
	if err := s.creds[0].says(ctx, v1alpha1.ReasonCredentialsRejected); err != nil {
		return err
	}
	for range 5 {
		if err := s.replicas[0].restart(ctx); err != nil {
			return err
		}
		pause(ctx, 2*time.Second)
	}
	if refused := s.sim.Ledger().LoginsRefused; refused != 1 {
		s.find("a wrong password was tried %d times", refused)
	}
	if err := s.creds[0].setLogin(ctx, v1alpha1.PasswordKey, password); err != nil {
		return err
	}
	return s.creds[0].settledIn(ctx, 30*time.Second)
}

// passwordChanged: the server has a new password and has forgotten the chain; the login follows later.
func passwordChanged(ctx context.Context, s *stage) error {
	state, err := s.creds[0].readState(ctx)
	if err != nil {
		return err
	}
	s.sim.SetPassword(s.creds[0].user, newPassword)
	form := url.Values{"grant_type": {authsim.GrantRefreshToken}, "refresh_token": {state.refresh}}
	if _, err := s.stranger(ctx, form); err != nil {
		return err
	}
	if err := s.creds[0].rotate(ctx); err != nil {
		return err
	}
	if err := s.creds[0].says(ctx, v1alpha1.ReasonCredentialsRejected); err != nil {
		return err
	}
	if err := s.replicas[0].restart(ctx); err != nil {
		return err
	}
	if err := s.creds[0].setLogin(ctx, v1alpha1.PasswordKey, newPassword); err != nil {
		return err
	}
	return s.creds[0].settledIn(ctx, 30*time.Second)
}

// lockedAccount: the right password gets the answer of a wrong one.
func lockedAccount(ctx context.Context, s *stage) error {
	for range 5 {
		form := url.Values{"grant_type": {authsim.GrantPassword}, "username": {userName(0)}, "password": {wrongPassword}}
		if _, err := s.stranger(ctx, form); err != nil {
			return err
		}
	}
	if err := s.replicas[0].start(ctx); err != nil {
		return err
	}
	if err := s.createCredentials(ctx); err != nil {
		return err
	}
	if err := s.creds[0].says(ctx, v1alpha1.ReasonCredentialsRejected); err != nil {
		return err
	}
	for range 3 {
		if err := s.replicas[0].restart(ctx); err != nil {
			return err
		}
		pause(ctx, 3*time.Second)
	}
	return nil
}
