package provider

import (
	"bufio"
	"encoding/json"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// asked is a request without what HTTP leaves open: the order of parameters and the case of names.
type asked struct {
	Method, Endpoint string
	Source           ParameterStyle
	Client           map[string]string // the headers that name the client
	Parameters       map[string]string
}

// The examples of the APIs' documentation, written down from there and not from what this package builds. Where they come from is in
// testdata/README.md.
func documentedRequests() map[string]asked {
	const fluent, layer = "https://account.sandbox.api.fluentretail.com/oauth/token", "https://yourdomain.commercelayer.io/oauth/"
	const nordea, standard = "https://api.nordeaopenbanking.com/v3/", "https://server.example.com/"
	ibm := map[string]string{"X-Ibm-Client-Id": "your-client-id", "X-Ibm-Client-Secret": "your-client-secret"}
	basic := map[string]string{"Authorization": "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW"}
	login := from("username=fluent-api&password=fluent-staging&scope=api&client_id=fluent-api&client_secret=ca5ce9a8-2f2e-4b4a-b8da-767f79fc81a9&grant_type=password")
	refresh := from("refresh_token=zVusnPsE3dPjXEi4b1p6DYHoL8E&scope=api&client_id=fluent-api&client_secret=ca5ce9a8-2f2e-4b4a-b8da-767f79fc81a9&grant_type=refresh_token")
	integration := from("username=fluent-api&password=fluent-staging&scope=retailer&client_id=FLUENT_INTEGRATION&grant_type=password")
	channel := from("grant_type=refresh_token&refresh_token=your-refresh-token&client_id=your-client-id")
	webapp := from("grant_type=refresh_token&refresh_token=your-refresh-token&client_id=your-client-id&client_secret=your-client-secret")
	code, again := from("grant_type=authorization_code&code={CODE}"), from("grant_type=refresh_token&refresh_token={CODE}")
	return map[string]asked{
		"fluent/request-password-query":               {"POST", fluent, Query, nil, login},
		"fluent/request-password":                     {"POST", fluent, Form, nil, login},
		"fluent/request-refresh-query":                {"POST", fluent, Query, nil, refresh},
		"fluent/request-refresh":                      {"POST", fluent, Form, nil, refresh},
		"fluent/request-integration-query":            {"POST", fluent, Query, nil, integration},
		"fluent/request-integration":                  {"POST", fluent, Form, nil, integration},
		"commerceLayer/request-refresh-sales-channel": {"POST", layer + "token", JSON, nil, channel},
		"commerceLayer/request-refresh-webapp":        {"POST", layer + "token", JSON, nil, webapp},
		"commerceLayer/request-revoke-sales-channel":  {"POST", layer + "revoke", JSON, nil, from("client_id=your-client-id&token=your-refresh-token")},
		"nordea/request-code-alone":                   {"POST", nordea + "authorize/token", Form, ibm, code},
		"nordea/request-refresh-redirect":             {"POST", nordea + "authorize/token", Form, ibm, again},
		"nordea/request-code-decoupled":               {"POST", nordea + "authorize-decoupled/token", JSON, ibm, code},
		"nordea/request-refresh-decoupled":            {"POST", nordea + "authorize-decoupled/token", JSON, ibm, again},
		"oauth2/request-refresh-body": {"POST", standard + "token", Form, nil,
			from("grant_type=refresh_token&refresh_token=tGzv3JOkF0XG5Qx2TlKWIA&client_id=s6BhdRkqt3&client_secret=7Fjfp0ZBr1KtDRbnfVdmIw")},
		"oauth2/request-code-basic": {"POST", standard + "token", Form, basic,
			from("grant_type=authorization_code&code=SplxlOBeZQQYbYS6WxSbIA&redirect_uri=https%3A%2F%2Fclient%2Eexample%2Ecom%2Fcb")},
		"oauth2/request-password-basic":           {"POST", standard + "token", Form, basic, from("grant_type=password&username=johndoe&password=A3ddj3w")},
		"oauth2/request-client-credentials-basic": {"POST", standard + "token", Form, basic, from("grant_type=client_credentials")},
		"oauth2/request-refresh-basic":            {"POST", standard + "token", Form, basic, from("grant_type=refresh_token&refresh_token=tGzv3JOkF0XG5Qx2TlKWIA")},
		"oauth2/request-revoke-basic":             {"POST", standard + "revoke", Form, basic, from("token=45ghiukldjahdnhzdauz&token_type_hint=refresh_token")},
	}
}

// from takes parameters out of a query or a form, each of which comes once.
func from(encoded string) map[string]string {
	values, err := url.ParseQuery(encoded)
	if err != nil {
		panic(err)
	}
	parameters := map[string]string{}
	for name, value := range values {
		parameters[name] = strings.Join(value, " and ")
	}
	return parameters
}

// TestRequestsAreTheDocumentedOnes compares what is recorded, and so what is sent, with the examples of the documentation.
func TestRequestsAreTheDocumentedOnes(t *testing.T) {
	for name, want := range documentedRequests() {
		if diff := cmp.Diff(want, recordedRequest(t, filepath.Join("testdata", name+".http"))); diff != "" {
			t.Errorf("%s is not the documented request (-documented +recorded)\n%s", name, diff)
		}
	}
}

// recordedRequest reads a request that onTheWire wrote.
func recordedRequest(t *testing.T, path string) asked {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := strings.Cut(string(content), "\n\n")
	request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + "\n\n")))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	read := asked{Method: request.Method, Endpoint: "https://" + strings.ToLower(request.Host) + request.URL.Path}
	for _, name := range []string{"Authorization", "X-Ibm-Client-Id", "X-Ibm-Client-Secret"} {
		if value := request.Header.Get(name); value != "" {
			read.Client = with(read.Client, name, value)
		}
	}
	if read.Source, read.Parameters, err = sources(request, body); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return read
}

func with(headers map[string]string, name, value string) map[string]string {
	if headers == nil {
		headers = map[string]string{}
	}
	headers[name] = value
	return headers
}

// sources finds the parameters in the one place where they are; a request that has some in two is of no style.
func sources(request *http.Request, body string) (ParameterStyle, map[string]string, error) {
	var object map[string]string
	query := request.URL.RawQuery
	switch kind := request.Header.Get("Content-Type"); {
	case kind == "application/json" && query == "":
		err := json.Unmarshal([]byte(body), &object)
		return JSON, object, err
	case kind == "application/x-www-form-urlencoded" && query == "":
		return Form, from(body), nil
	case kind == "" && body == "":
		return Query, from(query), nil
	}
	return "", nil, nil
}

var listed = regexp.MustCompile("`([a-zA-Z0-9]+/(?:request|reply)-[a-z0-9-]+)`")

// TestEveryRecordedFileIsListed: testdata/README.md tells of each file where it comes from, and of no file that is not there.
func TestEveryRecordedFileIsListed(t *testing.T) {
	text, err := os.ReadFile("testdata/README.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]int{}
	for _, match := range listed.FindAllStringSubmatch(string(text), -1) {
		told[match[1]]++
	}
	files, err := fs.Glob(os.DirFS("testdata"), "*/*.http")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(file, ".http")
		if told[name] == 0 {
			t.Errorf("testdata/%s is not in testdata/README.md", file)
		}
		delete(told, name)
	}
	for _, name := range slices.Sorted(maps.Keys(told)) {
		t.Errorf("testdata/README.md tells of %s, which is not there", name)
	}
	for name := range documentedRequests() {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("testdata/README.md does not tell where the example %s is from", name)
		}
	}
}
