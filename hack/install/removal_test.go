package install

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// TestNamespaceIsDeleted: nothing of ours holds a namespace back, policies or not. There is no namespace controller here, so its deletions
// are made in its name.
func TestNamespaceIsDeleted(t *testing.T) {
	c := policed(t)
	namespace := c.namespace(t, "doomed")
	_, url := server(t, time.Hour, namespace)
	c.run(t)
	c.rotated(t, c.credential(t, namespace, url, nil), 1)
	if err := c.admin.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		t.Fatal(err)
	}
	controller := c.as(t, controlPlane)
	eventually(t, "the namespace is empty", func() (bool, any) {
		for _, kind := range []client.Object{&corev1.Secret{}, &v1alpha1.FluentCredential{}} {
			if err := controller.DeleteAllOf(t.Context(), kind, client.InNamespace(namespace)); err != nil {
				t.Fatalf("the namespace controller may not delete every %T: %v", kind, err)
			}
		}
		var secrets corev1.SecretList
		var credentials v1alpha1.FluentCredentialList
		if err := c.admin.List(t.Context(), &secrets, client.InNamespace(namespace)); err != nil {
			t.Fatal(err)
		}
		if err := c.admin.List(t.Context(), &credentials, client.InNamespace(namespace)); err != nil {
			t.Fatal(err)
		}
		return len(secrets.Items)+len(credentials.Items) == 0, len(secrets.Items) + len(credentials.Items)
	})
}

// TestOperatorIsGoneForGood: a person can remove what the operator left behind, under the policies, as docs/install.md says.
func TestOperatorIsGoneForGood(t *testing.T) {
	c := policed(t)
	namespace := c.namespace(t, "orphaned")
	_, url := server(t, time.Hour, namespace)
	operator := c.run(t)
	cred := c.credential(t, namespace, url, nil)
	c.rotated(t, cred, 1)
	operator.end(t)
	if err := c.admin.Delete(t.Context(), cred); err != nil {
		t.Fatal(err)
	}
	state := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "orders-fluent-state"}}
	master := c.master(t)
	for _, object := range []client.Object{cred, state} {
		patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
		if err := master.Patch(t.Context(), object, patch); err != nil {
			t.Fatalf("the finalizers of %T cannot be taken off: %v", object, err)
		}
	}
	if c.get(t, &v1alpha1.FluentCredential{}, namespace, cred.Name) {
		t.Error("the FluentCredential is still there")
	}
	if err := c.as(t, collector).Delete(t.Context(), state); err != nil {
		t.Fatalf("the garbage collector may not remove the state: %v", err)
	}
	if c.get(t, &corev1.Secret{}, namespace, state.Name) {
		t.Error("the state is still there")
	}
}

