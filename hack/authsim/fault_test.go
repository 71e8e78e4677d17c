package authsim_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fluent-credential/operator/hack/authsim"
)

// effect is what one fault does to one refresh.
type effect struct {
	why       string
	fault     string // without its "1st: "
	broken    bool   // the client gets an error instead of a whole reply
	status    int    // 0: not a byte of a reply
	body      string // part of it
	header    string // "Name: value"
	spent     bool   // the refresh token that was presented
	outcome   authsim.Outcome
	delivered bool
}

// effectsBeforeProcessing are those of faults that strike before anything is
// done.
var effectsBeforeProcessing = map[string]effect{
	"refuse": {
		why: "an OAuth error of choice", fault: "refuse invalid_scope Not today",
		status: 400, body: `{"error":"invalid_scope","error_description":"Not today"}`, outcome: "invalid_scope", delivered: true,
	},
	"refuse by default": {
		why: "the commonest refusal is the default", fault: "refuse",
		status: 400, body: `{"error":"invalid_grant"}`, outcome: "invalid_grant", delivered: true,
	},
	"refuse the client": {
		why: "a bad client is unauthorized", fault: "refuse invalid_client",
		status: 401, body: `{"error":"invalid_client"}`, outcome: "invalid_client", delivered: true,
	},
	"drop before": {
		why: "the connection closes and nothing has happened", fault: "drop-before",
		broken: true, outcome: authsim.OutcomeUnprocessed,
	},
	"rate limited": {
		why: "429 says when to come back", fault: "rate-limited 30",
		status: 429, header: "Retry-After: 30", outcome: authsim.OutcomeUnprocessed, delivered: true,
	},
	"rate limited until a date": {
		why: "Retry-After may be a date (RFC 9110 section 10.2.3)", fault: "rate-limited Mon, 05 Jan 2026 10:05:00 GMT",
		status: 429, header: "Retry-After: Mon, 05 Jan 2026 10:05:00 GMT", outcome: authsim.OutcomeUnprocessed, delivered: true,
	},
	"rate limited without a time": {
		why: "some servers do not say", fault: "rate-limited",
		status: 429, header: "Retry-After: ", outcome: authsim.OutcomeUnprocessed, delivered: true,
	},
	"server error": {
		why: "a 5xx before anything was done", fault: "server-error 503 7",
		status: 503, header: "Retry-After: 7", outcome: authsim.OutcomeUnprocessed, delivered: true,
	},
	"html": {
		why: "a proxy before the API answers with a page", fault: "html 403",
		status: 403, body: "<h1>403 Forbidden</h1>", header: "Content-Type: text/html; charset=UTF-8", outcome: authsim.OutcomeUnprocessed, delivered: true,
	},
	"redirect": {
		why: "a client that follows would send its secrets elsewhere", fault: "redirect https://elsewhere.example/token",
		status: 307, header: "Location: https://elsewhere.example/token", outcome: authsim.OutcomeUnprocessed, delivered: true,
	},
	"redirect to a GET": {
		why: "302 makes of a POST a GET", fault: "redirect 302 /login",
		status: 302, header: "Location: /login", outcome: authsim.OutcomeUnprocessed, delivered: true,
	},
}

func TestFaultsBeforeProcessing(t *testing.T) { run(t, effectsBeforeProcessing) }

