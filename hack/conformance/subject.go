package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/fluent-credential/operator/hack/localcluster"
)

// subject is a server at work, with the proxy before it.
type subject struct {
	*suite
	server  server
	process *localcluster.Server
	proxy   *proxy

	credentials []*credential
	bystander   *credential
	own         int // refresh tokens that the judge has presented itself
}

// counts is what a server says of itself.
type counts struct {
	Presented     int `json:"presented"` // refresh tokens, at the token endpoint
	Reused        int `json:"reused"`    // of these, tokens that had been spent before
	RefusedLogins int `json:"refusedLogins"`
	Revoked       int `json:"revoked"` // refresh tokens, at the revocation endpoint
}

func (c counts) minus(before counts) counts {
	return counts{c.Presented - before.Presented, c.Reused - before.Reused, c.RefusedLogins - before.RefusedLogins, c.Revoked - before.Revoked}
}

// hear runs every scenario against one server.
func (s *suite) hear(ctx context.Context, wanted server) row {
	began := time.Now()
	s.say("%s", wanted.name)
	result := row{server: wanted, cells: map[string]cell{}}
	process, err := s.start(ctx, wanted)
	if err != nil {
		var lacking missing
		result.missing = errors.As(err, &lacking)
		result.err = err
		s.say("%s: %v", wanted.name, err)
		return result
	}
	defer process.Stop() //nolint:errcheck // it is killed where it does not stop, and nothing of it is needed any more
	result.version = strings.TrimPrefix(process.Version, "v")
	front, err := newProxy(process.URL)
	if err != nil {
		result.err = err
		return result
	}
	defer front.Close() //nolint:errcheck // the run is over
	subject := &subject{suite: s, server: wanted, process: process, proxy: front}
	result.err = subject.playAll(ctx, &result)
	result.took = time.Since(began)
	return result
}

// playAll plays the scenarios one after another, so that what the server counts belongs to one.
func (s *subject) playAll(ctx context.Context, into *row) error {
	if err := s.namespace(ctx, s.server.name); err != nil {
		return err
	}
	var err error
	if s.bystander, err = s.logIn(ctx, bystanderName, s.server.right()); err != nil {
		return fmt.Errorf("the first login of all: %w", err)
	}
	for _, scenario := range s.options.scenarios {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		played := s.play(ctx, scenario)
		into.cells[scenario.name] = played
		s.say("%s: %-17s %s", s.server.name, scenario.name, played.long())
	}
	into.total, err = s.counts(ctx)
	return err
}

// play plays one scenario, with the server's own counts before and after.
func (s *subject) play(ctx context.Context, scenario scenario) cell {
	if err := s.recover(ctx); err != nil {
		return cell{err: err}
	}
	before, err := s.counts(ctx)
	if err != nil {
		return cell{err: err}
	}
	note, err := scenario.play(s, ctx)
	after, countErr := s.counts(ctx)
	played := cell{note: note, counts: after.minus(before), err: errors.Join(err, countErr)}
	if errors.Is(err, errNotApplicable) {
		played.err, played.notApplicable = nil, true
	}
	if played.err != nil && ctx.Err() == nil {
		s.say("the end of the operator's log:\n%s", s.operator.LastLines(5))
	}
	return played
}

// recover takes away what a scenario that failed may have left: a fault, or no operator.
func (s *subject) recover(ctx context.Context) error {
	s.proxy.arm(nil)
	select {
	case <-s.operator.Done():
		return s.startOperator(ctx)
	default:
		return nil
	}
}

// counts is what the server has counted until now, without what the judge has done itself.
func (s *subject) counts(ctx context.Context) (counts, error) {
	var told counts
	body, err := localcluster.Get(ctx, s.process.URL+"/judge/counts")
	if err == nil {
		err = json.Unmarshal(body, &told)
	}
	if err != nil {
		return told, fmt.Errorf("the counts of %s: %w", s.server.name, err)
	}
	told.Presented -= s.own
	return told, nil
}

// accepts asks the endpoint that the server protects whether it accepts an access token.
func (s *subject) accepts(ctx context.Context, authorization string) (bool, error) {
	asked, err := http.NewRequestWithContext(ctx, http.MethodGet, s.process.URL+"/resource", nil)
	if err != nil {
		return false, err
	}
	asked.Header.Set("Authorization", authorization)
	said, err := do(asked)
	return said.status == http.StatusOK, err
}

// authorize logs a person in, past the operator, and returns the refresh token.
func (s *subject) authorize(ctx context.Context, user string) (string, error) {
	status, reply, err := s.grant(ctx, url.Values{"grant_type": {passwordGrant}, "username": {user}, "password": {s.password}})
	if err == nil && (status != http.StatusOK || reply.Refresh == "") {
		err = fmt.Errorf("a person's own login: HTTP %d", status)
	}
	return reply.Refresh, err
}

// works presents a refresh token to the token endpoint itself, past the operator.
func (s *subject) works(ctx context.Context, refreshToken string) (bool, error) {
	s.own++
	status, _, err := s.grant(ctx, url.Values{"grant_type": {refreshGrant}, "refresh_token": {refreshToken}})
	return status == http.StatusOK, err
}

// code has a person say yes, and returns the authorization code.
func (s *subject) code(ctx context.Context, user string) (string, error) {
	asked, err := http.NewRequestWithContext(ctx, http.MethodPost, s.process.URL+"/judge/code?user="+url.QueryEscape(user), nil)
	if err != nil {
		return "", err
	}
	said, err := do(asked)
	if err == nil && (said.status != http.StatusOK || len(said.body) == 0) {
		err = fmt.Errorf("a person's authorization: HTTP %d", said.status)
	}
	return string(said.body), err
}

// grant asks the token endpoint itself, past the operator and its proxy.
func (s *subject) grant(ctx context.Context, form url.Values) (int, granted, error) {
	if !s.server.basic {
		form.Set("client_id", clientID)
		form.Set("client_secret", s.clientSecret)
	}
	asked, err := http.NewRequestWithContext(ctx, http.MethodPost, s.process.URL+s.server.tokenPath, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, granted{}, err
	}
	asked.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if s.server.basic {
		asked.SetBasicAuth(clientID, s.clientSecret)
	}
	said, err := do(asked)
	return said.status, readGranted(said.body), err
}