// TestAllowedHosts puts FluentCredentials before the policy of config/allowed-hosts.
func TestAllowedHosts(t *testing.T) {
	c, err := newCluster(func() (string, error) { return kustomize("config", "default") })
	if err != nil {
		t.Fatal(err)
	}
	policy, err := kustomize("config", "allowed-hosts")
	if err != nil {
		t.Fatal(err)
	}
	before := c.ask("before", v1alpha1.ProviderSpec{OAuth2: &v1alpha1.OAuth2Provider{TokenURL: "https://evil.example.com/token"}})
	if err := c.admin.Create(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	if err := c.apply(policy); err != nil {
		t.Fatal(err)
	}
	evil := c.ask("evil", before.Spec.Provider)
	eventually(t, "the policy is enforced", func() (bool, any) {
		err := c.admin.Create(t.Context(), evil.DeepCopy(), client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), "evil.example.com"), err
	})
	fluent := func(account string, environment v1alpha1.FluentEnvironment) v1alpha1.ProviderSpec {
		return v1alpha1.ProviderSpec{Fluent: &v1alpha1.FluentProvider{Account: account, Environment: environment}}
	}
	oauth2 := func(url v1alpha1.TokenURL) v1alpha1.ProviderSpec {
		return v1alpha1.ProviderSpec{OAuth2: &v1alpha1.OAuth2Provider{TokenURL: url}}
	}
	for name, test := range map[string]struct {
		why      string
		provider v1alpha1.ProviderSpec
		refused  bool
	}{
		"sandbox":             {"any depth below the pattern", fluent("ACME", v1alpha1.FluentSandbox), false},
		"production":          {"any depth below the pattern", fluent("ACME", v1alpha1.FluentProduction), false},
		"commerce layer":      {"its default host", v1alpha1.ProviderSpec{CommerceLayer: &v1alpha1.CommerceLayerProvider{}}, false},
		"nordea":              {"its default host", v1alpha1.ProviderSpec{Nordea: &v1alpha1.NordeaProvider{}}, false},
		"fluent elsewhere":    {"baseURL goes before account", v1alpha1.ProviderSpec{Fluent: &v1alpha1.FluentProvider{Account: "ACME", BaseURL: "https://evil.example.com"}}, true},
		"layer elsewhere":     {"another host", v1alpha1.ProviderSpec{CommerceLayer: &v1alpha1.CommerceLayerProvider{BaseURL: "https://evil.example.com"}}, true},
		"nordea elsewhere":    {"another host", v1alpha1.ProviderSpec{Nordea: &v1alpha1.NordeaProvider{BaseURL: "https://evil.example.com"}}, true},
		"in capitals":         {"names have no case", oauth2("https://AUTH.Commercelayer.IO/oauth/token"), false},
		"with a port":         {"the port is none of the host", oauth2("https://auth.commercelayer.io:8443/oauth/token"), false},
		"the domain itself":   {"*. stands for a subdomain", oauth2("https://api.fluentretail.com/oauth/token"), true},
		"a name that ends so": {"a dot is a dot", oauth2("https://evilapi.fluentretail.com/oauth/token"), true},
		"a name that begins":  {"the whole name counts", oauth2("https://auth.commercelayer.io.example.com/oauth/token"), true},
		"a dot is no letter":  {"a dot is a dot", oauth2("https://authXcommercelayer.io/oauth/token"), true},
		"revoked elsewhere": {"the refresh token would go there", v1alpha1.ProviderSpec{OAuth2: &v1alpha1.OAuth2Provider{
			TokenURL: "https://auth.commercelayer.io/oauth/token", RevocationURL: "https://evil.example.com/revoke"}}, true},
		"an address": {"no pattern matches it", oauth2("https://192.0.2.1/oauth/token"), true},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.admin.Create(t.Context(), c.ask("orders", test.provider), client.DryRunAll)
			if refused := err != nil && strings.Contains(err.Error(), "no pattern of the allowed hosts"); refused != test.refused || (err != nil) != refused {
				t.Errorf("refused: %t, want %t (%s): %v", refused, test.refused, test.why, err)
			}
		})
	}
	label := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":["example.com/x"]}}`))
	if err := c.admin.Patch(t.Context(), before, label); err != nil {
		t.Errorf("one that was there before cannot be touched, and so not be deleted: %v", err)
	}
	spec := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"scope":"more"}}`))
	if err := c.admin.Patch(t.Context(), before, spec); err == nil || !strings.Contains(err.Error(), "evil.example.com") {
		t.Errorf("one that was there before can be changed: %v", err)
	}
}

// ask is a FluentCredential in the namespace default.
func (c *cluster) ask(name string, provider v1alpha1.ProviderSpec) *v1alpha1.FluentCredential {
	return &v1alpha1.FluentCredential{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: v1alpha1.FluentCredentialSpec{
			Provider: provider, CredentialsSecretRef: v1alpha1.CredentialsSecretReference{Name: "login"},
			Target: v1alpha1.TargetSpec{Name: name + "-token"},
		},
	}
}

// TestUninstall removes everything in the rude order: the CRD goes while there are FluentCredentials, and the operator, held by the
// policies, still lets all of it go.
func TestUninstall(t *testing.T) {
	c, err := newCluster(func() (string, error) { return kustomize("config", "default") })
	if err != nil {
		t.Fatal(err)
	}
	namespace := c.namespace(t, "leaving")
	_, url := server(t, time.Hour, namespace)
	operator := c.run(t)
	c.rotated(t, c.credential(t, namespace, url, nil), 1)
	const crd = "crd/fluentcredentials.auth.fluent-credential.dev"
	if out, err := c.kubectl(c.config, "", "delete", "--timeout=60s", crd); err != nil {
		t.Fatalf("the CRD hangs: %v: %s", err, out)
	}
	var left corev1.SecretList
	if err := c.admin.List(t.Context(), &left, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	if len(left.Items) != 1 || left.Items[0].Name != "orders-login" {
		t.Errorf("%d Secrets are left, want the login only", len(left.Items))
	}
	operator.end(t)
	all, err := kustomize("config", "default")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := c.kubectl(c.config, all, "delete", "--ignore-not-found", "--wait=false", "-f", "-"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for id := range objectsOf(t, all) {
		kind, rest, _ := strings.Cut(id, " ")
		in, name, _ := strings.Cut(rest, " ")
		if kind == "Namespace" {
			continue // a controller that is not here removes it
		}
		arguments := []string{"get", kind, name, "--ignore-not-found", "-o", "name"}
		if in != "" {
			arguments = append(arguments, "-n", in)
		}
		if out, err := c.kubectl(c.config, "", arguments...); kind != "CustomResourceDefinition" && (err != nil || out != "") {
			t.Errorf("%s is left: %s %v", id, out, err)
		}
	}
}
