package provider

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/fluent-credential/operator/internal/token"
)

// Codes of a Problem that are ours, not the API's.
const (
	// InvalidReply: the reply cannot be understood.
	InvalidReply = "invalid_reply"
	// Redirect: the endpoint wants the credentials sent elsewhere.
	Redirect = "redirect"
)

// answer reads a reply by RFC 6749. The deviations of an API are in its dialect.
func (d dialect) answer(grant token.Grant, reply Reply) Answer {
	doc := read(reply)
	status := statusOf(reply)
	var notGranted error
	if status == succeeded {
		set, err := doc.granted(reply.Header)
		if err == nil {
			return Answer{Verdict: token.Granted, Set: set}
		}
		notGranted = err
	}
	said := d.problem(grant, doc, reply)
	code := d.classOf(grant, reply.Status, said.Code)
	switch {
	case notGranted != nil && (doc.hasToken() || !doc.saysError() && code <= unknownCode):
		said = Problem{Code: InvalidReply, Description: doc.withWords(notGranted.Error(), said)}
		code = noCode
	case notGranted != nil && code == noCode:
		code = unknownCode
	}
	words := wordsIn(said, reply.Header)
	means := classify(reading{status: status, body: doc.kind, code: code, words: words, grant: grant})
	said.Status = reply.Status
	return Answer{Verdict: means.verdict, Cause: means.cause, Problem: said, RetryAfter: retryAfter(reply.Header)}
}

// hasToken reports whether the reply contains an access token of some kind, also in a nested object. Beside an
// unreadable token an error proves nothing: a token was issued, so the presented one may be spent.
func (d document) hasToken() bool {
	if d.conflict != nil || d.fields.haveToken() || slices.ContainsFunc(d.list, fields.haveToken) {
		return true
	}
	for _, raw := range d.fields {
		if inner, err := parseFields(raw); err == nil && inner.haveToken() {
			return true
		}
	}
	return false
}

func (f fields) haveToken() bool {
	raw := strings.TrimSpace(string(f["access_token"]))
	return raw != "" && raw != "null" && raw != `""`
}

// withWords adds the reply's text to the reason why it is no grant. Only a member for text is shown: any other body of
// a 2xx could be a token.
func (d document) withWords(why string, said Problem) string {
	words := said.Description
	if d.saysError() && said.Code != "" {
		words = strings.TrimSuffix(said.Code+": "+words, ": ")
	}
	if d.kind != jsonBody || words == "" {
		return why
	}
	return why + "; it says: " + words
}

// problem returns the reply's description of the error, not yet fit to be shown.
func (d dialect) problem(grant token.Grant, doc document, reply Reply) Problem {
	status := statusOf(reply)
	switch {
	case status == notFinal:
		return Problem{Code: InvalidReply, Description: "the status is not that of a final reply"}
	case status == carriedOut || status == elsewhere:
		return redirected(reply)
	case doc.kind == jsonBody:
		find := d.problems
		if find == nil {
			find = problemsOf
		}
		return mostDecisive(find(doc), func(code string) codeClass { return d.classOf(grant, reply.Status, code) })
	}
	return Problem{Description: doc.unread()}
}

// unread describes a body that is not JSON.
func (d document) unread() string {
	switch {
	case d.kind == htmlBody:
		return "an HTML page, not a reply of the API"
	case d.text != "":
		return d.text
	}
	return "no reply of the API"
}

// redirected repeats only the host of a redirect. A redirect is never followed.
func redirected(reply Reply) Problem {
	where := "another place"
	if location, err := url.Parse(reply.Header.Get("Location")); err == nil && location.Hostname() != "" {
		where = location.Hostname()
	}
	description := "redirects to " + where + ", which is not followed"
	if reply.Header.Get("Location") == "" {
		description = "redirects, and does not say where to"
	}
	return Problem{Status: reply.Status, Code: Redirect, Description: description}
}

// granted reads a 2xx reply. A reply without an access token may still have spent the refresh token.
func (d document) granted(header http.Header) (token.Set, error) {
	switch {
	case d.kind == htmlBody:
		return token.Set{}, errPage
	case d.fields == nil:
		return token.Set{}, errNotObject
	}
	set, err := d.grantedSet()
	if err != nil {
		return token.Set{}, err
	}
	set.Age = d.fields.age(header)
	set.JWTLife, set.JWTAge = jwtLife(set.Access, header)
	return set, nil
}
