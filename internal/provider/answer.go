package provider

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/fluent-credential/operator/internal/token"
)

// problemReader finds an API's own error code and description in an error reply.
type problemReader func(Reply) Problem

// answer reads a reply by RFC 6749; what an API does differently is in its problemReader and in what it does with the Answer.
func answer(grant token.Grant, reply Reply, problem problemReader) Answer {
	switch reply.Status / 100 {
	case 2:
		return granted(reply)
	case 3:
		return redirected(grant, reply)
	case 4, 5:
		said := problem(reply)
		said.Status = reply.Status
		return Answer{Verdict: verdict(grant, reply, said.Code), Problem: said, RetryAfter: retryAfter(reply.Header)}
	}
	return unreadable(reply, errors.New("the status is not that of a final reply"))
}

// granted reads a 2xx reply. One without an access token may all the same have spent the refresh token.
func granted(reply Reply) Answer {
	object, err := parseFields(reply.Body)
	if err != nil {
		return unreadable(reply, err)
	}
	set, err := object.grantedSet()
	if err != nil {
		return unreadable(reply, err)
	}
	set.Age = object.age(reply.Header)
	return Answer{Verdict: token.Granted, Set: set}
}

func unreadable(reply Reply, err error) Answer {
	return Answer{Verdict: token.Unknown, Problem: Problem{Status: reply.Status, Code: InvalidReply, Description: err.Error()}}
}

// Codes of a Problem that are ours, not the API's.
const (
	// InvalidReply: the reply cannot be understood.
	InvalidReply = "invalid_reply"
	// Redirect: the endpoint wants the credentials sent elsewhere.
	Redirect = "redirect"
)

// redirected: a redirect is never followed. 307 and 308 ask for the same request elsewhere, so it was not fulfilled here (RFC 9110
// sections 15.4.8 and 15.4.9). The others are no proof of that: 303 answers a request that was carried out, and 301 and 302 are used
// like it, as by login pages (section 15.4.4).
func redirected(grant token.Grant, reply Reply) Answer {
	means := declined(grant)
	if reply.Status == http.StatusTemporaryRedirect || reply.Status == http.StatusPermanentRedirect {
		means = token.RefusedIntact
	}
	return Answer{Verdict: means, Problem: elsewhere(reply)}
}

// elsewhere repeats no more of a redirect than the host it names.
func elsewhere(reply Reply) Problem {
	where := "another place"
	if location, err := url.Parse(reply.Header.Get("Location")); err == nil && location.Hostname() != "" {
		where = location.Hostname()
	}
	return Problem{Status: reply.Status, Code: Redirect, Description: "redirects to " + where + ", which is not followed"}
}

// verdict follows from a status that says that the request was not looked at, then from the API's error code (RFC 6749 section
// 5.2), then from what else the status says.
func verdict(grant token.Grant, reply Reply, code string) token.Verdict {
	switch reply.Status {
	case http.StatusTooManyRequests, http.StatusMisdirectedRequest, http.StatusTooEarly:
		return token.TryLater
	}
	if reply.Status >= 500 {
		return serverFailure(reply)
	}
	switch code {
	case "invalid_grant":
		return refusedGrant(grant)
	case "invalid_token":
		return refusedToken(grant)
	case "invalid_request":
		return refusedRequest(grant)
	case "invalid_client", "unauthorized_client", "invalid_scope", "unsupported_grant_type":
		return token.RefusedIntact
	case "access_denied":
		return refusedClient(grant)
	}
	return verdictOfStatus(grant, reply.Status, code)
}

// verdictOfStatus is the verdict on a 4xx with no code, or one that nobody knows.
func verdictOfStatus(grant token.Grant, status int, code string) token.Verdict {
	switch status {
	case http.StatusUnauthorized:
		return refusedClient(grant)
	case http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed:
		return refusedWithoutCode(grant, code)
	case http.StatusRequestTimeout:
		return token.Unknown
	}
	if unread[status] {
		return token.RefusedIntact
	}
	return declined(grant)
}

// unread are the statuses that refuse the form of a request, so that its content was not looked at (RFC 9110 section 15.5, RFC 6585).
var unread = map[int]bool{
	http.StatusLengthRequired: true, http.StatusRequestEntityTooLarge: true, http.StatusRequestURITooLong: true,
	http.StatusUnsupportedMediaType: true, http.StatusExpectationFailed: true, http.StatusUpgradeRequired: true,
	http.StatusRequestHeaderFieldsTooLarge: true,
}

// declined is the verdict on a refusal that says nothing of what was presented. Of a client alone nothing was.
func declined(grant token.Grant) token.Verdict {
	if grant == token.ClientCredentials {
		return token.RefusedIntact
	}
	return token.Declined
}

// refusedClient: a refusal of the client leaves the refresh token as it was. That it is not one of the password, nobody knows: it
// must not be sent again and again.
func refusedClient(grant token.Grant) token.Verdict {
	if grant == token.Password {
		return token.Declined
	}
	return token.RefusedIntact
}

// serverFailure: a 503 that names a time has refused; any other failure may have happened after the token was spent.
func serverFailure(reply Reply) token.Verdict {
	if reply.Status == http.StatusServiceUnavailable && reply.Header.Get("Retry-After") != "" {
		return token.TryLater
	}
	return token.Unknown
}

func refusedGrant(grant token.Grant) token.Verdict {
	switch grant {
	case token.Password:
		return token.LoginRefused
	case token.ClientCredentials:
		return token.RefusedIntact
	case token.RefreshToken, token.AuthorizationCode:
	}
	return token.RefusedDead
}

// refusedToken: legacy Spring answers invalid_token (RFC 6750 section 3.1) to a refresh token that has expired. A token endpoint is
// shown no other token.
func refusedToken(grant token.Grant) token.Verdict {
	if grant == token.RefreshToken || grant == token.AuthorizationCode {
		return token.RefusedDead
	}
	return token.RefusedIntact
}

// refusedRequest: dex and fosite answer the reuse of a refresh token with invalid_request, so whether the token lives is open.
func refusedRequest(grant token.Grant) token.Verdict {
	if grant == token.RefreshToken || grant == token.AuthorizationCode {
		return token.Unknown
	}
	return token.RefusedIntact
}

// refusedWithoutCode: a 403 or 404 that is not the API's own error comes from something in front of it, such as a CDN, and
// passes in its own time.
func refusedWithoutCode(grant token.Grant, code string) token.Verdict {
	if code == "" {
		return token.TryLater
	}
	return refusedClient(grant)
}

// standardProblem reads the error of RFC 6749 section 5.2.
func standardProblem(reply Reply) Problem {
	object, err := parseFields(reply.Body)
	if err != nil {
		return Problem{Description: notJSON(reply)}
	}
	return Problem{Code: object.scalar("error"), Description: object.scalar("error_description")}
}

func notJSON(reply Reply) string {
	if strings.Contains(reply.Header.Get("Content-Type"), "html") {
		return "an HTML page, not a reply of the API"
	}
	return "no reply of the API"
}
