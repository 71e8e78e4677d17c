package docs

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// sampled is a line that says of the manifest below it which sample it is.
var sampled = regexp.MustCompile(`(?m)^\[(config/samples/[a-z0-9_]+\.yaml)\]\([^)]+\):\s*\z`)

// TestSamplesAreThoseOfTheRepository: a manifest that a page calls a sample is the file, to the letter.
func TestSamplesAreThoseOfTheRepository(t *testing.T) {
	tree, compared := repository(t), 0
	walk(t, []string{".md"}, func(name, page string) {
		parts := blocks(page)
		for n := 1; n < len(parts); n++ {
			match := sampled.FindStringSubmatch(parts[n-1].text)
			if match == nil || !parts[n].code {
				continue
			}
			compared++
			file, err := fs.ReadFile(tree, match[1])
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if string(file) != parts[n].text {
				t.Errorf("%s shows %s otherwise than it is", name, match[1])
			}
		}
	})
	if compared < 5 {
		t.Errorf("only %d samples were compared", compared)
	}
}

// TestManifestsHaveKnownFields: what a page shows as a manifest can be applied.
func TestManifestsHaveKnownFields(t *testing.T) {
	credentials := 0
	walk(t, []string{".md"}, func(name, page string) {
		for _, part := range blocks(page) {
			if part.lang != "yaml" {
				continue
			}
			for _, manifest := range strings.Split(part.text, "\n---\n") {
				credentials += mustBeKnown(t, name, manifest)
			}
		}
	})
	if credentials < 5 {
		t.Errorf("only %d FluentCredentials were read", credentials)
	}
}

// mustBeKnown counts the FluentCredentials among manifests.
func mustBeKnown(t *testing.T, page, manifest string) int {
	t.Helper()
	var err error
	count := 0
	switch {
	case strings.Contains(manifest, "kind: FluentCredential\n"):
		err, count = yaml.UnmarshalStrict([]byte(manifest), &v1alpha1.FluentCredential{}), 1
	case strings.Contains(manifest, "kind: FluentToken\n"):
		err = yaml.UnmarshalStrict([]byte(manifest), &v1alpha1.FluentToken{})
	case strings.Contains(manifest, "kind: Secret\n"):
		err = yaml.UnmarshalStrict([]byte(manifest), &corev1.Secret{})
	}
	if err != nil {
		t.Errorf("%s shows a manifest that is not valid: %v\n%s", page, err, manifest)
	}
	return count
}
