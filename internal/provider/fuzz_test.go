package provider

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/token"
)

// FuzzRead: no reply brings Read down, and no reply talks it into a grant without a token or into giving a token up that may
// still be had.
func FuzzRead(f *testing.F) {
	for _, api := range apis() {
		for _, path := range recordedReplies(f, api.Name()) {
			recorded := readRecorded(f, path)
			f.Add(recorded.Status, recorded.Header.Get("Content-Type"), recorded.Header.Get("Retry-After"), recorded.Body)
		}
	}
	for _, odd := range []string{
		"", "null", "[]", `{`, `{}{}`, "\xef\xbb\xbf{}", `{"access_token":null}`, `{"access_token":"a","access_token":"b"}`,
		`{"access_token":"a\ud800","expires_in":-1e999}`, `{"response":{"access_token":"a"}}`, `{"response":{"response":{}}}`,
		`{"errors":[null,{"code":400}]}`, `{"error":{"failures":[{}]}}`, `{"error":[],"errors":{}}`,
	} {
		for _, status := range []int{0, 100, 200, 307, 400, 500, 503} {
			f.Add(status, "application/json", "1", []byte(odd))
		}
	}
	f.Fuzz(func(t *testing.T, status int, contentType, retryAfter string, body []byte) {
		reply := Reply{Status: status, Header: http.Header{}, Body: body}
		reply.Header.Set("Content-Type", contentType)
		reply.Header.Set("Retry-After", retryAfter)
		for _, api := range apis() {
			for _, grant := range grants {
				answer := api.Read(grant, reply)
				if broken := brokenPromise(grant, reply, answer); broken != "" {
					t.Errorf("%s of %s: %s: %+v", grant, api.Name(), broken, answer)
				}
			}
		}
	})
}

func brokenPromise(grant token.Grant, reply Reply, answer Answer) string {
	success := reply.Status/100 == 2
	granted := answer.Verdict == token.Granted
	switch {
	case !slices.Contains(token.Verdicts(), answer.Verdict) || answer.Verdict == token.Unsent:
		return "a reply cannot mean this"
	case granted && (!success || answer.Set.Access.IsZero()):
		return "granted without a 2xx or without an access token"
	case success && !granted && answer.Verdict != token.Unknown && answer.Problem.Code == InvalidReply:
		return "a 2xx without an access token and without an error must be Unknown"
	case granted && answer.Cause != failure.Passing() && answer.Cause != (failure.Cause{}):
		return "a grant has no cause"
	case answer.Verdict == token.Unknown && answer.Cause.Class() != failure.Time:
		return "what is in doubt passes"
	case !granted && answer.Problem.Status != reply.Status:
		return "the status is not told"
	case answer.Verdict == token.LoginRefused && grant != token.Password:
		return "there was no login"
	case answer.Verdict == token.Declined && (grant == token.ClientCredentials || !success && reply.Status/100 != 4):
		return "nothing is in doubt"
	case answer.Verdict == token.RefusedDead && !spends[grant]:
		return "nothing was presented that could be dead"
	case answer.Verdict == token.RefusedDead && !success && reply.Status/100 != 4:
		return "only an error of the API gives up a token"
	case answer.Set.Type != token.CleanType(answer.Set.Type):
		return "the type could end a header"
	case answer.Set.Life < 0 || answer.Set.Life > maxLife:
		return "the life is out of bounds"
	case answer.RetryAfter < 0 || answer.RetryAfter > time.Hour:
		return "the time to wait is out of bounds"
	}
	return ""
}

// FuzzLife: no expires_in loses a token that was granted, and a whole number of seconds is taken at its word, up to a year.
func FuzzLife(f *testing.F) {
	f.Fuzz(func(t *testing.T, expiresIn string) {
		body := []byte(`{"access_token":"a","expires_in":` + expiresIn + `}`)
		if !json.Valid([]byte(expiresIn)) {
			return
		}
		answer := apis()[3].Read(token.Password, Reply{Status: 200, Body: body})
		set := answer.Set
		if answer.Verdict != token.Granted || set.Life < 0 || set.Life > maxLife || set.LifeUnknown && set.Life != 0 {
			t.Errorf("expires_in %s: %+v", expiresIn, answer)
		}
		seconds, err := strconv.ParseUint(expiresIn, 10, 32)
		if want := min(time.Duration(seconds)*time.Second, maxLife); err == nil && (set.Life != want || set.LifeUnknown != (want == 0)) {
			t.Errorf("expires_in %s is a life of %s, want %s", expiresIn, set.Life, want)
		}
	})
}

// FuzzRetryAfter: nobody can make the operator wait for longer than an hour, or come back before it was asked to.
func FuzzRetryAfter(f *testing.F) {
	f.Fuzz(func(t *testing.T, value, date string) {
		got := retryAfter(http.Header{"Retry-After": {value}, "Date": {date}})
		if got < 0 || got > maxRetryAfter {
			t.Errorf("Retry-After %q at %q is a wait of %s", value, date, got)
		}
		seconds, err := strconv.ParseUint(value, 10, 32)
		if want := min(time.Duration(seconds)*time.Second, maxRetryAfter); err == nil && got != want {
			t.Errorf("Retry-After %q is a wait of %s, want %s", value, got, want)
		}
	})
}
