package provider

import (
	"slices"
	"testing"

	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/token"
)

// The values of each part of a reading. A new value fails TestClassify until it is here and in a rule.
var (
	everyStatus = []statusClass{
		notFinal, succeeded, carriedOut, elsewhere, refused, unauthorized, beforeAPI, formRefused, timedOut, notProcessed, failed,
	}
	everyBody = []bodyClass{emptyBody, jsonBody, htmlBody, otherBody}
	everyCode = []codeClass{
		noCode, unknownCode, badLogin, badGrant, badToken, badRefreshToken, badCode, badClient, badSpec, badRequest, denied, limitCode, notNowCode, laterCode,
	}
	everyWord = []wordClass{noWords, retryWords, limitWords}
)

// rule is what is expected of some readings; an empty list stands for every value.
type rule struct {
	statuses []statusClass
	bodies   []bodyClass
	codes    []codeClass
	words    []wordClass
	grants   []token.Grant
	verdict  token.Verdict
	cause    failure.Cause
	why      string
}

func (r rule) covers(of reading) bool {
	return among(r.statuses, of.status) && among(r.bodies, of.body) && among(r.codes, of.code) && among(r.words, of.words) &&
		among(r.grants, of.grant)
}

func among[T comparable](list []T, one T) bool { return len(list) == 0 || slices.Contains(list, one) }

