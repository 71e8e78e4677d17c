package authsim_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fluent-credential/operator/hack/authsim"
)

var start = time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)

// drivenClock stands still until a test moves it.
type drivenClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *drivenClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *drivenClock) Advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}

// tenant is a simulated server behind a real listener, and a client of it.
type tenant struct {
	*authsim.Server
	t     *testing.T
	url   string
	clock *drivenClock
	http  *http.Client
}

// newTenant fills in a clock, a client and users where the config has none.
func newTenant(t *testing.T, config authsim.Config) *tenant {
	t.Helper()
	clock := &drivenClock{now: start}
	config.Clock = clock.Now
	if config.Clients == nil {
		config.Clients = []authsim.Client{
			{ID: "fluent-api", Secret: "client-secret-1", Scope: "api"},
			{ID: "FLUENT_INTEGRATION", Scope: "retailer", AccessTokenLifetime: 30 * time.Minute},
		}
	}
	if config.Users == nil {
		config.Users = []authsim.User{
			{Username: "orders", Password: "password-1", RetailerID: 1, FirstName: "Fluent", LastName: "Commerce"},
			{Username: "stock", Password: "password-2", RetailerID: 5, Roles: []string{"RETAILER"}},
			{Username: "sso", Password: "password-3", SSO: true},
		}
	}
	sim := authsim.New(config)
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	t.Cleanup(sim.Close)
	transport := &http.Transport{DisableKeepAlives: true}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	return &tenant{Server: sim, t: t, url: server.URL, clock: clock, http: client}
}

// reply is what a client got.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) field(name string) any {
	fields := map[string]any{}
	if json.Unmarshal([]byte(r.body), &fields) != nil {
		return nil
	}
	return fields[name]
}

func (r reply) access() string  { return text(r.field("access_token")) }
func (r reply) refresh() string { return text(r.field("refresh_token")) }

func text(field any) string {
	value, _ := field.(string)
	return value
}

func (e *tenant) do(request *http.Request) (reply, error) {
	response, err := e.http.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, string(body)}, err
}

func (e *tenant) request(method, path, body string) *http.Request {
	e.t.Helper()
	request, err := http.NewRequest(method, e.url+path, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	return request
}

// try sends a token request as a form and may fail.
func (e *tenant) try(parameters url.Values) (reply, error) {
	request := e.request(http.MethodPost, "/oauth/token", parameters.Encode())
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return e.do(request)
}

// ask sends a token request that must be answered.
func (e *tenant) ask(parameters url.Values) reply {
	e.t.Helper()
	answered, err := e.try(parameters)
	if err != nil {
		e.t.Fatal(err)
	}
	return answered
}

// call sends any request that must be answered.
func (e *tenant) call(method, path, body string) reply {
	e.t.Helper()
	answered, err := e.do(e.request(method, path, body))
	if err != nil {
		e.t.Fatal(err)
	}
	return answered
}

func (e *tenant) ping(accessToken string) int {
	e.t.Helper()
	request := e.request(http.MethodGet, "/api/ping", "")
	request.Header.Set("Authorization", "Bearer "+accessToken)
	answered, err := e.do(request)
	if err != nil {
		e.t.Fatal(err)
	}
	return answered.status
}

// parameters builds a request of fluent-api from name, value, name, value, …;
// an empty value removes the parameter.
func parameters(pairs ...string) url.Values {
	values := url.Values{"client_id": {"fluent-api"}, "client_secret": {"client-secret-1"}, "scope": {"api"}}
	for n := 0; n < len(pairs); n += 2 {
		values.Set(pairs[n], pairs[n+1])
		if pairs[n+1] == "" {
			values.Del(pairs[n])
		}
	}
	return values
}

func passwordOf(username, password string, more ...string) url.Values {
	pairs := append([]string{"grant_type", "password", "username", username, "password", password}, more...)
	return parameters(pairs...)
}

func refreshOf(token string, more ...string) url.Values {
	return parameters(append([]string{"grant_type", "refresh_token", "refresh_token", token}, more...)...)
}

// last is the newest entry of the ledger.
func (e *tenant) last() authsim.TokenRequest {
	e.t.Helper()
	entries := e.Ledger().TokenRequests
	if len(entries) == 0 {
		e.t.Fatal("the ledger has no token requests")
	}
	return entries[len(entries)-1]
}
