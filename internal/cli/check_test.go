package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// manifest writes objects to a file, as a user would.
func manifest(t *testing.T, objects ...any) string {
	t.Helper()
	var text []string
	for _, object := range objects {
		encoded, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, string(encoded))
	}
	path := filepath.Join(t.TempDir(), "credential.yaml")
	if err := os.WriteFile(path, []byte(strings.Join(text, "---\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// written is the credential as a manifest has it: without a status.
func written(cred *v1alpha1.FluentCredential) map[string]any {
	return map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "FluentCredential",
		"metadata": map[string]any{"name": cred.Name, "namespace": cred.Namespace}, "spec": cred.Spec,
	}
}

func writtenLogin(namespace, name string, data map[string]string) map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": name, "namespace": namespace}, "stringData": data,
	}
}

// levels are the findings by what was looked at.
func levels(t *testing.T, got said) map[string][]finding {
	t.Helper()
	var all []finding
	if err := json.Unmarshal([]byte(got.out), &all); err != nil {
		t.Fatalf("%v in %s%s", err, got.out, got.err)
	}
	found := map[string][]finding{}
	for _, each := range all {
		found[each.Check] = append(found[each.Check], each)
	}
	return found
}

// finds fails the test unless there is a finding of that kind.
func finds(t *testing.T, found map[string][]finding, check string, how level, text string) {
	t.Helper()
	for _, each := range found[check] {
		if each.Level == how && strings.Contains(each.Message, text) {
			if each.Advice == "" && (how == failure || how == warning) {
				t.Errorf("%s: %q comes without advice", check, each.Message)
			}
			return
		}
	}
	t.Errorf("%s: no %s that says %q in %+v", check, how, text, found[check])
}

func TestCheckOfAGoodManifest(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, nil), newNamespace(t)
	cred := credential(namespace, "orders", sim.URL)
	file := manifest(t, written(cred), writtenLogin(namespace, "orders-login", fullLogin()))
	got := must(t, 0, "", "check", file, "--insecure-http", "-o", "json")
	found := levels(t, got)
	finds(t, found, "manifest", okay, "the API server accepts it")
	finds(t, found, "login", okay, "allows: password")
	finds(t, found, "endpoint", warning, "without TLS")
	finds(t, found, "target", okay, "Secret orders-token will be made")
	finds(t, found, "templates", okay, "the default keys")
	tellsNoSecret(t, sim, got.out, got.err)
	if requests := sim.Ledger().Requests; requests != 0 {
		t.Errorf("%d requests were sent", requests)
	}
	if secrets := entriesOf(t, namespace); len(secrets) != 0 {
		t.Errorf("Secrets were made: %v", secrets)
	}
	text := must(t, 0, "", "check", file, "--insecure-http").out
	contains(t, text, "ok    manifest", "warn  endpoint", "-> Use https://")
}

func entriesOf(t *testing.T, namespace string) []string {
	t.Helper()
	var list corev1.SecretList
	if err := live.List(t.Context(), &list, inNamespaceOption(namespace)); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, secret := range list.Items {
		names = append(names, secret.Name)
	}
	return names
}

// TestCheckFinds is one trouble each.
func TestCheckFinds(t *testing.T) {
	t.Parallel()
	sim := newServer(t, nil)
	tests := map[string]struct {
		why    string
		change func(*v1alpha1.FluentCredential, map[string]string)
		check  string
		text   string
	}{
		"two providers": {"admission says no", func(c *v1alpha1.FluentCredential, _ map[string]string) {
			c.Spec.Provider.Nordea = &v1alpha1.NordeaProvider{}
		}, "manifest", "set exactly one of"},
		"no client":      {"no API works without", func(_ *v1alpha1.FluentCredential, l map[string]string) { delete(l, "client_id") }, "login", "has no client_id"},
		"empty password": {"as good as none", func(_ *v1alpha1.FluentCredential, l map[string]string) { l["password"] = "\n" }, "login", "nothing that the API fluent takes"},
		"renamed key": {"it is looked for under its name", func(c *v1alpha1.FluentCredential, _ map[string]string) {
			c.Spec.CredentialsSecretRef.Keys = map[string]v1alpha1.SecretKey{"client_id": "APP"}
		}, "login", "has no APP"},
		"no such host": {"a slip of the pen", func(c *v1alpha1.FluentCredential, _ map[string]string) {
			c.Spec.Provider.Fluent.BaseURL = "http://no-such-host.invalid"
		}, "endpoint", "no-such-host.invalid"},
		"closed port": {"nobody listens", func(c *v1alpha1.FluentCredential, _ map[string]string) {
			c.Spec.Provider.Fluent.BaseURL = "http://127.0.0.1:1"
		}, "endpoint", "connection refused"},
		"forbidden address": {"where clouds give credentials away", func(c *v1alpha1.FluentCredential, _ map[string]string) {
			c.Spec.Provider.Fluent.BaseURL = "http://169.254.169.254"
		}, "endpoint", "never allowed"},
		"broken template": {"nothing could be published", func(c *v1alpha1.FluentCredential, _ map[string]string) {
			c.Spec.Target.Data = map[string]string{"token": "{{.AccesToken}}"}
		}, "templates", "AccesToken"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace, login := newNamespace(t), fullLogin()
			cred := credential(namespace, "orders", sim.URL)
			test.change(cred, login)
			got := must(t, exitAttention, "", "check", manifest(t, writtenLogin(namespace, "orders-login", login), written(cred)), "--insecure-http", "-o", "json")
			finds(t, levels(t, got), test.check, failure, test.text)
			tellsNoSecret(t, sim, got.out, got.err)
		})
	}
}