// rulesOfReplies are the expectations. The first rule that covers a reading counts.
func rulesOfReplies() []rule {
	passing, login := failure.Passing(), failure.WaitsFor(failure.CredentialsSecret)
	left, spec := failure.WaitsForUnprobed(failure.CredentialsSecret), failure.WaitsFor(failure.Spec)
	tokens := []token.Grant{token.RefreshToken, token.AuthorizationCode}
	refresh, code := []token.Grant{token.RefreshToken}, []token.Grant{token.AuthorizationCode}
	password, client := []token.Grant{token.Password}, []token.Grant{token.ClientCredentials}
	judged := []statusClass{succeeded, refused, unauthorized, beforeAPI, formRefused}
	is := func(one ...statusClass) []statusClass { return one }
	of := func(one ...codeClass) []codeClass { return one }
	pages, limit, retry := []bodyClass{htmlBody}, []wordClass{limitWords}, []wordClass{retryWords}
	return []rule{
		{is(failed), nil, of(badLogin), nil, password, token.LoginRefused, login, "a locked user is told so with a 500: the guard counts it"},
		{is(notFinal), nil, nil, nil, nil, token.Unknown, passing, "nothing is known of the request"},
		{is(carriedOut), nil, nil, nil, nil, token.Unknown, passing, "servers answer so what they have carried out"},
		{is(elsewhere), nil, nil, nil, nil, token.RefusedIntact, passing, "it was not carried out here, and may be tomorrow"},
		{is(timedOut), nil, nil, nil, nil, token.Unknown, passing, "proxies say it of the server behind them too"},
		{is(notProcessed), nil, nil, nil, nil, token.TryLater, passing, "the status itself says that nothing was done"},
		{is(failed), nil, nil, nil, nil, token.Unknown, passing, "it may have failed after the token was spent"},

		{is(beforeAPI), pages, nil, nil, tokens, token.Unknown, passing, "the page may stand in the place of a reply"},
		{is(beforeAPI), pages, nil, nil, nil, token.TryLater, passing, "the API has not judged the login"},
		{is(unauthorized), pages, nil, nil, password, token.Unknown, passing, "the password may have been counted"},
		{is(unauthorized), pages, nil, nil, tokens, token.Unknown, passing, "the page may stand in the place of a reply"},
		{is(unauthorized), pages, nil, nil, nil, token.TryLater, passing, "nothing can be spent"},
		{is(formRefused), pages, nil, nil, nil, token.RefusedIntact, passing, "the form was refused before the token was looked at, by a page"},
		{judged, pages, nil, nil, nil, token.Unknown, passing, "a page is not the API's word, and who wrote it is not known"},

		{is(succeeded), nil, of(noCode), nil, nil, token.Unknown, passing, "the server was content, and the token is not here"},

		{judged, nil, of(badGrant, badToken), nil, tokens, token.RefusedDead, passing, "what was presented will never work again"},
		{judged, nil, of(badRefreshToken), nil, refresh, token.RefusedDead, passing, "the code names the refresh token"},
		{judged, nil, of(badCode), nil, code, token.RefusedDead, passing, "the code names the authorization code"},
		{judged, nil, of(badGrant, badLogin), nil, password, token.LoginRefused, login, "the guard must count it, whatever the words"},
		{judged, nil, of(badLogin, badRefreshToken, badCode), nil, tokens, token.Declined, left, "it names what was not presented"},
		{judged, nil, of(badRefreshToken, badCode), nil, password, token.Declined, login, "it names what was not presented"},

		{judged, nil, of(badClient, badSpec, badGrant, badToken, badLogin, badRefreshToken, badCode), limit, nil, token.RefusedIntact, passing,
			"the verdict is the code's, and the time that of the words"},
		{judged, nil, of(badSpec), nil, nil, token.RefusedIntact, spec, "another scope helps"},
		{judged, nil, of(badClient, badGrant, badToken, badLogin, badRefreshToken, badCode), nil, nil, token.RefusedIntact, login, "the client was refused"},

		{judged, nil, of(badRequest), limit, tokens, token.TryLater, passing, "Entra throttles so"},
		{judged, nil, of(badRequest), nil, tokens, token.Unknown, passing, "dex and fosite answer reuse like that"},
		{judged, nil, of(badRequest), limit, nil, token.RefusedIntact, passing, "the verdict is the code's, and the time that of the words"},
		{judged, nil, of(badRequest), nil, nil, token.RefusedIntact, spec, "the request lacks something"},

		{judged, nil, of(limitCode), nil, password, token.Unknown, passing, "a locked user is told so too: the guard counts it"},
		{judged, nil, of(limitCode), nil, nil, token.TryLater, passing, "a rate limit comes before the request"},
		{judged, nil, of(notNowCode), nil, password, token.Unknown, passing, "a locked user may be told so too"},
		{judged, nil, of(notNowCode), nil, nil, token.TryLater, passing, "the API says that it has not handled the request"},
		{judged, nil, of(laterCode), nil, client, token.TryLater, passing, "nothing can be spent"},
		{judged, nil, of(laterCode), limit, tokens, token.TryLater, passing, "a rate limit comes before the request"},
		{judged, nil, of(laterCode), nil, nil, token.Unknown, passing, "the server may have failed after the token was spent"},

		{judged, nil, of(denied, unknownCode, noCode), limit, password, token.Unknown, passing, "a locked user is told so too: the guard counts it"},
		{judged, nil, of(denied, unknownCode, noCode), limit, nil, token.TryLater, passing, "a rate limit comes before the request"},
		{is(beforeAPI), nil, of(noCode), nil, nil, token.TryLater, passing, "the API itself would have said why"},
		{judged, nil, of(denied), nil, password, token.Declined, login, "the client was refused, or the user"},
		{judged, nil, of(denied), nil, nil, token.RefusedIntact, login, "the client was refused"},

		{is(unauthorized, beforeAPI, formRefused), nil, nil, retry, tokens, token.RefusedIntact, passing, "it was not applied, and is asked for again"},
		{judged, nil, nil, retry, tokens, token.Unknown, passing, "some servers ask for a retry of what they have spent"},
		{judged, nil, nil, retry, client, token.TryLater, passing, "nothing can be spent"},

		{is(formRefused), nil, nil, nil, nil, token.RefusedIntact, spec, "the form was refused before the token was looked at"},
		{is(unauthorized, beforeAPI), nil, nil, nil, password, token.Declined, login, "the client was refused, or the password"},
		{is(unauthorized, beforeAPI), nil, nil, nil, nil, token.RefusedIntact, login, "the client was refused"},
		{is(succeeded, refused), nil, nil, nil, tokens, token.Declined, left, "nothing is said of the token: it may be spent"},
		{is(succeeded, refused), nil, nil, nil, password, token.Declined, login, "nothing is said of the password: it may be counted"},
		{is(succeeded, refused), nil, nil, nil, client, token.RefusedIntact, login, "nothing was presented"},
	}
}

