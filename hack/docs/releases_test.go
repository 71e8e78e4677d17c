package docs

import (
	"io/fs"
	"regexp"
	"testing"
)

// minor is the minor release of Kubernetes that a go.mod requires.
var minor = regexp.MustCompile(`(?m)^\tk8s\.io/kubernetes v(1\.\d+)\.`)

// TestSupportedReleasesAreTested: the pages name the releases of Kubernetes that the tests run against, as a range from the oldest to
// the newest.
func TestSupportedReleasesAreTested(t *testing.T) {
	tree := repository(t)
	built := map[string]string{}
	for _, file := range []string{"go.mod", "oldest.mod"} {
		text, err := fs.ReadFile(tree, "hack/devcluster/"+file)
		if err != nil {
			t.Fatal(err)
		}
		found := minor.FindSubmatch(text)
		if found == nil {
			t.Fatalf("%s requires no k8s.io/kubernetes", file)
		}
		built[file] = string(found[1])
	}
	claim := regexp.MustCompile(`Kubernetes\D{0,12}` + regexp.QuoteMeta(built["oldest.mod"]+" to "+built["go.mod"]))
	for _, page := range []string{"README.md", "docs/install.md", "docs/quickstart.md", "docs/faq.md"} {
		text, err := fs.ReadFile(tree, page)
		if err != nil {
			t.Fatal(err)
		}
		if !claim.Match(text) {
			t.Errorf("%s does not say %q", page, claim)
		}
	}
}
