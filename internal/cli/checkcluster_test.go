package cli

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// closedPort is the address of an API server that is not there.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // it is only its number
	return "https://" + listener.Addr().String()
}

// kubeconfigFor is a kubeconfig with a user of its own.
func kubeconfigFor(t *testing.T, server, user string) string {
	t.Helper()
	text := `{"apiVersion":"v1","kind":"Config","current-context":"x",
"clusters":[{"name":"x","cluster":{"server":"` + server + `","insecure-skip-tls-verify":true}}],
"users":[{"name":"x","user":{` + user + `}}],"contexts":[{"name":"x","context":{"cluster":"x","user":"x"}}]}`
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCheckWithoutACluster: a manifest is checked as far as that goes, and nothing of the cluster's trouble is taken
// for the manifest's.
func TestCheckWithoutACluster(t *testing.T) {
	t.Parallel()
	sim := newServer(t, nil)
	stranger := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(stranger.Close)
	broken := filepath.Join(t.TempDir(), "broken.kubeconfig")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	helper := kubeconfigFor(t, cluster.Host,
		`"exec":{"apiVersion":"client.authentication.k8s.io/v1","command":"no-such-program","interactiveMode":"Never"}`)
	tests := map[string]struct {
		why  string
		line []string
		says string
	}{
		"no server": {"as on a train", []string{"--server", closedPort(t)}, "the cluster is not reachable"},
		"no such host": {
			"another network",
			[]string{"--server", "https://no-such-host.invalid"}, "the cluster is not reachable",
		},
		"another's server": {
			"its certificate is not trusted",
			[]string{"--server", stranger.URL}, "a certificate is not accepted",
		},
		"no such context":      {"a slip of the pen", []string{"--context", "nowhere"}, "no cluster is named"},
		"a broken kubeconfig":  {"it cannot be read", []string{"--kubeconfig", broken}, "no cluster is named"},
		"no program for login": {"a new machine", []string{"--kubeconfig", helper}, "no credentials for the cluster"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cred := credential("shop", "orders", sim.URL)
			file := manifest(t, written(cred), writtenLogin("shop", "orders-login", fullLogin()))
			line := append([]string{"check", file, "--insecure-http", "-o", "json"}, test.line...)
			found := levels(t, must(t, 0, "", line...))
			finds(t, found, "cluster", warning, test.says)
			finds(t, found, "manifest", skipped, "the API server did not judge it")
			finds(t, found, "manifest", okay, "nothing in its names would be refused")
			finds(t, found, "login", okay, "allows: password")
			finds(t, found, "endpoint", warning, "without TLS")
			finds(t, found, "templates", okay, "the default keys")
			finds(t, found, "target", skipped, "cannot be")

			cred.Spec.Target.Data = map[string]string{"foo/bar": "x"}
			cred.Spec.Target.Labels = map[string]v1alpha1.LabelValue{"a b": "c"}
			cred.Spec.CredentialsSecretRef.Name = "stock-fluent-state"
			line[1] = manifest(t, written(cred))
			found = levels(t, must(t, exitAttention, "", line...))
			finds(t, found, "manifest", failure, "spec.target.data: invalid key foo/bar")
			finds(t, found, "manifest", failure, "spec.target.labels: invalid key a b")
			finds(t, found, "manifest", failure, "no credentials are read from them")
			for check, all := range found {
				for _, each := range all {
					if strings.Contains(each.Message, "the API server refuses it") {
						t.Errorf("%s: %s (%s)", check, each.Message, test.why)
					}
				}
			}
			contains(t, must(t, exitFailed, "", append([]string{"check", "orders"}, test.line...)...).err, "context")
		})
	}
}

// TestCheckOfAFluentTokenWithoutACluster: whether it is allowed is not known, which is no refusal.
func TestCheckOfAFluentTokenWithoutACluster(t *testing.T) {
	t.Parallel()
	token := map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "FluentToken",
		"metadata": map[string]any{"name": "orders", "namespace": "web"},
		"spec":     map[string]any{"credentialRef": map[string]any{"namespace": "shop", "name": "orders"}},
	}
	found := levels(t, must(t, 0, "", "check", manifest(t, token), "-o", "json", "--server", closedPort(t)))
	finds(t, found, "ftok/orders: consent", skipped, "cannot be looked at")
	finds(t, found, "cluster", warning, "the cluster is not reachable")
}

// TestCheckOfAFluentTokenNamesUnlistedMembers: with both objects in one file, it is known what the owner lists.
func TestCheckOfAFluentTokenNamesUnlistedMembers(t *testing.T) {
	t.Parallel()
	sim := newServer(t, nil)
	cred := credential("shop", "orders", sim.URL)
	cred.Spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{Names: []string{"web"}, ReplyMembers: []string{"tenant"}}
	for template, says := range map[string]string{
		"{{ .Extra.tenant }}":                        "",
		"{{ if .Extra.region }}region{{ end }}":      "",
		"{{ .Extra.region }}":                        "it uses region of the API's reply, which the FluentCredential does not list",
		"{{ .RetailerID }}":                          "it uses RetailerID of the API's reply, which the FluentCredential does not list",
		`{{ or .Extra.region "none" }} {{ .Scope }}`: "",
	} {
		token := map[string]any{
			"apiVersion": v1alpha1.GroupVersion.String(), "kind": "FluentToken",
			"metadata": map[string]any{"name": "orders", "namespace": "web"},
			"spec": map[string]any{
				"credentialRef": map[string]any{"namespace": "shop", "name": "orders"},
				"target":        map[string]any{"data": map[string]any{"k": template}},
			},
		}
		exit, level := 0, okay
		if says != "" {
			exit, level = exitAttention, failure
		}
		file := manifest(t, written(cred), writtenLogin("shop", "orders-login", fullLogin()), token)
		found := levels(t, must(t, exit, "", "check", file, "--insecure-http", "-o", "json", "--server", closedPort(t)))
		finds(t, found, "ftok/orders: templates", level, says)
	}
}

