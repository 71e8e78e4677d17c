package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// answering is a proxy before a server that gives a token to everybody, and counts.
func answering(t *testing.T) (front *proxy, asked *int) {
	t.Helper()
	asked = new(int)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		*asked++
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"new-access","refresh_token":"new-refresh"}`)
	}))
	t.Cleanup(server.Close)
	front, err := newProxy(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = front.Close() })
	return front, asked
}

func post(t *testing.T, target, contentType, body string, basic bool) (reply string, err error) {
	t.Helper()
	asked, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	asked.Header.Set("Content-Type", contentType)
	if basic {
		asked.SetBasicAuth("client", "client-secret")
	}
	response, err := directly.Do(asked)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	return string(read), err
}

const formType = "application/x-www-form-urlencoded"

func TestTheProxyReadsEveryDialect(t *testing.T) {
	want := request{
		path: "/token", grant: refreshGrant, spends: "old", status: http.StatusOK, access: "new-access", refresh: "new-refresh",
		clientSecret: "client-secret",
	}
	basic := "Basic Y2xpZW50OmNsaWVudC1zZWNyZXQ="
	for why, test := range map[string]struct {
		query, contentType, body string
		basic                    bool
	}{
		"the standard's form":       {"", formType, "grant_type=refresh_token&refresh_token=old&client_secret=client-secret", false},
		"JSON":                      {"", "application/json", `{"grant_type":"refresh_token","refresh_token":"old","client_secret":"client-secret"}`, false},
		"parameters in the query":   {"?grant_type=refresh_token&refresh_token=old&client_secret=client-secret", "", "", false},
		"the client in HTTP Basic":  {"", formType, "grant_type=refresh_token&refresh_token=old", true},
		"some in query, some in it": {"?grant_type=refresh_token", formType, "refresh_token=old&client_secret=client-secret", false},
	} {
		t.Run(why, func(t *testing.T) {
			front, _ := answering(t)
			reply, err := post(t, front.URL+"/token"+test.query, test.contentType, test.body, test.basic)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(reply, "new-access") {
				t.Errorf("the reply is %q", reply)
			}
			want.authorization = ""
			if test.basic {
				want.authorization = basic
			}
			if diff := cmp.Diff([]request{want}, front.since(0), cmp.AllowUnexported(request{})); diff != "" {
				t.Errorf("noted (-want +got):\n%s", diff)
			}
		})
	}
}

func TestALostReplyIsLostAfterTheServerWorked(t *testing.T) {
	front, asked := answering(t)
	front.loseNext(refreshGrant)
	if _, err := post(t, front.URL+"/token", formType, "grant_type=password", false); err != nil {
		t.Errorf("a login's reply is lost, which nobody wanted: %v", err)
	}
	if _, err := post(t, front.URL+"/token", formType, "grant_type=refresh_token&refresh_token=old", false); err == nil {
		t.Error("the reply has arrived")
	}
	if _, err := post(t, front.URL+"/token", formType, "grant_type=refresh_token&refresh_token=old", false); err != nil {
		t.Errorf("the next one is lost too: %v", err)
	}
	if *asked != 3 || front.count() != 3 {
		t.Errorf("the server was asked %d times, the proxy has noted %d; want 3", *asked, front.count())
	}
}

func TestAHeldReplyComesWhenItIsReleased(t *testing.T) {
	front, _ := answering(t)
	held := front.holdNext()
	done := make(chan error, 1)
	go func() {
		_, err := post(t, front.URL+"/token", formType, "grant_type=refresh_token&refresh_token=old", false)
		done <- err
	}()
	<-held.arrived
	select {
	case err := <-done:
		t.Fatalf("the reply came before it was released: %v", err)
	default:
	}
	close(held.release)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestASecretIsFound(t *testing.T) {
	front, _ := answering(t)
	_, err := post(t, front.URL+"/token", formType, "grant_type=password&password=the-password&client_secret=the-client-secret", false)
	if err != nil {
		t.Fatal(err)
	}
	for text, found := range map[string]bool{
		"nothing to see": false, "x the-password x": true, "the-client-secret": true, "token new-access": true, "new-refresh": true,
	} {
		if err := front.seenIn("a text", []byte(text)); (err != nil) != found {
			t.Errorf("%q: %v", text, err)
		}
		if err := front.seenIn("a text", []byte(text)); err != nil && strings.Contains(err.Error(), "new-") {
			t.Errorf("the finding tells it: %v", err)
		}
	}
}

func TestTally(t *testing.T) {
	granted := func(r request) request { r.status, r.access = http.StatusOK, "an-access-token"; return r }
	requests := []request{
		granted(request{grant: refreshGrant, spends: "before"}),
		{grant: passwordGrant, status: http.StatusBadRequest, failure: "invalid_grant"},
		{grant: passwordGrant, status: http.StatusUnauthorized, failure: "invalid_client"},
		granted(request{grant: passwordGrant}),
		granted(request{grant: refreshGrant, spends: "a"}),
		granted(request{grant: refreshGrant, spends: "b"}),
		{grant: refreshGrant, spends: "a", status: http.StatusBadRequest, failure: "invalid_grant"},
		{grant: refreshGrant, spends: "c", status: http.StatusUnauthorized, failure: "invalid_client"},
		granted(request{grant: refreshGrant, spends: "c"}),
		{grant: refreshGrant, spends: "before", status: http.StatusBadRequest, failure: "invalid_grant"},
		granted(request{grant: codeGrant, spends: "d"}),
		{path: "/revoke", revokes: "a", status: http.StatusOK},
	}
	want := tally{
		logins: 2, refusedLogins: 1, refreshes: 5, refusedRefreshes: 2, codes: 1, reuses: 2, unknownClients: 2, revocations: 1, most: 2,
	}
	if got := tallyOf(requests, 1); got != want {
		t.Errorf("tally is %+v, want %+v", got, want)
	}
	counted := counts{Granted: 5, Presented: 5, Codes: 1, Reused: 2, RefusedLogins: 1, RefusedClients: 2, Revoked: 1}
	if got := want.counts(); got != counted {
		t.Errorf("the server has to count %+v, want %+v", got, counted)
	}
}

// Each thing that a server can count, and each that the proxy can see, turns a scenario red by itself.
func TestWhatIsNotPermittedIsRed(t *testing.T) {
	permits := tally{logins: 2, refusedLogins: 1, refreshes: 3, refusedRefreshes: 1, codes: 1, reuses: 1, most: 2}
	if err := judged(permits, permits, permits.counts()); err != nil {
		t.Fatalf("what is permitted is red: %v", err)
	}
	for why, more := range map[string]counts{
		"a grant that nobody asked for": {Granted: 1}, "a token presented once more": {Presented: 1}, "a code presented once more": {Codes: 1},
		"a token used again": {Reused: 1}, "a login refused": {RefusedLogins: 1}, "a client refused": {RefusedClients: 1},
		"a token revoked": {Revoked: 1}, "a grant that never was": {Granted: -1}, "a presentation that never was": {Presented: -1},
	} {
		if err := judged(permits, permits, permits.counts().plus(more)); err == nil {
			t.Errorf("the server says %s, and the scenario is green", why)
		}
	}
	for why, more := range map[string]tally{
		"a login": {logins: 1}, "a refusal of one": {refusedLogins: 1}, "a refresh": {refreshes: 1}, "a refusal of one ": {refusedRefreshes: 1},
		"a code": {codes: 1}, "a refused code": {refusedCodes: 1}, "a reuse": {reuses: 1}, "a wrong client": {unknownClients: 1},
		"a revocation": {revocations: 1}, "a third presentation": {most: 3},
	} {
		if err := judged(permits, permits.plus(more), permits.counts()); err == nil {
			t.Errorf("the proxy has seen %s more, and the scenario is green", why)
		}
	}
}

func TestAMutationIsTheServersToFind(t *testing.T) {
	front, asked := answering(t)
	front.mutate(mutation{repeats: isGrant(refreshGrant), swallows: isGrant(codeGrant)})
	for _, body := range []string{"grant_type=refresh_token&refresh_token=a", "grant_type=password", "grant_type=authorization_code&code=b"} {
		if _, err := post(t, front.URL+"/token", formType, body, false); err != nil {
			t.Fatal(err)
		}
	}
	if *asked != 3 || front.count() != 3 {
		t.Errorf("the server was asked %d times, want 3 (2, 1, 0); the proxy tells of %d, want 3", *asked, front.count())
	}
}

// A scenario that no mutant is for could be green whatever happens.
func TestMutantsNameScenarios(t *testing.T) {
	for _, mutant := range mutants {
		for _, name := range mutant.scenarios {
			if _, err := pick("scenario", name, scenarios, scenario.called); err != nil {
				t.Errorf("%s: %v", mutant.name, err)
			}
		}
	}
}