// effectsAfterProcessing are those of faults that strike when the tokens are
// issued already.
var effectsAfterProcessing = map[string]effect{
	"drop after": {
		why: "the grant happened and nobody was told", fault: "drop-after",
		broken: true, spent: true, outcome: authsim.OutcomeGranted,
	},
	"slow": {
		why: "late, but whole", fault: "slow 20ms",
		status: 200, spent: true, outcome: authsim.OutcomeGranted, delivered: true,
	},
	"server error after": {
		why: "a 5xx does not tell whether anything was done", fault: "server-error-after 502",
		status: 502, body: `{"errors":[{"code":"502","message":"Bad Gateway"}]}`, spent: true, outcome: authsim.OutcomeGranted, delivered: true,
	},
	"truncate": {
		why: "the length promises more than comes", fault: "truncate 20",
		broken: true, status: 200, body: `{"access_token":"`, spent: true, outcome: authsim.OutcomeGranted,
	},
	"truncate to nothing": {
		why: "a header is no reply", fault: "truncate",
		broken: true, status: 200, spent: true, outcome: authsim.OutcomeGranted,
	},
	"truncate nothing": {
		why: "more than there is, is all there is", fault: "truncate 100000",
		status: 200, body: `"Roles":[]}`, spent: true, outcome: authsim.OutcomeGranted, delivered: true,
	},
	"expires-in as a string": {
		why: "some servers quote the number", fault: `expires-in "3600"`,
		status: 200, body: `"expires_in":"3600","scope"`, spent: true, outcome: authsim.OutcomeGranted, delivered: true,
	},
	"expires-in negative": {
		why: "some servers cannot count", fault: "expires-in -1",
		status: 200, body: `"expires_in":-1,"scope"`, spent: true, outcome: authsim.OutcomeGranted, delivered: true,
	},
	"expires-in null": {
		why: "null is not missing", fault: "expires-in null",
		status: 200, body: `"expires_in":null,"scope"`, spent: true, outcome: authsim.OutcomeGranted, delivered: true,
	},
	"same refresh token": {
		why: "a server without rotation", fault: "same-refresh-token",
		status: 200, body: `"refresh_token":"`, spent: false, outcome: authsim.OutcomeGranted, delivered: true,
	},
	"omit refresh token": {
		why: "no new refresh token means that the old one stays (RFC 6749 section 6)", fault: "omit-refresh-token",
		status: 200, spent: false, outcome: authsim.OutcomeGranted, delivered: true,
	},
	"oversized": {
		why: "more than a careful client reads, the tokens last", fault: "oversized",
		status: 200, body: `xxx","access_token":"`, spent: true, outcome: authsim.OutcomeGranted, delivered: true,
	},
}

func TestFaultsAfterProcessing(t *testing.T) { run(t, effectsAfterProcessing) }

// run refreshes once under each fault, and looks at what the client got, at what
// the ledger says and at what became of the refresh token.
func run(t *testing.T, effects map[string]effect) {
	t.Helper()
	for name, want := range effects {
		t.Run(name, func(t *testing.T) {
			fault := parse(t, "1st: "+want.fault)
			tenant := newTenant(t, authsim.Config{Faults: []authsim.Fault{fault}})
			seed := tenant.Seed("orders", "fluent-api")
			got, err := tenant.try(refreshOf(seed))
			want.compareReply(t, got, err)
			want.compareLedger(t, tenant, fault)
			next := tenant.ask(refreshOf(seed))
			if refused := next.status == 400; refused != want.spent {
				t.Errorf("the token is spent: %t, want %t: %s", refused, want.spent, want.why)
			}
		})
	}
}

func (want effect) compareReply(t *testing.T, got reply, err error) {
	t.Helper()
	if broken := err != nil; broken != want.broken || got.status != want.status {
		t.Errorf("got status %d and error %v, want %d and an error: %t: %s", got.status, err, want.status, want.broken, want.why)
	}
	if !strings.Contains(got.body, want.body) {
		t.Errorf("got %s, want it to hold %s: %s", got.body, want.body, want.why)
	}
	if name, value, _ := strings.Cut(want.header, ": "); name != "" && got.header.Get(name) != value {
		t.Errorf("got %s %q, want %q: %s", name, got.header.Get(name), value, want.why)
	}
}

func (want effect) compareLedger(t *testing.T, tenant *tenant, fault authsim.Fault) {
	t.Helper()
	entry := tenant.last()
	if entry.Outcome != want.outcome || entry.Delivered != want.delivered || entry.Status != want.status {
		t.Errorf("the ledger has %s, delivered %t, status %d; want %s, %t, %d: %s", entry.Outcome, entry.Delivered,
			entry.Status, want.outcome, want.delivered, want.status, want.why)
	}
	if entry.Fault != fault.String() {
		t.Errorf("the ledger has the fault %q, want %q", entry.Fault, fault)
	}
	if presented := tenant.Ledger().Presentations["refresh-1"]; presented != 1 {
		t.Errorf("a presentation counts whatever happens to it; got %d", presented)
	}
}

func parse(t *testing.T, text string) authsim.Fault {
	t.Helper()
	fault, err := authsim.ParseFault(text)
	if err != nil {
		t.Fatal(err)
	}
	return fault
}

