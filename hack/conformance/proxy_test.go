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

const form = "application/x-www-form-urlencoded"

func TestTheProxyReadsEveryDialect(t *testing.T) {
	want := request{
		path: "/token", grant: refreshGrant, spends: "old", status: http.StatusOK, access: "new-access", refresh: "new-refresh",
		clientSecret: "client-secret",
	}
	for why, test := range map[string]struct {
		query, contentType, body string
		basic                    bool
	}{
		"the standard's form":       {"", form, "grant_type=refresh_token&refresh_token=old&client_secret=client-secret", false},
		"JSON":                      {"", "application/json", `{"grant_type":"refresh_token","refresh_token":"old","client_secret":"client-secret"}`, false},
		"parameters in the query":   {"?grant_type=refresh_token&refresh_token=old&client_secret=client-secret", "", "", false},
		"the client in HTTP Basic":  {"", form, "grant_type=refresh_token&refresh_token=old", true},
		"some in query, some in it": {"?grant_type=refresh_token", form, "refresh_token=old&client_secret=client-secret", false},
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
			if diff := cmp.Diff([]request{want}, front.since(0), cmp.AllowUnexported(request{})); diff != "" {
				t.Errorf("noted (-want +got):\n%s", diff)
			}
		})
	}
}

func TestALostReplyIsLostAfterTheServerWorked(t *testing.T) {
	front, asked := answering(t)
	front.loseNext(refreshGrant)
	if _, err := post(t, front.URL+"/token", form, "grant_type=password", false); err != nil {
		t.Errorf("a login's reply is lost, which nobody wanted: %v", err)
	}
	if _, err := post(t, front.URL+"/token", form, "grant_type=refresh_token&refresh_token=old", false); err == nil {
		t.Error("the reply has arrived")
	}
	if _, err := post(t, front.URL+"/token", form, "grant_type=refresh_token&refresh_token=old", false); err != nil {
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
		_, err := post(t, front.URL+"/token", form, "grant_type=refresh_token&refresh_token=old", false)
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
	_, err := post(t, front.URL+"/token", form, "grant_type=password&password=the-password&client_secret=the-client-secret", false)
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
	got := tallyOf([]request{
		{grant: passwordGrant, status: http.StatusBadRequest},
		{grant: passwordGrant, status: http.StatusOK},
		{grant: refreshGrant, spends: "a"}, {grant: refreshGrant, spends: "b"}, {grant: refreshGrant, spends: "a"},
		{grant: codeGrant, spends: "c"}, {path: "/revoke", spends: "a"},
	})
	want := tally{logins: 2, refusedLogins: 1, refreshes: 3, codes: 1, most: 2}
	if got != want {
		t.Errorf("tally is %+v, want %+v", got, want)
	}
}
