package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/fluent-credential/operator/hack/authsim"
)

// newServer is a stage without a control plane: a token server with one user, and the proxy before it.
func newServer(t *testing.T) *stage {
	t.Helper()
	s := &stage{counts: map[string]int{}}
	s.watch = newPublications(nil, "none")
	if err := s.openServer(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.clear(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// ask sends one request as the operator does, each on a connection of its own.
func ask(t *testing.T, s *stage, form url.Values) (status int, body string, err error) {
	t.Helper()
	form.Set("client_id", clientID)
	form.Set("client_secret", clientSecret)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	response, err := client.PostForm(s.tokens.url()+"/oauth/token", form)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	return response.StatusCode, string(read), err
}

func login() url.Values {
	return url.Values{"grant_type": {authsim.GrantPassword}, "username": {userName(0)}, "password": {password}}
}

func refresh(token string) url.Values {
	return url.Values{"grant_type": {authsim.GrantRefreshToken}, "refresh_token": {token}}
}

func newest(s *stage) string {
	tokens := s.sim.Ledger().RefreshTokens
	return tokens[len(tokens)-1].Value
}

func TestTokenProxyIsTransparent(t *testing.T) {
	s := newServer(t)
	if status, body, err := ask(t, s, login()); err != nil || status != http.StatusOK || !strings.Contains(body, newest(s)) {
		t.Fatalf("HTTP %d, %v: %s", status, err, body)
	}
	spent := newest(s)
	if status, _, err := ask(t, s, refresh(spent)); err != nil || status != http.StatusOK {
		t.Fatalf("HTTP %d, %v", status, err)
	}
	sent := s.tokens.sendings()
	if len(sent) != 2 || sent[0].user != userName(0) || sent[1].spends != spent || sent[1].forwarded != 1 {
		t.Errorf("the proxy's account is %+v", sent)
	}
}

// TestFates: what the client sees and what the server got, for each thing that a proxy can do to a refresh.
func TestFates(t *testing.T) {
	for why, test := range map[string]struct {
		at        point
		fate      fate
		status    int // 0: no whole reply
		granted   int // refreshes that the server granted
		reuses    int
		presented int
	}{
		"let go":                        {at: arrived, status: 200, granted: 1},
		"cut before it is read":         {at: accepted, fate: fate{cut: true, reset: true}},
		"cut before it is forwarded":    {at: arrived, fate: fate{cut: true}},
		"the reply cut":                 {at: answered, fate: fate{cut: true}, granted: 1},
		"the reply cut in its middle":   {at: answered, fate: fate{cut: true, keep: 250}, granted: 1},
		"the reply reset":               {at: answered, fate: fate{cut: true, reset: true}, granted: 1},
		"the reply cut after its end":   {at: answered, fate: fate{cut: true, keep: 1 << 20}, status: 200, granted: 1},
		"the reply replaced":            {at: answered, fate: fate{instead: []byte(badGateway)}, status: 502, granted: 1},
		"delivered twice, first reply":  {at: arrived, fate: fate{twice: true}, status: 200, granted: 1, reuses: 1},
		"delivered twice, second reply": {at: arrived, fate: fate{twice: true, second: true}, status: 400, granted: 1, reuses: 1},
	} {
		t.Run(why, func(t *testing.T) {
			s := newServer(t)
			if _, _, err := ask(t, s, login()); err != nil {
				t.Fatal(err)
			}
			s.tokens.add(test.at, 1, anything, func(*passage) fate { return test.fate })
			status, _, err := ask(t, s, refresh(newest(s)))
			if (err == nil) != (test.status != 0) || err == nil && status != test.status {
				t.Errorf("HTTP %d, %v; want %d", status, err, test.status)
			}
			ledger := s.sim.Ledger()
			if ledger.RefreshGrants != test.granted || ledger.Reuses != test.reuses {
				t.Errorf("%d granted, %d reuses; want %d and %d", ledger.RefreshGrants, ledger.Reuses, test.granted, test.reuses)
			}
			if counted := len(s.tokens.sendings()); counted != 2 {
				t.Errorf("the proxy counted %d requests, want both: they left the client", counted)
			}
		})
	}
}

func TestHeldReply(t *testing.T) {
	s := newServer(t)
	trap := s.tokens.hold(answered, 1, anything)
	type result struct {
		status int
		err    error
	}
	results := make(chan result, 1)
	go func() {
		status, _, err := ask(t, s, login())
		results <- result{status, err}
	}()
	caught, err := trap.wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(caught.reply), "HTTP/1.1 200") || caught.grant != authsim.GrantPassword {
		t.Errorf("caught %q of a %s request", caught.reply, caught.grant)
	}
	caught.partly(40)
	select {
	case got := <-results:
		t.Fatalf("a part of the reply made %+v", got)
	default:
	}
	trap.let(fate{})
	if got := <-results; got.err != nil || got.status != http.StatusOK {
		t.Errorf("after it was let go: %+v", got)
	}
	if status, _, err := ask(t, s, login()); err != nil || status != http.StatusOK {
		t.Errorf("the next request: HTTP %d, %v", status, err)
	}
}

func TestShutGate(t *testing.T) {
	s := newServer(t)
	trap := s.tokens.hold(arrived, 1, anything)
	broken := make(chan error, 1)
	go func() { _, _, err := ask(t, s, login()); broken <- err }()
	if _, err := trap.wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.tokens.shut()
	if err := <-broken; err == nil {
		t.Error("a connection outlived the gate")
	}
	trap.release()
	if _, _, err := ask(t, s, login()); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("a shut gate says %v", err)
	}
	if err := errors.Join(s.tokens.reopen(), s.tokens.reopen()); err != nil {
		t.Fatal(err)
	}
	if status, _, err := ask(t, s, login()); err != nil || status != http.StatusOK {
		t.Errorf("opened again: HTTP %d, %v", status, err)
	}
}

// newAPI is a proxy before a server that stands for the Kubernetes API, and a client of it.
func newAPI(t *testing.T, handler http.HandlerFunc) (*apiProxy, *http.Client) {
	t.Helper()
	upstream := httptest.NewTLSServer(handler)
	t.Cleanup(upstream.Close)
	identity, err := newIdentity()
	if err != nil {
		t.Fatal(err)
	}
	config := &rest.Config{Host: upstream.URL, BearerToken: "operator", TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
	proxy, err := newAPIProxy(config, identity)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.shut)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(identity.pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return proxy, &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

func TestAPIProxyIsTheOperatorsUser(t *testing.T) {
	proxy, client := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.URL.Path, body, r.Header.Get("Authorization"))
	})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, proxy.url()+"/api", strings.NewReader("text"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer somebody-else")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if want := "PUT /api text Bearer operator"; string(body) != want || response.ProtoMajor != 2 {
		t.Errorf("HTTP/%d: %s, want %s by HTTP/2", response.ProtoMajor, body, want)
	}
}

