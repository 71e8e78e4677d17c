package provider

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadRevocation(t *testing.T) {
	body := func(status int, body string) Reply {
		return Reply{Status: status, Header: http.Header{}, Body: []byte(body)}
	}
	moved := body(307, "")
	moved.Header.Set("Location", "https://elsewhere.example/revoke?token=hidden")
	for name, c := range map[string]struct {
		reply   Reply
		revoked bool
		problem Problem
		why     string
	}{
		"documented":  {readRecorded(t, "testdata/commerceLayer/reply-revoked.http"), true, Problem{}, "Commerce Layer answers with an empty object"},
		"empty":       {body(200, ""), true, Problem{}, "RFC 7009 section 2.2: the body does not matter"},
		"no content":  {body(204, ""), true, Problem{}, "nothing is told by a 2xx but that it is done"},
		"refused":     {body(401, `{"error":"invalid_client","error_description":"who?"}`), false, Problem{401, "invalid_client", "who?"}, "the token lives on"},
		"unsupported": {body(400, `{"error":"unsupported_token_type"}`), false, Problem{400, "unsupported_token_type", ""}, "RFC 7009 section 2.2.1"},
		"try later":   {body(503, "<html>"), false, Problem{503, "", "an HTML page, not a reply of the API"}, "RFC 7009 section 2.2.1: the token still exists"},
		"redirect":    {moved, false, Problem{307, Redirect, "redirects to elsewhere.example, which is not followed"}, "it would take the token elsewhere"},
	} {
		problem, revoked := ReadRevocation(c.reply)
		if diff := cmp.Diff(c.problem, problem); revoked != c.revoked || diff != "" {
			t.Errorf("%s: revoked %t, %s (%s)", name, revoked, diff, c.why)
		}
	}
}