// TestClassify asks for the meaning of every combination. Each has an expectation, each expectation is met by some, and each verdict that a
// reply can have is among them.
func TestClassify(t *testing.T) {
	if len(everyStatus) != int(statusClasses) || len(everyBody) != int(bodyClasses) || len(everyCode) != int(codeClasses) ||
		len(everyWord) != int(wordClasses) {
		t.Fatal("a value was added to a part of a reading, and this test does not know it")
	}
	rules := rulesOfReplies()
	used, verdicts := make([]int, len(rules)), map[token.Verdict]int{}
	for _, each := range everyReading() {
		at := slices.IndexFunc(rules, func(one rule) bool { return one.covers(each) })
		if at < 0 {
			t.Fatalf("no rule for %+v", each)
		}
		used[at]++
		want, got := rules[at], classify(each)
		verdicts[got.verdict]++
		if got.verdict != want.verdict || got.cause != want.cause {
			t.Errorf("%+v is %s, %+v; want %s, %+v, because %s", each, got.verdict, got.cause, want.verdict, want.cause, want.why)
		}
	}
	for i, times := range used {
		if times == 0 {
			t.Errorf("rule %d covers nothing that another does not: %s", i, rules[i].why)
		}
	}
	for _, verdict := range token.Verdicts() {
		isOfReply := verdict != token.Granted && verdict != token.Unsent
		if isOfReply != (verdicts[verdict] > 0) {
			t.Errorf("%d readings are %s", verdicts[verdict], verdict)
		}
	}
}

func everyReading() []reading {
	var all []reading
	for _, status := range everyStatus {
		for _, body := range everyBody {
			for _, code := range everyCode {
				for _, words := range everyWord {
					for _, grant := range token.Grants() {
						all = append(all, reading{status, body, code, words, grant})
					}
				}
			}
		}
	}
	return all
}

// TestNoReadingWaitsWithoutEnd: what passes is retried, and what does not names what to change. Only what a probe could harm is not probed.
func TestNoReadingWaitsWithoutEnd(t *testing.T) {
	for _, each := range everyReading() {
		got := classify(each)
		switch got.cause.Class() {
		case failure.Time:
		case failure.Input:
			if got.cause.Subject() == failure.NoSubject || !got.cause.IsProbed() && got.verdict != token.Declined {
				t.Errorf("%+v is %s, %+v", each, got.verdict, got.cause)
			}
		case failure.Person:
			t.Errorf("%+v waits for a person, and an input would do", each)
		}
	}
}

// TestAnUnknownGrantIsTakenForARefreshToken: the careful reading is that a token was presented.
func TestAnUnknownGrantIsTakenForARefreshToken(t *testing.T) {
	for _, each := range everyReading() {
		if each.grant != token.RefreshToken {
			continue
		}
		want := classify(each)
		each.grant = "urn:ietf:params:oauth:grant-type:device_code"
		if got := classify(each); got != want {
			t.Errorf("%+v is %+v, want %+v", each, got, want)
		}
	}
}

// TestEveryStatusHasAClass: also those that no standard knows.
func TestEveryStatusHasAClass(t *testing.T) {
	seen := map[statusClass]bool{}
	for status := range 1000 {
		seen[statusOf(Reply{Status: status})] = true
	}
	for _, class := range everyStatus {
		if !seen[class] {
			t.Errorf("no status is of class %d", class)
		}
	}
}

// TestEveryCodeHasARank: of several errors the most decisive counts.
func TestEveryCodeHasARank(t *testing.T) {
	for _, class := range everyCode {
		if _, ok := decisiveness[class]; !ok {
			t.Errorf("code class %d has no rank", class)
		}
	}
	listed := 0
	for _, list := range codesOf {
		listed += len(list)
	}
	if listed != len(codes) {
		t.Errorf("%d codes are listed, and %d known: one is in two lists", listed, len(codes))
	}
	for code, class := range codes {
		if spelling(code) != code {
			t.Errorf("%q is never found: it is spelled %q", code, spelling(code))
		}
		if class == noCode || class == unknownCode || class == badLogin {
			t.Errorf("%q is in the table, and of no class of it", code)
		}
	}
}
