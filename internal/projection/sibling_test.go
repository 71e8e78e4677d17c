package projection

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// TestSiblingDockerConfig: Kubernetes looks into the entry, so no login is spent for one that it refuses.
func TestSiblingDockerConfig(t *testing.T) {
	json, old := string(corev1.SecretTypeDockerConfigJson), string(corev1.SecretTypeDockercfg)
	tests := map[string]struct {
		kind, key, text string
		refused         bool
		why             string
	}{
		"a token alone":     {json, ".dockerconfigjson", "{{ .AccessToken }}", true, "it is no JSON"},
		"an object":         {json, ".dockerconfigjson", `{"auths":{"r.example":{"registrytoken":"{{ .AccessToken }}"}}}`, false, "this is what is meant"},
		"a list":            {json, ".dockerconfigjson", `["{{ .AccessToken }}"]`, true, "it is no object"},
		"a brace too few":   {json, ".dockerconfigjson", `{"auths":{"r.example":{}}`, true, "it is no JSON"},
		"of a member":       {json, ".dockerconfigjson", "{{ .Extra.docker_config }}", false, "only the reply shows it"},
		"the old one":       {old, ".dockercfg", "x{{ .AccessToken }}", true, "it is no JSON"},
		"another type":      {"Opaque", ".dockerconfigjson", "{{ .AccessToken }}", false, "nobody looks into it"},
		"a broken template": {json, ".dockerconfigjson", "{{ .AccessToken", false, "it has a problem of its own"},
		"another entry":     {json, "x", "{{ .AccessToken }}", true, "the entry is missing"},
	}
	for name, test := range tests {
		target := v1alpha1.TargetSpec{Type: test.kind, Data: map[string]string{test.key: test.text}}
		found := strings.Join(Problems("orders", target), "; ")
		if (found != "") != test.refused {
			t.Errorf("%s: %q, but %s", name, found, test.why)
		}
	}
}
