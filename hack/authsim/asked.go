package authsim

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"slices"
)

// maxBody bounds what is read of any request, in bytes.
const maxBody = 1 << 20

// knownParameters are the ones of RFC 6749 and RFC 7009 that the dialects know.
var knownParameters = []string{
	"grant_type", "username", "password", "refresh_token", "code", "redirect_uri", "scope", "client_id", "client_secret",
	"token", "token_type_hint",
}

// asked is a request to one of the OAuth endpoints as it was read from the wire.
type asked struct {
	method     string
	account    string // the header fluent.account
	source     Source
	clientAuth ClientAuth
	parameters map[string]string
	malformed  string // why the parameters cannot be trusted; empty: they can
}

// of returns one parameter. An empty one counts as left out (RFC 6749
// section 3.2).
func (a asked) of(parameter string) string { return a.parameters[parameter] }

// read reads the parameters of a request where the endpoint expects them, the
// body before the query.
func (t traits) read(w http.ResponseWriter, r *http.Request, places []Source) asked {
	read := asked{
		method:     r.Method,
		account:    r.Header.Get("fluent.account"),
		parameters: map[string]string{},
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	inQuery := slices.Contains(places, SourceQuery) && read.take(r.URL.Query())
	body := read.bodyOf(r, places)
	inBody := read.take(body.values)
	read.source = sourceOf(inQuery, inBody, body.source)
	t.client(&read, r)
	return read
}

// body is the parameters of a request's body.
type body struct {
	source Source
	values url.Values
}

// bodyOf reads a body in an encoding that the endpoint knows; one in another
// encoding is not seen.
func (a *asked) bodyOf(r *http.Request, places []Source) body {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind == "application/json" && slices.Contains(places, SourceJSON) {
		return body{SourceJSON, a.readJSON(r)}
	}
	if r.ParseForm() != nil {
		// The parser's error quotes what it could not read, which may be a secret.
		a.malformed = "Unreadable parameters"
	}
	if !slices.Contains(places, SourceForm) {
		return body{}
	}
	return body{SourceForm, r.PostForm}
}

// readJSON reads an object of strings.
func (a *asked) readJSON(r *http.Request) url.Values {
	var object map[string]string
	if json.NewDecoder(r.Body).Decode(&object) != nil {
		a.malformed = "Unreadable parameters"
	}
	values := url.Values{}
	for name, value := range object {
		values.Set(name, value)
	}
	return values
}

// take adds the known parameters of one place over those taken before, and
// reports whether there were any.
func (a *asked) take(from url.Values) bool {
	found := false
	for _, name := range knownParameters {
		values := from[name]
		if len(values) == 0 {
			continue
		}
		found = true
		a.parameters[name] = values[0]
		if len(values) > 1 {
			a.malformed = "Repeated parameter: " + name
		}
	}
	return found
}

func sourceOf(inQuery, inBody bool, body Source) Source {
	switch {
	case inQuery && inBody:
		return SourceBoth
	case inQuery:
		return SourceQuery
	case inBody:
		return body
	}
	return SourceNone
}

// clientInParameters is the client that identifies itself like any other
// parameter.
func (a *asked) clientInParameters(*http.Request) {
	if a.of("client_secret") != "" {
		a.clientAuth = ClientAuthBody
	}
}

// clientInParametersOrBasic knows HTTP Basic too (RFC 6749 section 2.3.1), but
// not both at once (section 2.3).
func (a *asked) clientInParametersOrBasic(r *http.Request) {
	a.clientInParameters(r)
	id, secret, ok := r.BasicAuth()
	if !ok {
		return
	}
	if a.clientAuth != "" {
		a.malformed = "More than one client authentication"
	}
	id, badID := url.QueryUnescape(id)
	secret, badSecret := url.QueryUnescape(secret)
	if badID != nil || badSecret != nil {
		a.malformed = "Unreadable client authentication"
	}
	a.parameters["client_id"], a.parameters["client_secret"], a.clientAuth = id, secret, ClientAuthBasic
}

// clientInIBMHeaders is the client in the headers of Nordea's gateway, and
// nowhere else.
func (a *asked) clientInIBMHeaders(r *http.Request) {
	a.parameters["client_id"] = r.Header.Get("X-IBM-Client-Id")
	a.parameters["client_secret"] = r.Header.Get("X-IBM-Client-Secret")
	if a.of("client_secret") != "" {
		a.clientAuth = ClientAuthHeader
	}
}
