package install

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// objectsOf are the objects of a stream of manifests, by kind, namespace and name.
func objectsOf(t *testing.T, text string) map[string]map[string]any {
	t.Helper()
	objects := map[string]map[string]any{}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewBufferString(text), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(object.Object) == 0 {
			continue
		}
		id := strings.Join([]string{object.GetKind(), object.GetNamespace(), object.GetName()}, " ")
		if objects[id] != nil {
			t.Errorf("%s is there twice", id)
		}
		objects[id] = object.Object
	}
}

// rendered is what the chart makes, as a release of the manifests' name in the manifests' namespace.
func rendered(t *testing.T, values ...string) map[string]map[string]any {
	t.Helper()
	arguments := []string{"template", operatorName, "dist/chart", "--namespace", system}
	for _, value := range values {
		arguments = append(arguments, "--set-json", value)
	}
	text, err := tool("helm", arguments...)
	if err != nil {
		t.Fatal(err)
	}
	return objectsOf(t, text)
}

// TestChartMakesWhatTheManifestsMake compares object by object. The namespace is Helm's business, and the CRD is told to stay.
func TestChartMakesWhatTheManifestsMake(t *testing.T) {
	for name, test := range map[string]struct {
		manifests []string
		values    []string
	}{
		"the default":    {[]string{"config", "default"}, nil},
		"for namespaces": {[]string{"config", "namespaced"}, []string{`namespaces=["shop","warehouse"]`}},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := kustomize(test.manifests...)
			if err != nil {
				t.Fatal(err)
			}
			want := objectsOf(t, text)
			delete(want, "Namespace  "+system)
			got := rendered(t, test.values...)
			for _, plural := range []string{"fluentcredentials", "fluenttokens"} {
				crd := got["CustomResourceDefinition  "+plural+".auth.fluent-credential.dev"]
				unstructured.RemoveNestedField(crd, "metadata", "annotations", "helm.sh/resource-policy")
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-manifests +chart)\n%s", diff)
			}
		})
	}
}

// TestChartValues holds that each value does what it says.
func TestChartValues(t *testing.T) {
	for name, test := range map[string]struct {
		why    string
		values []string
		object string
		want   string // in the object; empty: there is no such object
	}{
		"image by digest": {"pinned", []string{`image.digest="sha256:` + strings.Repeat("a", 64) + `"`},
			"Deployment " + system + " " + operatorName, "fluent-credential-operator@sha256:aaa"},
		"image by version":     {"the chart's", []string{`image.tag=""`}, "Deployment " + system + " " + operatorName, "fluent-credential-operator:0.1.0"},
		"allowed hosts":        {"a flag", []string{`allowedHosts=["*.api.fluentretail.com"]`}, "Deployment " + system + " " + operatorName, "--allowed-hosts=*.api.fluentretail.com"},
		"target metadata":      {"a flag", []string{`allowedTargetMetadata=["argocd.argoproj.io","*.example.com"]`}, "Deployment " + system + " " + operatorName, "--allowed-target-metadata=argocd.argoproj.io,*.example.com"},
		"target metadata, too": {"the policy has the same list", []string{`allowedTargetMetadata=["argocd.argoproj.io","*.example.com"]`}, "ValidatingAdmissionPolicy  fluent-credential-operator-secrets", `{expression:[\argocd.argoproj.io\,\*.example.com\],name:domains}`},
		"host rate":            {"a flag", []string{`hostRate=30`}, "Deployment " + system + " " + operatorName, "--host-rate=30"},
		"concurrency":          {"a flag", []string{`maxConcurrentExchanges=4`}, "Deployment " + system + " " + operatorName, "--max-concurrent-exchanges=4"},
		"more flags":           {"a flag", []string{`extraArgs=["--zap-log-level=2"]`}, "Deployment " + system + " " + operatorName, "--zap-log-level=2"},
		"journal on a claim":   {"outlives the pod", []string{`journal.volume={"emptyDir":null,"persistentVolumeClaim":{"claimName":"journal"}}`}, "Deployment " + system + " " + operatorName, "claimName:journal"},
		"no delivery":          {"a right not given", []string{`delivery.permitted=false`}, "ClusterRole  " + operatorName + "-delivery", ""},
		"no policies":          {"an older cluster", []string{`admissionPolicies.enabled=false`}, "ValidatingAdmissionPolicy  fluent-credential-state-secrets", ""},
		"no network policy":    {"another one is there", []string{`networkPolicy.enabled=false`}, "NetworkPolicy " + system + " " + operatorName + "-allow-metrics", ""},
		"no disruption":        {"one replica", []string{`podDisruptionBudget.enabled=false`}, "PodDisruptionBudget " + system + " " + operatorName, ""},
		"no CRD":               {"installed by somebody else", []string{`crd.install=false`}, "CustomResourceDefinition  fluentcredentials.auth.fluent-credential.dev", ""},
		"CRD that goes":        {"a test cluster", []string{`crd.keep=false`}, "CustomResourceDefinition  fluentcredentials.auth.fluent-credential.dev", "fluentcredentials"},
		"another's priority":   {"it exists", []string{`priorityClass={"create":false,"name":"high"}`}, "Deployment " + system + " " + operatorName, "priorityClassName:high"},
		"no priority class":    {"it exists", []string{`priorityClass={"create":false,"name":"high"}`}, "PriorityClass  high", ""},
		"no right on Secrets":  {"namespaces are listed", []string{`namespaces=["shop"]`}, "ClusterRole  " + operatorName, ""},
	} {
		t.Run(name, func(t *testing.T) {
			object, there := rendered(t, test.values...)[test.object]
			text, _ := (&unstructured.Unstructured{Object: object}).MarshalJSON()
			spelled := strings.ReplaceAll(string(text), `"`, "")
			if there != (test.want != "") || !strings.Contains(spelled, test.want) {
				t.Errorf("there: %t, and no %q in it (%s): %s", there, test.want, test.why, spelled)
			}
		})
	}
}

