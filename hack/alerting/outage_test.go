package alerting

import (
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/localcluster"
)

func TestMain(m *testing.M) {
	localcluster.Tether()
	os.Exit(m.Run())
}

// TestAlertsFireAndResolve stages everything that can go wrong, with the real operator and a real Prometheus, and puts it right again.
func TestAlertsFireAndResolve(t *testing.T) {
	if *prometheus == "" {
		t.Skip("no -prometheus: \"make alerts-e2e\" runs it")
	}
	s := newStage(t)
	healthy, lossy := s.startServer("healthy", "20s"), s.startServer("lossy", "20s", "--fault=1st refresh_token: drop-after")
	lasting, locking := s.startServer("lasting", "1h"), s.startServer("locking", "20s", "--sso", "--lockout")
	address := freeAddress(t)
	dying := s.startServer("dying", "20s", "--listen="+address)

	s.apply("orders", "one", password, fluent(healthy))
	s.apply("stock", "two", password, fluent(healthy))
	s.apply("lost", "one", password, fluent(lossy))
	s.apply("paused", "one", password, fluent(lasting))
	dead := v1alpha1.ProviderSpec{OAuth2: &v1alpha1.OAuth2Provider{TokenURL: v1alpha1.TokenURL(dying.URL + "/oauth/token")}}
	doomed := map[string]string{"carts": "one", "parcels": "two", "refunds": "three"}
	for name, user := range doomed {
		s.apply(name, user, password, dead)
	}
	s.apply("gone", "five", password, fluent(healthy))
	s.kubectl("patch", "fcred", "orders", "--type=merge", "-p", `{"spec":{"allowedNamespaces":{"names":["`+consumer+`"]}}}`)
	s.consume("orders")
	s.kubectl("wait", "--for=condition=Ready", "--timeout=120s", "fcred", "--all")
	s.awaitSilence()
	s.letGo("gone")
	s.turn("trouble begins")

	s.kubectl("patch", "fcred", "orders", "--type=merge", "-p", `{"spec":{"allowedNamespaces":null}}`)
	s.kubectl("patch", "fcred", "paused", "--type=merge", "-p", `{"spec":{"suspend":true}}`)
	s.apply("mistyped", "three", "a-wrong-password", fluent(healthy))
	for range 5 {
		logInWrongly(t, locking.URL, "one") // somebody else's client
	}
	s.apply("locked", "one", password, fluent(locking))
	s.kubectl("create", "secret", "generic", "foreign-token", "--from-literal=made-by=somebody-else")
	s.apply("foreign", "four", password, fluent(healthy))
	s.awaitRest(slices.Collect(maps.Keys(doomed))...)
	if err := dying.Stop(); err != nil {
		t.Fatal(err)
	}
	for alert, about := range map[string]string{
		"FluentCredentialExpiresSoon": "shop/paused", "FluentCredentialStalled": "shop/foreign", "FluentCredentialInputRequired": "shop/mistyped",
		"FluentCredentialNotReady": "shop/mistyped", "FluentCredentialLoginLocked": "shop/locked", "FluentCredentialReplyLost": "shop/lost",
		"FluentCredentialRefreshFailing": "shop/carts", "FluentCredentialProviderFailing": "oauth2", "FluentCredentialExpired": "shop/carts",
		"FluentTokenNotReady": consumer + "/orders",
	} {
		s.awaitFiring(alert, about)
	}
	s.mustBeQuietAbout("shop/orders", "shop/stock")
	s.record()
	s.queryDashboards()

	s.turn("journal gone")
	journal := filepath.Join(s.cluster.Dir, "journal")
	if err := os.Rename(journal, journal+".gone"); err != nil {
		t.Fatal(err)
	}
	s.awaitFiring("FluentCredentialJournalUnwritable", s.metrics)
	if err := os.Rename(journal+".gone", journal); err != nil {
		t.Fatal(err)
	}

	s.turn("put right")
	s.kubectl("patch", "fcred", "orders", "--type=merge", "-p", `{"spec":{"allowedNamespaces":{"names":["`+consumer+`"]}}}`)
	s.kubectl("patch", "fcred", "paused", "--type=merge", "-p", `{"spec":{"suspend":false}}`)
	s.login("mistyped", v1alpha1.PasswordKey, password)
	s.login("locked", v1alpha1.UsernameKey, "two")
	s.kubectl("delete", "secret", "foreign-token")
	s.startServer("revived", "20s", "--listen="+address)
	s.awaitSilence()
	s.kubectl("wait", "--for=condition=Ready", "--timeout=120s", "fcred", "--all")

	s.turn("operator stopped")
	s.stopOperator()
	s.awaitFiring("FluentCredentialOperatorAbsent", "")
	s.turn("started")
	s.startOperator()
	s.awaitSilence()
	s.mustAllHaveFired()
	s.plot()
}

// mustAllHaveFired holds that there is no alert that nothing here sets off.
func (s *stage) mustAllHaveFired() {
	s.t.Helper()
	fired := map[string]bool{}
	for _, one := range since(s.t, s.prometheus, `max by (alertname) (ALERTS{alertstate="firing"})`, s.began) {
		fired[one.Labels["alertname"]] = true
	}
	for _, alert := range readRules(s.t).alerts() {
		if !fired[alert.Alert] {
			s.t.Errorf("%s has not fired: stage what it is there for", alert.Alert)
		}
	}
}

// letGo deletes a credential: its series go with it.
func (s *stage) letGo(name string) {
	s.t.Helper()
	of := func() int { return len(now(s.t, s.prometheus, `{__name__=~"fluent_credential_.*", name="`+name+`"}`)) }
	s.await(name+" has series", func() (bool, any) { count := of(); return count > 5, count })
	s.kubectl("delete", "fcred", name)
	s.await(name+" has none any more", func() (bool, any) { count := of(); return count == 0, count })
}

// logInWrongly is what a client does that has an old password.
func logInWrongly(t *testing.T, at, user string) {
	t.Helper()
	response, err := http.PostForm(at+"/oauth/token", url.Values{
		"grant_type": {"password"}, "username": {user}, "password": {"an-old-password"}, "client_id": {"fluent"}, "client_secret": {clientSecret},
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
}

// mustBeQuietAbout holds that nobody is told of what is well.
func (s *stage) mustBeQuietAbout(names ...string) {
	s.t.Helper()
	for alert, about := range firing(s.t, s.prometheus) {
		for _, whom := range about {
			if slices.Contains(names, whom) {
				s.t.Errorf("%s fires about %s, which is well", alert, whom)
			}
		}
	}
}
