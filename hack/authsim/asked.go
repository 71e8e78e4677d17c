package authsim

import (
	"net/http"
	"net/url"
)

// maxBody bounds what is read of any request, in bytes.
const maxBody = 1 << 20

// knownParameters are the ones the vendor documents for its token endpoint.
var knownParameters = []string{
	"grant_type", "username", "password", "refresh_token", "scope", "client_id", "client_secret",
}

// asked is a token request as it was read from the wire.
type asked struct {
	method     string
	account    string // the header fluent.account
	source     Source
	parameters map[string]string
	malformed  string // why the parameters cannot be trusted; empty: they can
}

// of returns one parameter. An empty one counts as left out (RFC 6749
// section 3.2).
func (a asked) of(parameter string) string { return a.parameters[parameter] }

// readAsked reads the parameters of a token request, form before query.
func readAsked(w http.ResponseWriter, r *http.Request) asked {
	read := asked{
		method:     r.Method,
		account:    r.Header.Get("fluent.account"),
		parameters: map[string]string{},
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if r.ParseForm() != nil {
		// The parser's error quotes what it could not read, which may be a secret.
		read.malformed = "Unreadable parameters"
	}
	query := r.URL.Query()
	inQuery := read.take(query)
	inForm := read.take(r.PostForm)
	read.source = sourceOf(inQuery, inForm)
	return read
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

func sourceOf(inQuery, inForm bool) Source {
	switch {
	case inQuery && inForm:
		return SourceBoth
	case inQuery:
		return SourceQuery
	case inForm:
		return SourceForm
	}
	return SourceNone
}
