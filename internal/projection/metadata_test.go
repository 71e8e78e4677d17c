package projection

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

func TestMetadataOfOtherDomains(t *testing.T) {
	none, one, below, all := Domains{}, Domains{"argocd.argoproj.io"}, Domains{"*.example.com"}, Domains{"*"}
	tests := map[string]struct {
		why     string
		domains Domains
		key     string
		allowed bool
	}{
		"no domain":                     {"no controller has it as its own", none, "team", true},
		"recommended":                   {"Kubernetes recommends them for every object", none, "app.kubernetes.io/part-of", true},
		"below the recommended":         {"it is another domain", none, "x.app.kubernetes.io/a", false},
		"Kubernetes":                    {"its controllers act on them", none, "kubernetes.io/service-account.name", false},
		"another":                       {"its controller acts on it", none, "argocd.argoproj.io/secret-type", false},
		"another, named":                {"the flag names it", one, "argocd.argoproj.io/secret-type", true},
		"another, in capitals":          {"annotations may have them", one, "ArgoCD.argoproj.io/secret-type", true},
		"below one that is named":       {"a name is one domain", one, "x.argocd.argoproj.io/a", false},
		"above one that is named":       {"a name is one domain", one, "argoproj.io/a", false},
		"below a pattern":               {"any depth", below, "a.b.example.com/c", true},
		"the pattern itself":            {"*. stands for what is below", below, "example.com/c", false},
		"a name that ends so":           {"a dot is a dot", below, "badexample.com/c", false},
		"everything":                    {"the flag says so", all, "argocd.argoproj.io/secret-type", true},
		"recommended in capitals":       {"it is the same domain", none, "App.Kubernetes.io/a", true},
		"a name that begins as another": {"the whole domain counts", one, "argocd.argoproj.io.example.com/a", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			target := v1alpha1.TargetSpec{
				Labels:      map[string]v1alpha1.LabelValue{test.key: "x"},
				Annotations: map[string]string{test.key: "x"},
			}
			want := map[string]string{}
			if test.allowed {
				want[test.key] = "x"
			}
			if diff := cmp.Diff(want, Allowed(test.domains, target.Labels)); diff != "" {
				t.Errorf("labels: %s (-want +got)\n%s", test.why, diff)
			}
			if diff := cmp.Diff(want, Allowed(test.domains, target.Annotations)); diff != "" {
				t.Errorf("annotations: %s (-want +got)\n%s", test.why, diff)
			}
			if said := test.domains.Ignored(target); (said == "") != test.allowed {
				t.Errorf("says %q: %s", said, test.why)
			}
		})
	}
}

func TestIgnoredMetadataIsNamed(t *testing.T) {
	target := v1alpha1.TargetSpec{
		Labels: map[string]v1alpha1.LabelValue{
			"team": "shop", "argocd.argoproj.io/secret-type": "cluster", "auth.fluent-credential.dev/token-uid": "x",
		},
		Annotations: map[string]string{"reloader.stakater.com/match": "true"},
	}
	want := "the token is published without spec.target.labels.argocd.argoproj.io/secret-type and 1 more: the operator's flag " +
		"--allowed-target-metadata does not name the domain argocd.argoproj.io. Add it there, or remove the key"
	if diff := cmp.Diff(want, Domains{}.Ignored(target)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	want = "the token is published without spec.target.annotations.reloader.stakater.com/match: the operator's flag " +
		"--allowed-target-metadata does not name the domain reloader.stakater.com. Add it there, or remove the key"
	if diff := cmp.Diff(want, Domains{"argocd.argoproj.io"}.Ignored(target)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestTypesOfTargets(t *testing.T) {
	tests := map[string]struct {
		why     string
		kind    string
		allowed bool
	}{
		"none":                 {"it is Opaque", "", true},
		"Opaque":               {"the default", "Opaque", true},
		"basic auth":           {"a token can be a password", "kubernetes.io/basic-auth", true},
		"docker":               {"a registry takes a token", "kubernetes.io/dockerconfigjson", true},
		"docker, old":          {"a registry takes a token", "kubernetes.io/dockercfg", true},
		"certificate":          {"no token is one", "kubernetes.io/tls", false},
		"key":                  {"no token is one", "kubernetes.io/ssh-auth", false},
		"of a service account": {"Kubernetes would put a token into it", "kubernetes.io/service-account-token", false},
		"bootstrap token":      {"it lets a node join", "bootstrap.kubernetes.io/token", false},
		"state":                {"it is the operator's own", v1alpha1.StateSecretType, false},
		"release of Helm":      {"the next upgrade acts on it", "helm.sh/release.v1", false},
		"of another project":   {"its controller acts on it", "example.com/token", false},
		"opaque":               {"names have a case", "opaque", false},
	}
	data := map[string]string{
		"username": "x", ".dockercfg": "{}", ".dockerconfigjson": "{}", "tls.crt": "x", "tls.key": "x", "ssh-privatekey": "x",
	}
	for name, test := range tests {
		target := v1alpha1.TargetSpec{Type: test.kind, Data: data}
		if found := Problems("orders", target); (len(found) == 0) != test.allowed {
			t.Errorf("%s: %q, but %s", name, found, test.why)
		}
	}
	stored := v1alpha1.TargetSpec{Type: "example.com/token"}
	if found := PublishedProblems("orders", stored); len(found) > 0 {
		t.Errorf("a target that is published cannot keep its type: %q", found)
	}
}
