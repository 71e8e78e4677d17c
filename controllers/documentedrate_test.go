package controllers

import (
	"fmt"
	"testing"
	"time"

	"github.com/fluent-credential/operator/hack/authsim"
)

// documentedPace is the time between two requests to Commerce Layer.
const documentedPace = 2 * time.Second

// TestDocumentedRateIsKeptTo: forty credentials are created at one moment at an API that takes thirty requests a minute. Nobody set
// a flag, and none of them is turned away.
func TestDocumentedRateIsKeptTo(t *testing.T) {
	t.Parallel()
	const count = 40
	first := newSpeaking(t, apis["commerceLayer"], manyUsers(count, func(*authsim.Config) {}), nil)
	f := &fleet{Reconciler: first.Reconciler, clock: first.clock, server: first.server, creds: []*driven{first}, calls: map[*driven]time.Time{}}
	for i := range count - 1 {
		name := fmt.Sprintf("orders-%d", i)
		login, cred := loginSecret(first.cred.Namespace, name+"-login"), credential(first.cred.Namespace, name, first.server)
		login.StringData["username"] = fmt.Sprintf("%s-%d", user, i)
		commerceLayer(cred)
		cred.Spec.CredentialsSecretRef.Name = login.Name
		create(t, login)
		create(t, cred)
		f.creds = append(f.creds, &driven{Reconciler: first.Reconciler, t: t, clock: first.clock, server: first.server, cred: cred})
	}
	for f.server.Ledger().PasswordGrants < count && f.clock.Now().Before(start.Add(5*time.Minute)) {
		d := f.next()
		if at := f.calls[d]; at.After(f.clock.Now()) {
			f.clock.SetTime(at)
		}
		f.call(d)
	}
	ledger := f.server.Ledger()
	if ledger.PasswordGrants != count || len(ledger.TokenRequests) != count {
		t.Errorf("%d of %d have a token after %s and %d requests; want each to ask once", ledger.PasswordGrants, count,
			f.clock.Now().Sub(start), len(ledger.TokenRequests))
	}
	if took := f.clock.Now().Sub(start); took > count*documentedPace {
		t.Errorf("it took %s, and thirty a minute are one every two seconds", took)
	}
}