func TestChartRefusesValuesThatMeanNothing(t *testing.T) {
	for _, value := range []string{`replica=3`, `namespaces="shop"`, `allowedHosts=["https://example.com"]`, `replicas=0`, `delivery.permited=true`, `allowedTargetMetadata=["argocd.argoproj.io/secret-type"]`} {
		if text, err := tool("helm", "template", operatorName, "dist/chart", "--set-json", value); err == nil {
			t.Errorf("%s was taken: %d bytes", value, len(text))
		}
	}
}

// TestChartLifecycle installs, upgrades and removes a release, with the real helm on a real API server.
func TestChartLifecycle(t *testing.T) {
	if _, err := tool("helm", "version"); err != nil {
		t.Fatal(err)
	}
	c, err := newCluster(func() (string, error) { return kustomize("config", "crd") })
	if err != nil {
		t.Fatal(err)
	}
	if out, err := c.kubectl(c.config, "", "delete", "crd", "--all"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := writeKubeconfig(kubeconfig, c.config); err != nil {
		t.Fatal(err)
	}
	helm := func(arguments ...string) {
		t.Helper()
		command := exec.Command(root("bin", "tools", "helm"), append(arguments, "--kubeconfig", kubeconfig, "--namespace", system)...)
		command.Env = append(os.Environ(), "HELM_CACHE_HOME="+t.TempDir(), "HELM_CONFIG_HOME="+t.TempDir(), "HELM_DATA_HOME="+t.TempDir())
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("helm %v: %v: %s", arguments, err, out)
		}
	}
	helm("install", operatorName, root("dist", "chart"), "--create-namespace")
	if args := c.deployed(t).Spec.Template.Spec.Containers[0].Args; len(args) != 3 {
		t.Errorf("the operator's flags: %v", args)
	}
	helm("upgrade", operatorName, root("dist", "chart"), "--set", "hostRate=30")
	if args := c.deployed(t).Spec.Template.Spec.Containers[0].Args; len(args) != 4 {
		t.Errorf("the operator's flags after the upgrade: %v", args)
	}
	helm("uninstall", operatorName)
	if out, err := c.kubectl(c.config, "", "get", "deployments,roles,rolebindings,poddisruptionbudgets,networkpolicies", "-n", system, "-o", "name"); err != nil || out != "" && !strings.HasPrefix(out, "No resources") {
		t.Errorf("the release left behind: %s %v", out, err)
	}
	if out, err := c.kubectl(c.config, "", "get", "crd", "fluentcredentials.auth.fluent-credential.dev", "-o", "name"); err != nil {
		t.Errorf("the CRD went, and with it every FluentCredential: %s", out)
	}
}
