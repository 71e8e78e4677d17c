package controllers

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// kubectl runs the real kubectl against the suite's API server; it returns what a user would see, and the exit code's error.
func kubectl(t *testing.T, input string, arguments ...string) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"),
		append([]string{"--kubeconfig", kubeconfig(t, cluster)}, arguments...)...)
	command.Stdin = strings.NewReader(input)
	out, err := command.CombinedOutput()
	return string(out), err
}

func mustKubectl(t *testing.T, input string, arguments ...string) string {
	t.Helper()
	out, err := kubectl(t, input, arguments...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
	return out
}

// manifest is the FluentCredential as a user would write it.
func manifest(t *testing.T, cred *v1alpha1.FluentCredential) string {
	t.Helper()
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "FluentCredential",
		"metadata": map[string]any{"name": cred.Name, "namespace": cred.Namespace},
		"spec": map[string]any{
			"provider":             map[string]any{"fluent": map[string]any{"baseURL": string(cred.Spec.Provider.Fluent.BaseURL)}},
			"credentialsSecretRef": map[string]any{"name": "orders-login"}, "scope": "api", "target": map[string]any{"name": "orders-token"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestKubectl(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, longLived), newNamespace(t)
	startOperator(t, namespace)
	create(t, loginSecret(namespace, "orders-login"))
	cred := credential(namespace, "orders", sim)
	in := []string{"-n", namespace}

	mustKubectl(t, manifest(t, cred), "apply", "--server-side", "-f", "-")
	mustKubectl(t, "", append(in, "wait", "--for=condition=Ready", "--timeout=20s", "fcred/orders")...)
	if out, err := kubectl(t, manifest(t, cred), "diff", "--server-side", "-f", "-"); err != nil || out != "" {
		t.Errorf("kubectl diff sees a difference after apply: %v\n%s", err, out)
	}
	if out := mustKubectl(t, manifest(t, cred), "apply", "--server-side", "-f", "-"); !strings.Contains(out, "serverside-applied") {
		t.Errorf("a second apply says: %s", out)
	}
	if serial := reread(t, cred).Status.Token.Serial; serial != 1 {
		t.Errorf("applying twice rotated: serial %d", serial)
	}
	checkColumns(t, in)
	explained := mustKubectl(t, "", "explain", "fcred.spec.provider.fluent")
	for _, field := range []string{"account", "environment", "baseURL", "parameterStyle", "headers", "caBundle", "sandbox.api.fluentretail.com"} {
		if !strings.Contains(explained, field) {
			t.Errorf("kubectl explain does not tell of %s:\n%s", field, explained)
		}
	}
	if out := mustKubectl(t, "", append(in, "get", "fluent")...); !strings.Contains(out, "orders") {
		t.Errorf("the category fluent does not list it: %s", out)
	}
}

func checkColumns(t *testing.T, in []string) {
	t.Helper()
	out := mustKubectl(t, "", append(in, "get", "fcred", "-o", "wide")...)
	t.Logf("kubectl get fcred -o wide:\n%s", out)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for _, column := range []string{"READY", "STATUS", "SECRET", "EXPIRES", "NEXT REFRESH", "SERIAL", "AGE", "PROVIDER", "GRANT", "MESSAGE"} {
		if !strings.Contains(lines[0], column) {
			t.Errorf("no column %s", column)
		}
	}
	for _, value := range []string{"True", v1alpha1.ReasonTokenPublished, "orders-token", "Z ", " 1 ", "fluent", "password", "holds a valid access token"} {
		if !strings.Contains(lines[1], value) {
			t.Errorf("no column says %q", value)
		}
	}
	if strings.Contains(out, "<invalid>") {
		t.Error("a time to come is printed as <invalid>")
	}
}

func TestKstatus(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		badInput
		want status.Status
	}{
		"valid":            {badInput{why: "workloads have a token"}, status.CurrentStatus},
		"refused":          {badInput{fault: "every: refuse 400 invalid_grant Bad credentials", why: "a person can help"}, status.FailedStatus},
		"provider is away": {badInput{fault: "every: server-error 502", why: "it is tried again"}, status.InProgressStatus},
		"login is missing": {badInput{cred: func(c *v1alpha1.FluentCredential) { c.Spec.CredentialsSecretRef.Name = "nowhere" },
			why: "it may be on its way"}, status.InProgressStatus},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newBad(t, test.badInput)
			if got := kstatus(t, d.cred); got.Status != status.InProgressStatus {
				t.Errorf("before the operator has seen it: %s, want InProgress", got.Status)
			}
			d.settle()
			if got := kstatus(t, d.cred); got.Status != test.want {
				t.Errorf("%s (%s), want %s: %s", got.Status, got.Message, test.want, test.why)
			}
		})
	}
}

func kstatus(t *testing.T, cred *v1alpha1.FluentCredential) *status.Result {
	t.Helper()
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("FluentCredential"))
	result, err := status.Compute(get(t, object, cred.Namespace, cred.Name))
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestNoSecretLeavesTheStateSecret(t *testing.T) {
	t.Parallel()
	r := startReady(t, func(config *authsim.Config) { config.AccessTokenLifetime = 3 * time.Second })
	for _, text := range []string{"every x1 refresh_token: drop-after", "every x1: server-error 500", "every x1: refuse 400 invalid_grant"} {
		serial := reread(t, r.cred).Status.Token.Serial
		r.AddFault(fault(t, text))
		eventually(t, "recovered from "+text, func() (bool, any) {
			now := reread(t, r.cred).Status.Token.Serial
			return now >= serial+2, now
		})
	}
	r.operator.stop() // so that what is read is of one moment
	secrets := append(r.SecretValues(), password, clientSecret)
	for _, kind := range []string{"fluentcredentials.auth.fluent-credential.dev", "events.events.k8s.io", "configmaps", "leases"} {
		searched(t, kind, mustKubectl(t, "", "-n", r.namespace, "get", kind, "-o", "yaml", "--show-managed-fields"), secrets)
	}
	searched(t, "the metrics", r.operator.exposition(t), secrets)
	var refreshTokens []string
	for _, issued := range r.Ledger().RefreshTokens {
		refreshTokens = append(refreshTokens, issued.Value)
	}
	searched(t, "the workload Secret", mustKubectl(t, "", "-n", r.namespace, "get", "secret", "orders-token", "-o", "yaml", "--show-managed-fields"),
		append(refreshTokens, password, clientSecret))
}