func TestCheckAgainstTheCluster(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, nil), newNamespace(t)
	create(t, loginSecret(namespace, "orders-login", fullLogin()))
	create(t, credential(namespace, "orders", sim.URL))
	check := func(code int, cred *v1alpha1.FluentCredential) map[string][]finding {
		t.Helper()
		return levels(t, must(t, code, "", "check", manifest(t, written(cred)), "--insecure-http", "-o", "json"))
	}
	finds(t, check(exitAttention, credential(namespace, "missing", sim.URL)), "login", failure, "Secret missing-login does not exist")
	same := credential(namespace, "same", sim.URL)
	same.Spec.CredentialsSecretRef.Name = "orders-login"
	finds(t, check(exitAttention, same), "login", failure, "FluentCredential orders has the same login")
	same.Spec.Target.Name = "orders-token"
	finds(t, check(exitAttention, same), "target", failure, "FluentCredential orders has the target orders-token too")
	same.Spec.Target.Name = "taken"
	create(t, loginSecret(namespace, "taken", map[string]string{"a": "b"}))
	finds(t, check(exitAttention, same), "target", failure, "belongs to somebody else")
	same.Spec.CredentialsSecretRef.Name, same.Spec.Target.Name = "missing", "orders-login"
	finds(t, check(exitAttention, same), "target", failure, "is the login of FluentCredential orders")

	got := must(t, 0, "", "check", "orders", "-n", namespace, "--insecure-http")
	contains(t, got.out, "Secret orders-login allows: password")
	again := credential(namespace, "orders", sim.URL)
	finds(t, check(0, again), "manifest", okay, "the API server accepts it") // it exists: an update is tried
}

func TestCheckTLS(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	listener := httptest.NewTLSServer(nil)
	t.Cleanup(listener.Close)
	cred := credential(namespace, "orders", listener.URL)
	login := writtenLogin(namespace, "orders-login", fullLogin())
	finds(t, levels(t, must(t, exitAttention, "", "check", manifest(t, written(cred), login), "--insecure-http", "-o", "json")),
		"endpoint", failure, "signed by an unknown authority")
	cred.Spec.Provider.Fluent.CABundle = pemOf(listener.Certificate())
	until := listener.Certificate().NotAfter.UTC().Format(time.DateOnly)
	finds(t, levels(t, must(t, 0, "", "check", manifest(t, written(cred), login), "--insecure-http", "-o", "json")),
		"endpoint", okay, "TLS 1.3, certificate until "+until)
	finds(t, levels(t, must(t, exitAttention, "", "check", manifest(t, written(cred), login), "-o", "json")),
		"endpoint", failure, "loopback")
}