// TestCheckAsAStranger: a user without rights cannot have the manifest judged, and one that the API server does not
// know neither.
func TestCheckAsAStranger(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, nil), newNamespace(t)
	cred := credential(namespace, "orders", sim.URL)
	file := manifest(t, written(cred), writtenLogin(namespace, "orders-login", fullLogin()))
	found := levels(t, must(t, 0, "", "check", file, "--insecure-http", "-o", "json", "--as", "stranger"))
	finds(t, found, "manifest", skipped, "you may not create it")
	finds(t, found, "manifest", okay, "nothing in its names would be refused")

	missing := manifest(t, written(credential("no-such-namespace", "orders", sim.URL)))
	finds(t, levels(t, must(t, exitAttention, "", "check", missing, "--insecure-http", "-o", "json")),
		"manifest", failure, `namespaces "no-such-namespace" not found`)
}

// TestWithoutTheCRD: a cluster on which nothing is installed is no fault of the manifest.
func TestWithoutTheCRD(t *testing.T) {
	t.Parallel()
	bare := &envtest.Environment{}
	if _, err := bare.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bare.Stop() })
	config := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(config, bare.KubeConfig, 0o600); err != nil {
		t.Fatal(err)
	}
	sim := newServer(t, nil)
	cred := credential("default", "orders", sim.URL)
	file := manifest(t, written(cred), writtenLogin("default", "orders-login", fullLogin()))
	found := levels(t, must(t, exitAttention, "", "check", file, "--insecure-http", "-o", "json", "--kubeconfig", config))
	finds(t, found, "manifest", failure, "this cluster does not know the kind")
	for _, line := range [][]string{{"list"}, {"status", "orders"}, {"rotate", "orders"}, {"check", "orders"}} {
		contains(t, must(t, exitFailed, "", append(line, "--kubeconfig", config)...).err, "install the CRD")
	}

	stale := kubeconfigFor(t, bare.Config.Host, `"token":"expired"`)
	found = levels(t, must(t, 0, "", "check", file, "--insecure-http", "-o", "json", "--kubeconfig", stale))
	finds(t, found, "cluster", warning, "the API server does not know you")
	for _, line := range [][]string{{"list"}, {"status", "orders"}, {"doctor"}} {
		contains(t, must(t, exitFailed, "", append(line, "--kubeconfig", stale)...).err, "does not know you")
	}
}

// TestCheckFindsWhatAnEditorLeft: it is named by its entry, and its value is not shown.
func TestCheckFindsWhatAnEditorLeft(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, nil), newNamespace(t)
	cred, login := credential(namespace, "orders", sim.URL), fullLogin()
	login["client_secret"], login["password"] = "\ufeff"+login["client_secret"], login["password"]+" "
	file := manifest(t, written(cred), writtenLogin(namespace, "orders-login", login))
	got := must(t, exitAttention, "", "check", file, "--insecure-http", "-o", "json")
	found := levels(t, got)
	finds(t, found, "login", failure, "entry client_secret of Secret orders-login begins with a byte order mark")
	finds(t, found, "login", warning, "entry password of Secret orders-login ends with white space")
	tellsNoSecret(t, sim, got.out, got.err)
}

// TestNoCommandReadsTheOperatorsOwnSecrets: neither check nor login takes anything from one.
func TestNoCommandReadsTheOperatorsOwnSecrets(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, nil), newNamespace(t)
	state := loginSecret(namespace, "orders-login", fullLogin())
	state.Type = v1alpha1.StateSecretType
	create(t, state)
	create(t, credential(namespace, "orders", sim.URL))
	finds(t, levels(t, must(t, exitAttention, "", "check", "orders", "-n", namespace, "--insecure-http", "-o", "json")),
		"login", failure, "no credentials are read from a Secret of the operator")
	line := []string{"login", "orders", "-n", namespace, "--insecure-http", "--username", "u", "--password-stdin"}
	got := must(t, exitFailed, "p", line...)
	contains(t, got.err, "no credentials are read from a Secret of the operator")
	if requests := sim.Ledger().Requests; requests != 0 {
		t.Errorf("%d requests were sent", requests)
	}
}

// TestWaitingForAClusterThatIsAway: that the API server did not answer is not the same as that nothing happened.
func TestWaitingForAClusterThatIsAway(t *testing.T) {
	t.Parallel()
	s := &session{now: time.Now, ErrOut: newScreen(io.Discard), Out: newScreen(io.Discard)}
	o := &waiting{timeout: 100 * time.Millisecond}
	err := o.await(t.Context(), s, absent{}, []expectation{&renewal{of: key{Namespace: "shop", Name: "orders"}}})
	if code, message := outcome(err); code != exitTimeout || !strings.Contains(message, "gave no answer") {
		t.Errorf("exit code %d: %s", code, message)
	}
}
