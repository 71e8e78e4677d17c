package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// deed is something that the judge does to a server, and what the server has to count then. It returns whether it was granted.
type deed struct {
	what    string
	do      func(ctx context.Context) (bool, error)
	granted bool
	counted counts
}

// witness does by itself all that no operator may do, and looks whether the server counts it: a server that does not could say of
// every other scenario that nothing was presented again. It also shows that the server is what the table takes it for.
func (s *subject) witness(ctx context.Context) (permitted, error) {
	var result permitted
	for _, deed := range s.deeds() {
		before, err := s.count(ctx)
		if err != nil {
			return result, err
		}
		granted, err := deed.do(ctx)
		if err == nil && granted != deed.granted {
			err = fmt.Errorf("it is granted: %v", granted)
		}
		after, countErr := s.count(ctx)
		if err = errors.Join(err, countErr); err != nil {
			return result, fmt.Errorf("%s: %w", deed.what, err)
		}
		if got := after.minus(before); got != deed.counted {
			return result, fmt.Errorf("%s: the server has counted %+v, want %+v", deed.what, got, deed.counted)
		}
		s.own, result.own = s.own.plus(deed.counted), result.own.plus(deed.counted)
	}
	return result, nil
}

// deeds are in the order in which they follow from each other.
func (s *subject) deeds() []deed {
	var first, code, second string
	again := s.server.again == tolerant
	login := url.Values{"grant_type": {passwordGrant}, "username": {"witness"}, "password": {s.password}}
	wrong := url.Values{"grant_type": {passwordGrant}, "username": {"witness"}, "password": {"not-" + s.password}}
	deeds := []deed{
		{"a login", s.asks(s.clientSecret, &first, fixed(login)), true, counts{Granted: 1}},
		{"a refresh", s.asks(s.clientSecret, new(string), refreshing(&first)), true, counts{Granted: 1, Presented: 1}},
		{"the same token again", s.asks(s.clientSecret, new(string), refreshing(&first)), again,
			counts{Granted: oneIf(again), Presented: 1, Reused: 1}},
		{"a wrong password", s.asks(s.clientSecret, new(string), fixed(wrong)), false, counts{RefusedLogins: 1}},
		{"a wrong client", s.asks("not-"+s.clientSecret, new(string), fixed(login)), false, counts{RefusedClients: 1}},
		{"a code", s.asks(s.clientSecret, &second, s.spending(&code)), true, counts{Granted: 1, Codes: 1}},
		{"the same code again", s.asks(s.clientSecret, new(string), s.spending(&code)), false, counts{Codes: 1, Reused: 1}},
	}
	if s.server.revocationPath != "" {
		deeds = append(deeds,
			deed{"another login", s.asks(s.clientSecret, &second, fixed(login)), true, counts{Granted: 1}},
			deed{"a revocation", s.revoking(&second), true, counts{Revoked: 1}},
			deed{"the revoked token", s.asks(s.clientSecret, new(string), refreshing(&second)), false, counts{Presented: 1}},
		)
	}
	return deeds
}

// form makes the parameters of a request when its turn has come.
type form func(ctx context.Context) (url.Values, error)

func fixed(values url.Values) form {
	return func(context.Context) (url.Values, error) { return values, nil }
}

func refreshing(token *string) form {
	return func(context.Context) (url.Values, error) {
		return url.Values{"grant_type": {refreshGrant}, "refresh_token": {*token}}, nil
	}
}

// spending has a person say yes the first time, and presents the code of that time ever after.
func (s *subject) spending(code *string) form {
	return func(ctx context.Context) (values url.Values, err error) {
		if *code == "" {
			*code, err = s.code(ctx, "witness")
		}
		return url.Values{"grant_type": {codeGrant}, "code": {*code}, "redirect_uri": {redirectURI}}, err
	}
}

// asks is a request for a grant, which keeps the refresh token of the reply.
func (s *subject) asks(secret string, refresh *string, parameters form) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		values, err := parameters(ctx)
		if err != nil {
			return false, err
		}
		status, reply, err := s.grant(ctx, secret, values)
		*refresh = reply.Refresh
		return status == http.StatusOK && reply.Access != "", err
	}
}

func (s *subject) revoking(token *string) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		said, err := s.post(ctx, s.server.revocationPath, s.clientSecret, url.Values{"token": {*token}})
		return said.status == http.StatusOK, err
	}
}
