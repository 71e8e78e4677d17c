package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// What the judge does itself, in the place of a person or of somebody who means no good: past the operator and past the proxy, and
// noted, since the server counts it too.

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

// authorize logs a person in, and returns the refresh token.
func (s *subject) authorize(ctx context.Context, user string) (string, error) {
	status, reply, err := s.grant(ctx, s.clientSecret, url.Values{
		"grant_type": {passwordGrant}, "username": {user}, "password": {s.password},
	})
	if err == nil && (status != http.StatusOK || reply.Refresh == "") {
		err = fmt.Errorf("a person's own login: HTTP %d", status)
	}
	s.own.Granted++
	return reply.Refresh, err
}

// works presents a refresh token that was never spent to the token endpoint.
func (s *subject) works(ctx context.Context, refreshToken string) (bool, error) {
	status, _, err := s.grant(ctx, s.clientSecret, url.Values{"grant_type": {refreshGrant}, "refresh_token": {refreshToken}})
	s.own.Presented++
	s.own.Granted += oneIf(status == http.StatusOK)
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

// grant asks the token endpoint.
func (s *subject) grant(ctx context.Context, secret string, form url.Values) (int, granted, error) {
	said, err := s.post(ctx, s.server.tokenPath, secret, form)
	return said.status, readGranted(said.body), err
}

// post asks an endpoint of the server, as the client.
func (s *subject) post(ctx context.Context, path, secret string, form url.Values) (reply, error) {
	client := clientID
	if form.Get("grant_type") == codeGrant {
		client += s.server.codeClient
	}
	if !s.server.basic {
		form.Set("client_id", client)
		form.Set("client_secret", secret)
	}
	asked, err := http.NewRequestWithContext(ctx, http.MethodPost, s.process.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		return reply{}, err
	}
	asked.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if s.server.basic {
		asked.SetBasicAuth(client, secret)
	}
	return do(asked)
}