func TestCheckInputs(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, nil), newNamespace(t)
	create(t, loginSecret(namespace, "orders-login", fullLogin()))
	one := credential("", "orders", sim.URL)
	file := manifest(t, written(one)) // its namespace is that of the command line
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]said{
		"file":      must(t, 0, "", "check", file, "-n", namespace, "--insecure-http"),
		"flag":      must(t, 0, "", "check", "-f", file, "-n", namespace, "--insecure-http"),
		"directory": must(t, 0, "", "check", filepath.Dir(file), "-n", namespace, "--insecure-http"),
		"piped in":  must(t, 0, string(text), "check", "-", "-n", namespace, "--insecure-http"),
	} {
		if !strings.Contains(got.out, "the API server accepts it") {
			t.Errorf("%s: %s", name, got.out)
		}
	}
	two := credential("", "second", sim.URL)
	two.Spec.Provider.Fluent.BaseURL = "http://127.0.0.1:1"
	both := must(t, exitAttention, "", "check", manifest(t, written(one), written(two)), "-n", namespace, "--insecure-http")
	contains(t, both.out, "orders: endpoint", "second: endpoint", "connection refused")
	contains(t, must(t, exitUsage, "", "check", manifest(t, writtenLogin(namespace, "a", nil))).err, "holds no FluentCredential")
	must(t, exitUsage, "", "check")
	must(t, exitUsage, "", "check", "a", "-f", file)
	must(t, exitUsage, "", "check", file, "-o", "wide")
	must(t, exitFailed, "", "check", "nothing", "-n", namespace)
}

// TestCheckTakesThePolicyOfTheOperator: what the Deployment's flags allow is what is allowed here.
func TestCheckTakesThePolicyOfTheOperator(t *testing.T) { // not parallel: an operator is there for the whole cluster
	sim, namespace := newServer(t, nil), newNamespace(t)
	create(t, loginSecret(namespace, "orders-login", fullLogin()))
	create(t, credential(namespace, "orders", sim.URL))
	deployment := operatorDeployment(namespace, "--insecure-http", "--namespaces="+namespace+",other")
	create(t, deployment)
	t.Cleanup(func() { remove(t, deployment) })
	found := levels(t, must(t, exitAttention, "", "check", "orders", "-n", namespace, "-o", "json"))
	finds(t, found, "endpoint", warning, "allowed by Deployment "+namespace+"/fluent-credential-operator")
	finds(t, found, "operator", failure, "may not: get secrets")
	bindOperator(t, namespace)
	finds(t, levels(t, must(t, 0, "", "check", "orders", "-n", namespace, "-o", "json")), "operator", okay, "looks after namespace")

	cred := credential(namespace, "orders", sim.URL)
	edit := client.RawPatch(types.MergePatchType,
		[]byte(`{"spec":{"target":{"labels":{"argocd.argoproj.io/secret-type":"repository"}}}}`))
	if err := live.Patch(t.Context(), cred, edit); err != nil {
		t.Fatal(err)
	}
	check := []string{"check", "orders", "-n", namespace, "-o", "json"}
	finds(t, levels(t, must(t, 0, "", check...)), "target", warning,
		"without spec.target.labels.argocd.argoproj.io/secret-type: the operator's flag --allowed-target-metadata does not name")
	for _, each := range levels(t, must(t, 0, "", append(check, "--allowed-target-metadata=*.argoproj.io")...))["target"] {
		if each.Level == warning {
			t.Errorf("%q, and the flag names the domain", each.Message)
		}
	}

	elsewhere := newNamespace(t)
	create(t, loginSecret(elsewhere, "orders-login", fullLogin()))
	create(t, credential(elsewhere, "orders", sim.URL))
	finds(t, levels(t, must(t, exitAttention, "", "check", "orders", "-n", elsewhere, "-o", "json", "--insecure-http")),
		"operator", failure, "no operator looks after namespace")
}

// TestThroughTheProxyOfTheEnvironment: who sits behind a proxy can check and log in, and is told what the proxy says.
func TestThroughTheProxyOfTheEnvironment(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.Host
		http.Error(w, "not today", http.StatusForbidden)
	}))
	t.Cleanup(proxy.Close)
	namespace := newNamespace(t)
	create(t, loginSecret(namespace, "orders-login", clientAlone()))
	create(t, credential(namespace, "orders", "https://api.example.com"))
	for _, arguments := range [][]string{{"check", "orders"}, {"login", "orders", "--username", "u", "--password-stdin"}} {
		command := fluentCommand(t.Context(), append(arguments, "-n", namespace, "--allowed-hosts", "api.example.com")...)
		command.Env = append(command.Env, "HTTPS_PROXY="+proxy.URL, "https_proxy=", "NO_PROXY=", "no_proxy=")
		command.Stdin = strings.NewReader("p")
		out, err := command.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "403") {
			t.Errorf("%v: %v\n%s", arguments, err, out)
		}
		select {
		case what := <-asked:
			if what != "CONNECT api.example.com:443" {
				t.Errorf("%v asks the proxy for %s", arguments, what)
			}
		default:
			t.Errorf("%v does not ask the proxy\n%s", arguments, out)
		}
	}
}
