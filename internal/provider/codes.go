package provider

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/fluent-credential/operator/internal/token"
)

// codesOf are the known error codes, spelled as spelling does: those of RFC 6749 section 5.2 and of the RFCs that
// extend it, and the codes that vendors use instead. A vendor's code is listed only if its name alone identifies the
// error.
//
//   - GitHub: docs.github.com, "Troubleshooting OAuth app access token request errors" and
//     "Refreshing user access tokens"
//   - Slack: docs.slack.dev/reference/methods/oauth.v2.access
//   - HubSpot: its replies have them under "status", github.com/airbytehq/airbyte/issues/79592
//   - Google and other gRPC gateways: the names of google.rpc.Code
var codesOf = map[codeClass][]string{
	badGrant: {"invalid_grant"},
	badToken: {"invalid_token"},
	badRefreshToken: {
		"bad_refresh_token", "invalid_refresh_token", "expired_refresh_token", "revoked_refresh_token",
		"refresh_token_expired", "refresh_token_invalid", "refresh_token_revoked",
	},
	badCode: {
		"bad_verification_code", "bad_auth_code", "invalid_code", "invalid_authorization_code",
		"code_already_used", "code_expired",
	},
	badClient: {
		"invalid_client", "unauthorized_client", "incorrect_client_credentials", "invalid_client_credentials",
		"bad_client_credentials", "bad_client_id", "invalid_client_id", "bad_client_secret", "invalid_client_secret",
		"incorrect_client_secret",
	},
	badSpec:    {"invalid_scope", "unsupported_grant_type", "invalid_grant_type", "invalid_target"},
	badRequest: {"invalid_request"},
	denied:     {"access_denied"},
	limitCode: {
		"slow_down", "authorization_pending", "too_many_requests", "rate_limit", "rate_limited", "ratelimited",
		"rate_limit_exceeded", "rate_limit_error", "throttled", "throttling", "throttling_exception",
		"too_many_requests_exception", "quota_exceeded", "resource_exhausted",
	},
	notNowCode: {"temporarily_unavailable", "try_again_later", "retry_later"},
	laterCode: {
		"service_unavailable", "unavailable", "server_error", "internal_error", "internal_server_error", "internal",
		"deadline_exceeded", "aborted",
	},
}

// codes maps each code to its class.
var codes = byCodes(codesOf)

func byCodes(lists map[codeClass][]string) map[string]codeClass {
	all := map[string]codeClass{}
	for class, list := range lists {
		for _, code := range list {
			all[code] = class
		}
	}
	return all
}

// decisiveness orders the classes of codes. Of several errors, the one with the highest value counts.
var decisiveness = map[codeClass]int{
	badGrant: 8, badToken: 8, badRefreshToken: 8, badCode: 8, badLogin: 8,
	badClient: 7, badSpec: 6, denied: 5, limitCode: 4, notNowCode: 3, laterCode: 3, badRequest: 2,
	unknownCode: 1, noCode: 0,
}

// dialect is an API's deviation from RFC 6749.
type dialect struct {
	// problems finds the errors of a reply; nil means problemsOf.
	problems func(document) []Problem
	// code classifies an API's own error codes; nil, or noCode, means that the common codes apply.
	code func(grant token.Grant, status int, code string) codeClass
}

// classOf classifies an error code. A code that only repeats the status means nothing: frameworks and gateways put it
// in every error.
func (d dialect) classOf(grant token.Grant, status int, code string) codeClass {
	if d.code != nil {
		if own := d.code(grant, status, code); own != noCode {
			return own
		}
	}
	if code == "" || strings.EqualFold(code, http.StatusText(status)) {
		return noCode
	}
	if known, ok := codes[spelling(code)]; ok {
		return known
	}
	return unknownCode
}

// spelling returns a code in small letters with underscores, so that "Access Denied", "BAD_CLIENT_ID" and
// "TooManyRequests" are one code each.
func spelling(code string) string {
	var out strings.Builder
	var before rune
	for _, r := range strings.TrimSpace(code) {
		switch {
		case unicode.IsUpper(r) && unicode.IsLower(before):
			out.WriteByte('_')
			out.WriteRune(unicode.ToLower(r))
		case r == ' ' || r == '-' || r == '.':
			out.WriteByte('_')
		default:
			out.WriteRune(unicode.ToLower(r))
		}
		before = r
	}
	return out.String()
}

var (
	// limits are words about a rate limit.
	limits = anyOf(
		`too many ([a-z]+ ){0,2}(requests?|calls|queries)\b`, `rate ?limit`, `(request|throttle|call) limit`,
		`rate (is |was )?exceeded`, `throttl`, `quota ([a-z]+ ){0,3}(exceed|exhaust|reach|violat)`,
		`exceeded ([a-z]+ ){0,3}(quota|rate)\b`, `over quota`, `slow ?down`,
	)
	// retries are words that ask for the same request again.
	retries = anyOf(
		`\bretry\b`, `\btry (it |this |the request )?(again|later)`, `temporarily unavailable`,
		`(currently|service|server) (is )?unavailable`, `transient`, `maintenance`, `overloaded`,
		`(server|system) (is )?(too )?busy`, `internal (server )?error`, `upstream (connect|request|server|service)`,
	)
	// finals are words that turn a request to try again into a request for something else, such as a new login.
	finals = anyOf(
		`expired`, `invalid`, `revoked`, `already`, `\blog ?in\b`, `sign ?in\b`, `re-?auth`, `authori[sz]e`, `denied`,
		`disabled`, `suspended`, `locked`, `incorrect`, `wrong`,
	)
)

func anyOf(patterns ...string) *regexp.Regexp { return regexp.MustCompile(strings.Join(patterns, "|")) }

// wordsIn classifies the text of a code and a description. A Retry-After header has the same meaning without words.
func wordsIn(said Problem, header http.Header) wordClass {
	text := strings.ToLower(strings.ReplaceAll(spelling(said.Code), "_", " ") + " " + said.Description)
	switch {
	case limits.MatchString(text), header.Get("Retry-After") != "":
		return limitWords
	case retries.MatchString(text) && !finals.MatchString(text):
		return retryWords
	}
	return noWords
}

// repeatsStatus reports whether a code is the number of the status.
func repeatsStatus(code string, status int) bool {
	number, err := strconv.Atoi(code)
	return err == nil && number == status
}
