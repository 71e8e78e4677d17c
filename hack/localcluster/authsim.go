package localcluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/fluent-credential/operator/hack/authsim"
)

// Authsim is a simulated authorization server at work.
type Authsim struct{ *Server }

// StartAuthsim starts a simulated authorization server and waits until it serves. The name is for messages and the log.
func (c *Cluster) StartAuthsim(name string, args ...string) (*Authsim, error) {
	binary, err := Binary("authsim")
	if err != nil {
		return nil, err
	}
	server, err := c.StartServer(ServerProgram{Name: name, Path: binary, Args: args})
	if err != nil {
		return nil, err
	}
	return &Authsim{Server: server}, nil
}

// Ledger is everything that the server was asked and everything it gave.
func (a *Authsim) Ledger(ctx context.Context) (authsim.Ledger, error) {
	var ledger authsim.Ledger
	status, body, err := get(ctx, a.URL+"/ledger", "")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("HTTP %d", status)
	}
	if err == nil {
		err = json.Unmarshal(body, &ledger)
	}
	if err != nil {
		return ledger, fmt.Errorf("the ledger of %s: %w", a.Name, err)
	}
	return ledger, nil
}

// Ping presents an access token to the endpoint that the server protects, and returns the HTTP status.
func (a *Authsim) Ping(ctx context.Context, accessToken string) (int, error) {
	status, _, err := get(ctx, a.URL+"/api/ping", "Bearer "+accessToken)
	return status, err
}

// Seed returns a new refresh token, as a person who authorized would hold.
func (a *Authsim) Seed(ctx context.Context, user, client string) (string, error) {
	target := a.URL + "/users/" + url.PathEscape(user) + "/refresh-token?client=" + url.QueryEscape(client)
	status, body, err := exchange(ctx, http.MethodPost, target, "")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("HTTP %d", status)
	}
	return string(body), err
}