func TestWhatAClientSeesOfABrokenConnection(t *testing.T) {
	tenant := newTenant(t, authsim.Config{})
	tenant.AddFault(parse(t, "1st: drop-after"))
	if _, err := tenant.try(passwordOf("orders", "password-1")); !errors.Is(err, io.EOF) {
		t.Errorf("a dropped connection ends without a byte, got %v", err)
	}
	tenant.AddFault(parse(t, "1st: truncate 5"))
	if _, err := tenant.try(passwordOf("orders", "password-1")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a truncated reply ends before its length, got %v", err)
	}
}

func TestExpiresInLeftOut(t *testing.T) {
	tenant := newTenant(t, authsim.Config{})
	tenant.AddFault(authsim.Fault{At: 1, Kind: authsim.FaultExpiresIn})
	got := tenant.ask(passwordOf("orders", "password-1"))
	if got.status != http.StatusOK || strings.Contains(got.body, "expires_in") {
		t.Errorf("got %d %s, want a reply without expires_in", got.status, got.body)
	}
}

func TestOversizedReplyIsTooLarge(t *testing.T) {
	tenant := newTenant(t, authsim.Config{})
	tenant.AddFault(authsim.Fault{Times: 1, Kind: authsim.FaultOversized})
	got := tenant.ask(passwordOf("orders", "password-1"))
	if len(got.body) < 300<<10 || strings.Index(got.body, got.access()) < 256<<10 {
		t.Errorf("the reply has %d bytes, its access token at %d", len(got.body), strings.Index(got.body, got.access()))
	}
}

func TestLoginWithoutRotation(t *testing.T) {
	tenant := newTenant(t, authsim.Config{})
	tenant.AddFault(parse(t, "1st: same-refresh-token"))
	tenant.AddFault(parse(t, "2nd: omit-refresh-token"))
	if got := tenant.ask(passwordOf("orders", "password-1")); got.refresh() == "" {
		t.Errorf("a login has no refresh token that could stay the same; got %s", got.body)
	}
	if got := tenant.ask(passwordOf("orders", "password-1")); got.field("refresh_token") != nil {
		t.Errorf("a login is issued no refresh token; got %s", got.body)
	}
	if issued := len(tenant.Ledger().RefreshTokens); issued != 1 {
		t.Errorf("%d refresh tokens issued, want 1", issued)
	}
}

func TestARefusalByFaultIsARefusedLogin(t *testing.T) {
	tenant := newTenant(t, authsim.Config{Lockout: true})
	tenant.AddFault(parse(t, "every x5: refuse"))
	for range 5 {
		tenant.ask(passwordOf("orders", "password-1"))
	}
	if refused := tenant.Ledger().LoginsRefused; refused != 5 {
		t.Errorf("%d refused logins counted, want 5: the client was told so", refused)
	}
	if got := tenant.ask(passwordOf("orders", "password-1")); got.status != 200 {
		t.Errorf("a made-up refusal locks nobody; got %d", got.status)
	}
}

func TestSlowRequestIsProcessedThoughTheClientLeft(t *testing.T) {
	tenant := newTenant(t, authsim.Config{})
	left := tenant.watchClients()
	tenant.AddFault(parse(t, "1st: slow 1h"))
	tenant.http.Timeout = 50 * time.Millisecond
	if _, err := tenant.try(refreshOf(tenant.Seed("orders", "fluent-api"))); err == nil {
		t.Fatal("the reply came before its time")
	}
	client := <-left
	<-client.Done() // the server has noticed
	if held := tenant.last(); held.Outcome != authsim.OutcomePending || held.Delivered {
		t.Errorf("the request is held up; the ledger has it %s, delivered %t", held.Outcome, held.Delivered)
	}
	tenant.Close()
	<-left // served
	if entry := tenant.last(); entry.Outcome != authsim.OutcomeGranted || entry.Delivered {
		t.Errorf("the ledger has it %s, delivered %t; want it granted and undelivered", entry.Outcome, entry.Delivered)
	}
}

// watchClients sends the tenant's requests through a listener that reports the
// context of each as it arrives, and again once it is served. The context ends
// when the client leaves.
func (e *tenant) watchClients() <-chan context.Context {
	contexts := make(chan context.Context, 8)
	watching := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		contexts <- r.Context()
		e.ServeHTTP(w, r)
		contexts <- r.Context()
	}))
	e.t.Cleanup(watching.Close)
	e.url = watching.URL
	return contexts
}
