package controllers

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	testclock "k8s.io/utils/clock/testing"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// sharer gives whoever asks it the client's one token, until 15 minutes before its end, as Commerce Layer does: another program may
// have asked for it first.
type sharer struct {
	clock    *testclock.FakePassiveClock
	left     bool          // expires_in is what is left of the token, not its whole life
	skew     time.Duration // of the server's clock
	age      time.Duration // of the token that the first reply brings
	born     time.Time     // of the newest token
	serial   int
	requests int
}

const sharedLife = 2 * time.Hour

func (s *sharer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.requests++
	now := s.clock.Now()
	if now.Sub(s.born) > sharedLife-15*time.Minute {
		s.born, s.serial = now, s.serial+1
	}
	expiresIn := sharedLife
	if s.left {
		expiresIn -= now.Sub(s.born)
	}
	w.Header().Set("Date", now.Add(s.skew).UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"access_token":"shared-%d","token_type":"bearer","expires_in":%d,"created_at":%d}`,
		s.serial, int(expiresIn.Seconds()), s.born.Add(s.skew).Unix())
}

// mustTellTheTruth: a token that is told to be good is good, and one that is good is told to be.
func (s *sharer) mustTellTheTruth(d *driven, when string) {
	d.t.Helper()
	status := d.status()
	told, ends := status.Token.ExpirationTime.Time, s.born.Add(sharedLife)
	if d.access() == fmt.Sprintf("shared-%d", s.serial) && told.After(ends) {
		d.t.Fatalf("%s: the token is told to end %s too late", when, told.Sub(ends))
	}
	if ready := d.says(v1alpha1.ConditionReady); !strings.HasPrefix(ready, "True TokenPublished") {
		d.t.Fatalf("%s: Ready says %q, and the token is good for another %s", when, ready, ends.Sub(d.clock.Now()))
	}
}

// TestTokenThatOthersHaveToo: the first reply brings a token that has lived for a while. Whether expires_in is its whole life or what is left, and
// however wrong the server's clock is, no token is published as good that is not, and none is taken for expired that is good.
func TestTokenThatOthersHaveToo(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]*sharer{
		"its whole life":                     {age: 100 * time.Minute},
		"its whole life, of which much":      {age: 40 * time.Minute},
		"its whole life, by another clock":   {age: 40 * time.Minute, skew: -26 * time.Hour},
		"its whole life, some minutes ahead": {age: 100 * time.Minute, skew: 7 * time.Minute},
		"what is left":                       {left: true, age: 100 * time.Minute},
		"what is left, and much":             {left: true, age: 40 * time.Minute},
		"what is left, by another clock":     {left: true, age: 40 * time.Minute, skew: 26 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDrivenWith(t, nil, withoutUser, commerceLayer)
			server.clock, server.serial, server.born = d.clock, 1, d.clock.Now().Add(-server.age)
			front := httptest.NewServer(server)
			t.Cleanup(front.Close)
			d.change(func(cred *v1alpha1.FluentCredential) {
				cred.Spec.Provider.CommerceLayer.BaseURL, cred.Spec.Scope = v1alpha1.BaseURL(front.URL), ""
			})
			d.settle()
			server.mustTellTheTruth(d, "at first")
			d.sleep(documentedPace)
			d.change(func(cred *v1alpha1.FluentCredential) {
				cred.Annotations = map[string]string{v1alpha1.RotateAnnotation: "the same token comes again"}
			})
			d.settle()
			server.mustTellTheTruth(d, "given again")
			for range 12 {
				wait := d.settle()
				d.sleep(wait - time.Millisecond)
				server.mustTellTheTruth(d, "before it is due")
				d.sleep(time.Millisecond)
				d.settle()
				server.mustTellTheTruth(d, "renewed")
			}
			if most := 2 * (server.serial + 2); server.requests > most {
				t.Errorf("%d requests for %d tokens, want %d at most", server.requests, server.serial, most)
			}
		})
	}
}
