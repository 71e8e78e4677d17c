package authsim_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluent-credential/operator/hack/authsim"
)

type fault = authsim.Fault

// faultTexts are faults in both forms.
var faultTexts = map[string]struct {
	why  string
	text string // what String writes
	long string // another way to say it, where there is one
	want fault
}{
	"ordinal": {
		"once is what an ordinal means", "3rd: drop-after", " 3rd x1 :  drop-after ",
		fault{At: 3, Times: 1, Kind: authsim.FaultDropAfter},
	},
	"every": {
		"no number of times, no end", "every: slow 2s", "every: slow 2000ms",
		fault{Kind: authsim.FaultSlow, Delay: 2 * time.Second},
	},
	"every once": {
		"the next one, and no other", "every x1: drop-before", "",
		fault{Times: 1, Kind: authsim.FaultDropBefore},
	},
	"grant": {
		"one grant may be singled out", "5th refresh_token: server-error 502", "",
		fault{At: 5, Times: 1, Grant: "refresh_token", Kind: authsim.FaultServerError, Status: 502},
	},
	"times and grant": {
		"all of it together", "11th x2 password: html 403", "",
		fault{At: 11, Times: 2, Grant: "password", Kind: authsim.FaultHTML, Status: 403},
	},
	"default page": {
		"a bad gateway is the commonest page", "22nd: html 502", "22nd: html",
		fault{At: 22, Times: 1, Kind: authsim.FaultHTML, Status: 502},
	},
	"server error with Retry-After": {
		"a 503 may say when to come back", "1st: server-error 503 120", "",
		fault{At: 1, Times: 1, Kind: authsim.FaultServerError, Status: 503, RetryAfter: "120"},
	},
	"server error after": {
		"500 by default", "101st: server-error-after 500", "101st: server-error-after",
		fault{At: 101, Times: 1, Kind: authsim.FaultServerErrorAfter, Status: 500},
	},
	"rate limited": {
		"a date has colons and spaces of its own", "every: rate-limited Mon, 05 Jan 2026 10:05:00 GMT", "",
		fault{Kind: authsim.FaultRateLimited, RetryAfter: "Mon, 05 Jan 2026 10:05:00 GMT"},
	},
	"rate limited, no more said": {
		"the header may be missing", "every: rate-limited", "",
		fault{Kind: authsim.FaultRateLimited},
	},
	"refuse": {
		"a description is the rest of the line", "12th: refuse 400 invalid_grant Bad  credentials", "12th: refuse invalid_grant Bad  credentials",
		fault{At: 12, Times: 1, Kind: authsim.FaultRefuse, Status: 400, Code: "invalid_grant", Description: "Bad  credentials"},
	},
	"refuse a client": {
		"with the status that goes with it", "every: refuse 401 invalid_client", "every: refuse invalid_client",
		fault{Kind: authsim.FaultRefuse, Status: 401, Code: "invalid_client"},
	},
	"refuse oddly": {
		"or with any other", "every: refuse 403 access_denied", "",
		fault{Kind: authsim.FaultRefuse, Status: 403, Code: "access_denied"},
	},
	"refuse by default": {
		"the commonest refusal", "every: refuse 400 invalid_grant", "every: refuse",
		fault{Kind: authsim.FaultRefuse, Status: 400, Code: "invalid_grant"},
	},
	"redirect": {
		"a location has colons", "1st: redirect 307 https://elsewhere.example:8443/token", "1st: redirect https://elsewhere.example:8443/token",
		fault{At: 1, Times: 1, Kind: authsim.FaultRedirect, Status: 307, Location: "https://elsewhere.example:8443/token"},
	},
	"truncate": {
		"how much is kept", "1st: truncate 20", "",
		fault{At: 1, Times: 1, Kind: authsim.FaultTruncate, KeepBytes: 20},
	},
	"truncate all": {
		"nothing by default", "1st: truncate 0", "1st: truncate",
		fault{At: 1, Times: 1, Kind: authsim.FaultTruncate},
	},
	"expires-in": {
		"any JSON, compacted", `every: expires-in {"seconds":[1,"2 3"]}`, `every: expires-in { "seconds": [1, "2 3"] }`,
		fault{Kind: authsim.FaultExpiresIn, ExpiresIn: json.RawMessage(`{"seconds":[1,"2 3"]}`)},
	},
	"expires-in left out": {
		"nothing is a removal", "every: expires-in", "",
		fault{Kind: authsim.FaultExpiresIn},
	},
	"same refresh token": {
		"no arguments", "1st: same-refresh-token", "",
		fault{At: 1, Times: 1, Kind: authsim.FaultSameRefreshToken},
	},
	"omit refresh token": {
		"no arguments", "1st: omit-refresh-token", "",
		fault{At: 1, Times: 1, Kind: authsim.FaultOmitRefreshToken},
	},
	"oversized": {
		"no arguments", "1st: oversized", "",
		fault{At: 1, Times: 1, Kind: authsim.FaultOversized},
	},
}

