package rights

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// Split takes the resource apart.
func (r Right) Split() (resource, group, subresource string) {
	whole, subresource, _ := strings.Cut(r.Resource, "/")
	resource, group, _ = strings.Cut(whole, ".")
	return resource, group, subresource
}

// CanI are the arguments of kubectl that ask the API server for the right.
func (r Right) CanI() []string {
	whole, subresource, _ := strings.Cut(r.Resource, "/")
	arguments := []string{"auth", "can-i", r.Verb, whole, "--as=" + Account}
	if subresource != "" {
		arguments = append(arguments, "--subresource="+subresource)
	}
	if r.Namespace == "" {
		return append(arguments, "--all-namespaces")
	}
	return append(arguments, "--namespace="+r.Namespace)
}

// operations are how a verb is tried. What would change something is a dry run, and what is named does not exist, so that an attempt
// which is permitted does no harm.
var operations = map[string]struct {
	method string
	named  bool
	query  string
}{
	"get":              {http.MethodGet, true, ""},
	"list":             {http.MethodGet, false, "limit=1"},
	"watch":            {http.MethodGet, false, "watch=true&timeoutSeconds=1"},
	"create":           {http.MethodPost, false, "dryRun=All"},
	"update":           {http.MethodPut, true, "dryRun=All"},
	"patch":            {http.MethodPatch, true, "dryRun=All"},
	"delete":           {http.MethodDelete, true, "dryRun=All"},
	"deletecollection": {http.MethodDelete, false, "dryRun=All"},
}

// versions are those of groups that have no v1.
var versions = map[string]string{"auth.fluent-credential.dev": "v1alpha1"}

// nobody is the name of what is tried: there is none of that name.
const nobody = "nobody-has-this-name"

// Attempt tries what the right permits, as who the configuration says, and reports whether RBAC let it pass. What became of it then (there
// is no such object, an empty one is not valid, a policy is against it) is all the same.
func (r Right) Attempt(ctx context.Context, who *rest.Config) (bool, error) {
	client, err := rest.HTTPClientFor(who)
	if err != nil {
		return false, err
	}
	request, err := r.request(ctx, who.Host)
	if err != nil {
		return false, err
	}
	response, err := client.Do(request)
	if err != nil {
		return false, err
	}
	defer func() { _ = response.Body.Close() }()
	switch {
	case response.StatusCode == http.StatusUnauthorized:
		return false, fmt.Errorf("%s %s: nobody knows who asks", request.Method, request.URL.Path)
	case response.StatusCode != http.StatusForbidden:
		return true, nil
	}
	var status metav1.Status
	if err := json.NewDecoder(response.Body).Decode(&status); err != nil {
		return false, err
	}
	return !strings.Contains(status.Message, " cannot "+r.attempted()), nil // else it is an admission policy's refusal
}

// attempted is the verb of the attempt: "bind" is something that is checked when a binding is made.
func (r Right) attempted() string {
	if r.Verb == "bind" {
		return "create"
	}
	return r.Verb
}

func (r Right) request(ctx context.Context, host string) (*http.Request, error) {
	switch r.Verb {
	case "impersonate":
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, host+"/api/v1/namespaces", nil)
		if err == nil {
			request.Header.Set("Impersonate-User", "admin")
		}
		return request, err
	case "bind":
		bound := r
		bound.Verb, bound.Resource = "create", strings.Replace(r.Resource, "roles", "rolebindings", 1)
		return bound.request(ctx, host)
	}
	operation := operations[r.Verb]
	request, err := http.NewRequestWithContext(ctx, operation.method, host+r.path(operation.named)+"?"+operation.query, bytes.NewBufferString("{}"))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if operation.method == http.MethodPatch {
		request.Header.Set("Content-Type", string(types.MergePatchType))
	}
	return request, nil
}

// path is that of the resource, or of one of its objects. A subresource is always one of an object.
func (r Right) path(named bool) string {
	resource, group, subresource := r.Split()
	path := "/api/v1"
	if group != "" {
		path = "/apis/" + group + "/" + cmp.Or(versions[group], "v1")
	}
	if r.Namespace != "" {
		path += "/namespaces/" + r.Namespace
	}
	path += "/" + resource
	if named || subresource != "" {
		path += "/" + nobody
	}
	if subresource != "" {
		path += "/" + subresource
	}
	return path
}
