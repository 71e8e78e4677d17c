package provider

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluent-credential/operator/internal/token"
)

var update = flag.Bool("update", false, "write the requests under testdata anew")

// requestCase is one request that an API builds; testdata/<api>/request-<name>.http is what it looks like on the wire.
type requestCase struct {
	api   API
	grant token.Grant
	login token.Login
	why   string
}

func testRequests(t *testing.T, cases map[string]requestCase) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			request, err := c.api.Request(c.grant, c.login)
			if err != nil {
				t.Fatalf("%v, but %s", err, c.why)
			}
			compareRecorded(t, filepath.Join("testdata", c.api.Name(), "request-"+name+".http"), onTheWire(t, request), c.why)
		})
	}
}

// revocationCase is one revocation request; testdata/<api>/request-<name>.http is what it looks like on the wire.
type revocationCase struct {
	api   API
	login token.Login
	why   string
}

func testRevocations(t *testing.T, cases map[string]revocationCase) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			request, ok := c.api.Revocation(c.login)
			if !ok {
				t.Fatalf("there is no revocation, but %s", c.why)
			}
			compareRecorded(t, filepath.Join("testdata", c.api.Name(), "request-"+name+".http"), onTheWire(t, request), c.why)
			if !slices.ContainsFunc(request.Secrets, c.login.Refresh.Equal) {
				t.Error("the refresh token could come back in an error message")
			}
		})
	}
}

func compareRecorded(t *testing.T, path, got, why string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the request differs from %s (-want +got), but %s\n%s", path, why, diff)
	}
}

// onTheWire writes a request as the exchange sends it, but with line feeds, with sorted headers, and without what HTTP itself
// needs.
func onTheWire(t *testing.T, request Request) string {
	t.Helper()
	target, err := url.Parse(request.URL.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "POST %s HTTP/1.1\nHost: %s\n", target.RequestURI(), target.Host)
	for _, name := range slices.Sorted(maps.Keys(request.Header)) {
		fmt.Fprintf(&out, "%s: %s\n", name, request.Header[name].Reveal())
	}
	fmt.Fprintf(&out, "\n%s", request.Body.Reveal())
	return out.String()
}

// replyCase is one recorded reply, testdata/<api>/reply-<file>.http, and what it means as the answer to a grant.
type replyCase struct {
	file  string
	grant token.Grant
	want  meaning
	why   string
}

// meaning is an Answer with its secrets in the open.
type meaning struct {
	Verdict           token.Verdict
	Status            int
	Code, Description string
	RetryAfter        time.Duration
	Access, Refresh   string
	Type, Scope       string
	Life              time.Duration
	LifeUnknown       bool
	Identity          token.Identity
	Extra             map[string]string
}

func meaningOf(answer Answer) meaning {
	set := answer.Set
	seen := meaning{
		Verdict: answer.Verdict, Status: answer.Problem.Status, Code: answer.Problem.Code, Description: answer.Problem.Description,
		RetryAfter: answer.RetryAfter, Access: set.Access.Reveal(), Refresh: set.Refresh.Reveal(), Type: set.Type, Scope: set.Scope,
		Life: set.Life, LifeUnknown: set.LifeUnknown, Identity: set.Identity,
	}
	if len(set.Extra) > 0 {
		seen.Extra = set.Extra
	}
	return seen
}

func testReplies(t *testing.T, api API, cases map[string]replyCase) {
	t.Helper()
	read := map[string]bool{}
	for name, c := range cases {
		path := recordedReply(api, c.file)
		read[path] = true
		t.Run(name, func(t *testing.T) {
			got := meaningOf(api.Read(c.grant, readRecorded(t, path)))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s is read wrongly (-want +got), but %s\n%s", path, c.why, diff)
			}
		})
	}
	for _, path := range recordedReplies(t, api.Name()) {
		if !read[path] {
			t.Errorf("%s is recorded, and no test reads it", path)
		}
	}
}

func recordedReply(api API, file string) string {
	return filepath.Join("testdata", api.Name(), "reply-"+file+".http")
}

func recordedReplies(t testing.TB, api string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", api, "reply-*.http"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no replies of %s are recorded: %v", api, err)
	}
	return paths
}

func readRecorded(t testing.TB, path string) Reply {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(content)), &http.Request{Method: http.MethodPost})
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return Reply{Status: response.StatusCode, Header: response.Header, Body: body}
}

// must takes the configuration of a test to be right.
func must[T API](api T, err error) T {
	if err != nil {
		panic(err)
	}
	return api
}
