package controllers

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/redact"
)

// badEndpoint is one way in which a token endpoint misbehaves: at the first login, and when a refresh token is spent.
type badEndpoint struct {
	manners
	slow bool // it is not waited for
	long bool // it is asked again after the token has expired

	then    ending
	reason  string // of a login's failure; a refresh token whose reply cannot be used is ReplyLost
	says    string
	stalled bool
	why     string
}

// ending is what becomes of the refresh token.
type ending string

const (
	used    ending = "used"    // the reply is good enough
	intact  ending = "intact"  // it is as good as before, and presented when the endpoint behaves
	doubted ending = "doubted" // it may be spent, so it is not presented again, and the login starts a new family
)

// TestBadEndpoints lets the endpoint misbehave at the first login, behave, misbehave at the refresh and behave again. Every failure
// is told in clear words that hold no secret, and costs one request; after it nothing is lost, and the chain goes on.
func TestBadEndpoints(t *testing.T) {
	t.Parallel()
	for name, bad := range badReplies() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newBeset(t).suffers(bad)
		})
	}
}

func (b *beset) suffers(bad badEndpoint) {
	b.t.Helper()
	requests := 3
	b.endures(bad, bad.reason, 1)
	if bad.then != used {
		b.recovers(bad, "password", 1)
		b.sleep(b.settle())
		requests += 2
	}
	refreshed := bad.reason
	if bad.then == doubted && !bad.stalled && bad.reason != v1alpha1.ReasonEndpointNotAllowed {
		refreshed = v1alpha1.ReasonReplyLost
	}
	b.endures(bad, refreshed, 2)
	if bad.then != used {
		b.recovers(bad, map[ending]string{intact: "refresh_token", doubted: "password"}[bad.then], 2)
		b.sleep(b.settle())
	}
	b.settle()
	b.mustHave(bad, "refresh_token", 3)
	b.mustHaveCost(bad, requests)
}

// endures lets the endpoint misbehave once. The token that it gives all the same is the one with the serial.
func (b *beset) endures(bad badEndpoint, reason string, serial int64) {
	b.t.Helper()
	if bad.slow {
		b.Dialer.ReplyTimeout = 2 * time.Second
	}
	b.rogue.manners.Store(&bad.manners)
	wait := b.settle()
	b.rogue.manners.Store(nil)
	b.Dialer.ReplyTimeout = 0
	if bad.then != used && wait > time.Hour {
		b.t.Errorf("the next try is in %s: nobody makes it wait for longer than an hour (%s)", wait, bad.why)
	}
	if bad.then == used {
		b.mustHave(bad, "", serial)
	} else {
		b.mustTell(bad, reason)
	}
	b.sleep(wait)
}

// mustTell looks where a failure is told whether or not an older token is still good: in Reconciling, or in Stalled.
func (b *beset) mustTell(bad badEndpoint, reason string) {
	b.t.Helper()
	status := b.status()
	where := v1alpha1.ConditionReconciling
	if bad.stalled {
		where = v1alpha1.ConditionStalled
	}
	told := meta.FindStatusCondition(status.Conditions, where)
	if told == nil {
		b.t.Fatalf("%s is not told: %+v (%s)", where, status.Conditions, bad.why)
	}
	if told.Reason != reason || !strings.Contains(told.Message, bad.says) {
		b.t.Errorf("says %s: %q; want %s with %q (%s)", told.Reason, told.Message, reason, bad.says, bad.why)
	}
	unseen := func(r rune) bool { return !unicode.IsPrint(r) }
	if strings.ContainsFunc(told.Message, unseen) || utf8.RuneCountInString(told.Message) > redact.MaxText+200 {
		b.t.Errorf("the message is not one line of a sane length: %q", told.Message)
	}
	b.mustHideSecrets(status)
}

func (b *beset) mustHideSecrets(status v1alpha1.FluentCredentialStatus) {
	b.t.Helper()
	encoded, err := json.Marshal(status)
	if err != nil {
		b.t.Fatal(err)
	}
	secrets := append(b.server.SecretValues(), password, clientSecret)
	if leaked := slices.ContainsFunc(secrets, func(value string) bool { return strings.Contains(string(encoded), value) }); leaked {
		b.t.Error("the status holds a secret")
	}
}

// recovers goes on with an endpoint that behaves. What is stalled waits for a person, who asks for a new token.
func (b *beset) recovers(bad badEndpoint, grant string, serial int64) {
	b.t.Helper()
	if bad.stalled {
		edit(b.t, reread(b.t, b.cred), func(cred *v1alpha1.FluentCredential) {
			cred.Annotations = map[string]string{v1alpha1.RotateAnnotation: b.clock.Now().String()}
		})
	}
	if wait := b.settle(); bad.long && b.status().Token.Serial < serial {
		b.sleep(wait)
		b.settle()
	}
	b.mustHave(bad, grant, serial)
}

// mustHave wants the token with the serial to be published, and any grant where none is named.
func (b *beset) mustHave(bad badEndpoint, grant string, serial int64) {
	b.t.Helper()
	status := b.status()
	if status.Token == nil || status.Token.Serial != serial || grant != "" && status.Token.Grant != grant ||
		status.Summary.Reason != v1alpha1.ReasonTokenPublished {
		b.t.Fatalf("has the token %+v, %s: %q; want serial %d by %s (%s)", status.Token, status.Summary.Reason, status.Summary.Message,
			serial, grant, bad.why)
	}
	if issued := b.server.Ledger().AccessTokens; b.access() != issued[len(issued)-1].Value {
		b.t.Errorf("the published token is not the newest (%s)", bad.why)
	}
}

// mustHaveCost judges by what the endpoint and the server behind it counted.
func (b *beset) mustHaveCost(bad badEndpoint, most int) {
	b.t.Helper()
	allowed := 1
	if bad.then == intact {
		allowed = 2
	}
	requests, presentations := b.rogue.seen()
	if requests > most || presentations > allowed {
		b.t.Errorf("%d requests, a refresh token presented %d times; want %d and %d at most (%s)", requests, presentations, most, allowed, bad.why)
	}
	b.rogue.mustBeAskedPlainly(b.t)
	if ledger := b.server.Ledger(); ledger.Reuses != 0 || ledger.LoginsRefused != 0 {
		b.t.Errorf("%d reuses of a spent token, %d refused logins (%s)", ledger.Reuses, ledger.LoginsRefused, bad.why)
	}
}