func TestParseFault(t *testing.T) {
	for name, test := range faultTexts {
		t.Run(name, func(t *testing.T) {
			for _, text := range []string{test.text, test.long} {
				if text == "" {
					continue
				}
				if diff := cmp.Diff(test.want, parse(t, text)); diff != "" {
					t.Errorf("%s: %s (-want +got):\n%s", text, test.why, diff)
				}
			}
			if got := test.want.String(); got != test.text {
				t.Errorf("String is %q, want %q: %s", got, test.text, test.why)
			}
		})
	}
}

func TestParseFaultErrors(t *testing.T) {
	tests := map[string]struct{ why, text, want string }{
		"no colon":           {"when and what are told apart by a colon", "3rd drop-after", "no colon"},
		"no request":         {"which request is meant must be said", ": drop-after", `"" is not a request`},
		"no ordinal":         {"a bare number is not taken for an ordinal", "3: drop-after", "want 3rd"},
		"wrong ordinal":      {"a slip of the suffix may be a slip of the number", "12nd: drop-after", "want 12th"},
		"zeroth":             {"requests count from 1", "0th: drop-after", `"0th" is not a request`},
		"negative":           {"requests count upwards", "-1st: drop-after", `"-1st" is not a request`},
		"no times":           {"not even once is never", "every x0: drop-after", "not a number of times"},
		"odd times":          {"times are a number", "every xx: drop-after", "not a number of times"},
		"unknown grant":      {"the server does not know the implicit grant", "3rd implicit: drop-after", `unknown grant "implicit"`},
		"two grants":         {"one grant at most", "3rd password refresh_token: drop-after", "unknown grant"},
		"no kind":            {"what goes wrong must be said", "3rd:", `unknown kind ""`},
		"unknown kind":       {"the kinds are named in the error", "3rd: explode", "want one of drop-after drop-before"},
		"drop with argument": {"an argument that is ignored would mislead", "3rd: drop-after 2s", "takes no arguments"},
		"slow for how long":  {"a delay is needed", "3rd: slow", "slow"},
		"slow, no time":      {"no delay is no fault", "3rd: slow 0s", "needs a delay"},
		"slow, no unit":      {"a delay has a unit", "3rd: slow 2", "missing unit"},
		"status no number":   {"a status is a number", "3rd: html often", "not a status"},
		"status no error":    {"a server error is a 5xx", "3rd: server-error 404", "not within 500 to 599"},
		"page no answer":     {"an interim status is no page", "3rd: html 100", "not within 200 to 599"},
		"refusal no error":   {"a refusal is an error", "3rd: refuse 200", "not within 400 to 599"},
		"redirect nowhere":   {"a redirect leads somewhere", "3rd: redirect 307", "needs one location"},
		"redirect anywhere":  {"to one place", "3rd: redirect https://a b", "needs one location"},
		"redirect status":    {"with a status that redirects", "3rd: redirect 304 https://a", "status 304"},
		"truncate negative":  {"less than nothing cannot be kept", "3rd: truncate -1", "less than nothing"},
		"truncate no number": {"bytes are counted", "3rd: truncate half", "invalid syntax"},
		"expires-in no JSON": {"the reply stays JSON", "3rd: expires-in soon", "not JSON"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			fault, err := authsim.ParseFault(test.text)
			if err == nil {
				t.Fatalf("%q was taken for %q: %s", test.text, fault, test.why)
			}
			if message := err.Error(); !strings.Contains(message, test.want) || !strings.Contains(message, "fault ") {
				t.Errorf("the error is %q, want it to say %q: %s", message, test.want, test.why)
			}
		})
	}
}
