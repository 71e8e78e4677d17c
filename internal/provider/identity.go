package provider

import (
	"maps"
	"net/http"
	"slices"
)

// neutralHeaders say how a reply is to be written, or which program asks. They select no recipient, so they can change
// while a token family lives.
var neutralHeaders = map[string]bool{
	"Accept":           true,
	"Accept-Charset":   true,
	"Accept-Encoding":  true,
	"Accept-Language":  true,
	"Cache-Control":    true,
	"Content-Language": true,
	"Content-Type":     true, // an API sets its own
	"Pragma":           true,
	"Prefer":           true,
	"User-Agent":       true,
}

// identifying returns the headers that may select a tenant or a server behind the endpoint: all that are not known to be
// neutral. As in a request, the last of two spellings of one name counts.
func (o Options) identifying() map[string]string {
	headers := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(o.Headers)) {
		if canonical := http.CanonicalHeaderKey(name); !neutralHeaders[canonical] {
			headers[canonical] = o.Headers[name]
		}
	}
	return headers
}