func TestAPIProxyLosesAnswers(t *testing.T) {
	for why, test := range map[string]struct {
		at   point
		made int64
	}{
		"the request": {arrived, 0},
		"the answer":  {answered, 1},
	} {
		var made atomic.Int64
		proxy, client := newAPI(t, func(http.ResponseWriter, *http.Request) { made.Add(1) })
		proxy.add(test.at, -1, anything, func(*passage) fate { return fate{cut: true} })
		request, err := http.NewRequestWithContext(context.Background(), http.MethodPatch, proxy.url(), strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		if response, err := client.Do(request); err == nil {
			_ = response.Body.Close()
			t.Errorf("%s was lost, and HTTP %d came back", why, response.StatusCode)
		}
		if made.Load() != test.made {
			t.Errorf("%s was lost: the server got %d requests, want %d", why, made.Load(), test.made)
		}
	}
}

func TestWritesOfARotation(t *testing.T) {
	state := func(claim string) string { return stateMark + `{"salt":"x",` + claim + `"serial":1}` }
	for why, test := range map[string]struct {
		method, path, body string
		is                 func(*passage) bool
	}{
		"a claim":                 {"PUT", "/api/v1/namespaces/n/secrets/a-fluent-state", state(`"claim":{"id":"1"},`), isClaim},
		"a first claim":           {"POST", "/api/v1/namespaces/n/secrets", state(`"claim":{"id":"1"},`), isClaim},
		"a commit":                {"PUT", "/api/v1/namespaces/n/secrets/a-fluent-state", state(""), isCommit},
		"a publication":           {"PATCH", "/api/v1/namespaces/n/secrets/a-token", `{"data":{}}`, isPublication},
		"a first publication":     {"POST", "/api/v1/namespaces/n/secrets", `{"data":{"access_token":""}}`, isPublication},
		"a status":                {"PATCH", "/apis/x/fluentcredentials/a/status", `{}`, isStatus},
		"a login guard is none":   {"PUT", "/api/v1/namespaces/n/secrets/guard", `{"salt":"x"}`, nil},
		"reading a state is none": {"GET", "/api/v1/namespaces/n/secrets/a-fluent-state", "", nil},
	} {
		p := &passage{method: test.method, path: test.path, body: []byte(test.body)}
		for name, is := range map[string]func(*passage) bool{"claim": isClaim, "commit": isCommit, "publication": isPublication, "status": isStatus} {
			want := test.is != nil && fmt.Sprintf("%p", is) == fmt.Sprintf("%p", test.is)
			if is(p) != want {
				t.Errorf("%s is taken for a %s: %t", why, name, is(p))
			}
		}
	}
}
