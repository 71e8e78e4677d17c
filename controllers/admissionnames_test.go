package controllers

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/projection"
)

type targetSpec = v1alpha1.TargetSpec

// targetCase is a target and what admission, and the same check without a cluster, say against it.
type targetCase struct {
	why    string
	target v1alpha1.TargetSpec
	says   string // part of the refusal; empty: it is admitted
	alone  bool   // only admission says it, and not projection.Problems
}

func one(key, value string) map[string]string { return map[string]string{key: value} }

func label(key string, value v1alpha1.LabelValue) map[string]v1alpha1.LabelValue {
	return map[string]v1alpha1.LabelValue{key: value}
}

func entries[V ~string](count int) map[string]V {
	made := map[string]V{}
	for i := range count {
		made[fmt.Sprint("k", i)] = ""
	}
	return made
}

const long = "x123456789012345678901234567890123456789012345678901234567890123"

const (
	qualified      = "alphanumeric characters, '-', '_' or '.'"
	typesOfTargets = "a target Secret has the type"
	configKey      = "a valid config key must consist of"
	kept           = "kept for the operator's state Secrets"
)

var targetCases = map[string]targetCase{
	"nothing": {"the default keys", targetSpec{}, "", false},
	"label": {
		"as in the documentation",
		targetSpec{Labels: label("app.kubernetes.io/part-of", "orders")}, "", false,
	},
	"label without value": {"Kubernetes permits it", targetSpec{Labels: label("team", "")}, "", false},
	"label key with a space": {
		"Kubernetes refuses the Secret",
		targetSpec{Labels: label("a b", "x")}, "a b: name part must consist of " + qualified, false,
	},
	"label key with a newline": {
		"Kubernetes refuses the Secret",
		targetSpec{Labels: label("a\nb", "x")}, "label", false,
	},
	"label key that is empty": {
		"Kubernetes refuses the Secret",
		targetSpec{Labels: label("", "x")}, "name part must be non-empty", false,
	},
	"label key that is too long": {
		"Kubernetes refuses the Secret",
		targetSpec{Labels: label(long, "x")}, "name part", false,
	},
	"label key with two slashes": {
		"Kubernetes refuses the Secret",
		targetSpec{Labels: label("a/b/c", "x")}, "a/b/c", false,
	},
	"label key with a large prefix": {
		"Kubernetes refuses the Secret",
		targetSpec{Labels: label("Example.com/a", "x")}, "prefix part", false,
	},
	"label value with a space": {
		"Kubernetes refuses the Secret",
		targetSpec{Labels: label("team", "a b")}, "a valid label must be an empty string or consist of", false,
	},
	"label value that is too long": {
		"Kubernetes refuses the Secret",
		targetSpec{Labels: label("team", long)}, "63", false,
	},
	"label value with a dash last": {
		"Kubernetes refuses the Secret",
		targetSpec{Labels: label("team", "a-")}, "a valid label must be an empty string or consist of", false,
	},
	"too many labels": {"a bound", targetSpec{Labels: entries[v1alpha1.LabelValue](65)}, "at most 64", true},

	"annotation": {
		"any text is permitted",
		targetSpec{Annotations: one("Example.com/Note", "a b\nc")}, "", false,
	},
	"annotation key with a space": {
		"Kubernetes refuses the Secret",
		targetSpec{Annotations: one("x y", "z")}, "x y: name part must consist of " + qualified, false,
	},
	"annotation key that is empty": {
		"Kubernetes refuses the Secret",
		targetSpec{Annotations: one("", "z")}, "name part must be non-empty", false,
	},
	"large annotations": {"64 KiB in all", targetSpec{Annotations: map[string]string{
		"a": strings.Repeat("x", 1<<15-1), "b": strings.Repeat("x", 1<<15-1)}}, "", false},
	"annotations that are too large": {"64 KiB in all", targetSpec{Annotations: map[string]string{
		"a": strings.Repeat("x", 1<<15-1), "b": strings.Repeat("x", 1<<15)}}, "annotations have at most 65536 characters", true},

	"a large entry":              {"16 KiB", targetSpec{Data: one("a", strings.Repeat("x", 1<<14))}, "", false},
	"an entry that is too large": {"16 KiB", targetSpec{Data: one("a", strings.Repeat("x", 1<<14+1))}, "entry a has more than 16384 characters", true},
	"large entries":              {"64 KiB in all", targetSpec{Data: largeEntries(1<<14 - 1)}, "", false},
	"entries that are too large": {
		"64 KiB in all", targetSpec{Data: largeEntries(1 << 14)}, "the entries have at most 65536 characters", true,
	},

	"entry": {
		"every character that is permitted",
		targetSpec{Data: one("..a"[1:]+"B-_9", "x")}, "", false,
	},
	"entry with a slash": {
		"Kubernetes refuses the Secret",
		targetSpec{Data: one("foo/bar", "x")}, "foo/bar: " + configKey, false,
	},
	"entry with a space": {
		"Kubernetes refuses the Secret",
		targetSpec{Data: one("a b", "x")}, "a b: " + configKey, false,
	},
	"entry with a newline":       {"Kubernetes refuses the Secret", targetSpec{Data: one("a\nb", "x")}, "key", false},
	"entry without a name":       {"Kubernetes refuses the Secret", targetSpec{Data: one("", "x")}, "key", false},
	"entry that is a dot":        {"it is a directory", targetSpec{Data: one(".", "x")}, "key", false},
	"entry that is two dots":     {"it is a directory", targetSpec{Data: one("..", "x")}, "key", false},
	"entry that begins with two": {"the kubelet keeps such names", targetSpec{Data: one("..data", "x")}, "key", false},
	"entry with a long name": {
		"Kubernetes refuses the Secret",
		targetSpec{Data: one(strings.Repeat("x", 254), "x")}, "253", false,
	},
	"entry with the longest name": {
		"Kubernetes permits it",
		targetSpec{Data: one(strings.Repeat("x", 253), "x")}, "", false,
	},
	"too many entries": {"a bound", targetSpec{Data: entries[string](65)}, "at most 64", true},

	"name of a state": {
		"it would block a later credential",
		targetSpec{Name: "stock-fluent-state"}, kept, false,
	},
	"alternate name of a state": {
		"it would block a later credential",
		targetSpec{Name: "stock-fluent-state-2"}, kept, false,
	},
	"name like a state's": {"no state has it", targetSpec{Name: "stock-fluent-state-3"}, "", false},
	"name of the journal's key": {
		"the operator would find a key that is none",
		targetSpec{Name: v1alpha1.JournalKeySecret}, "journal", false,
	},
	"name with large letters": {"Kubernetes refuses the Secret", targetSpec{Name: "Orders"}, "spec.target.name", false},
	"name with a slash":       {"Kubernetes refuses the Secret", targetSpec{Name: "a/b"}, "spec.target.name", false},

	"type of the login guard": {
		"it would be taken for one",
		targetSpec{Type: v1alpha1.GuardSecretType}, typesOfTargets, false,
	},
	"type of another project": {
		"its controller acts on it",
		targetSpec{Type: "example.com/token"}, typesOfTargets, false,
	},
	"no type": {"it is Opaque", targetSpec{Type: ""}, "", false},
	"Opaque":  {"the default", targetSpec{Type: "Opaque"}, "", false},
	"token of a service account": {
		"Kubernetes would put a token into it",
		targetSpec{Type: string(corev1.SecretTypeServiceAccountToken)}, typesOfTargets, false,
	},
	"bootstrap token": {"it lets a node join", targetSpec{Type: "bootstrap.kubernetes.io/token"}, typesOfTargets, false},
	"release of Helm": {"the next upgrade acts on it", targetSpec{Type: "helm.sh/release.v1"}, typesOfTargets, false},
	"certificate": {"no token is one", targetSpec{
		Type: string(corev1.SecretTypeTLS), Data: map[string]string{"tls.key": "x", "tls.crt": "y"}}, typesOfTargets, false},
	"key": {"no token is one", targetSpec{
		Type: string(corev1.SecretTypeSSHAuth), Data: one("ssh-privatekey", "y")}, typesOfTargets, false},
	"docker config without it": {
		"Kubernetes refuses the Secret",
		targetSpec{Type: string(corev1.SecretTypeDockerConfigJson)}, ".dockerconfigjson", false,
	},
	"docker config": {"it has its entry", targetSpec{
		Type: string(corev1.SecretTypeDockerConfigJson), Data: one(".dockerconfigjson", "{}")}, "", false},
	"old docker config without it": {
		"Kubernetes refuses the Secret",
		targetSpec{Type: string(corev1.SecretTypeDockercfg)}, ".dockercfg", false,
	},
	"basic auth without either": {"Kubernetes refuses the Secret", targetSpec{
		Type: string(corev1.SecretTypeBasicAuth), Data: one("token", "x")}, "username or password", false},
	"basic auth with a password": {"one of the two is enough", targetSpec{
		Type: string(corev1.SecretTypeBasicAuth), Data: one("password", "{{.AccessToken}}")}, "", false},
}

// TestTargetIsCheckedAtAdmission: what Kubernetes would refuse of the Secret is refused of the object that asks for it,
// before a login is spent for it; and the same is found without a cluster.
func TestTargetIsCheckedAtAdmission(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	for name, test := range targetCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cred := credential(namespace, "orders", &server{})
			cred.Spec.Provider.Fluent = &v1alpha1.FluentProvider{Account: "ACME"}
			cred.Spec.Target = test.target
			judge(t, test.why, test.says, live.Create(t.Context(), cred, client.DryRunAll))
			token := &v1alpha1.FluentToken{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "orders"},
				Spec: v1alpha1.FluentTokenSpec{
					CredentialRef: v1alpha1.CredentialReference{Namespace: "shop", Name: "orders"}, Target: test.target,
				},
			}
			judge(t, test.why, test.says, live.Create(t.Context(), token, client.DryRunAll))
			if strings.Contains(test.says, "65536") || strings.Contains(test.says, "16384") {
				if found := projection.SizeProblems(test.target); len(found) != 1 || !strings.Contains(found[0], test.says) {
					t.Errorf("without a cluster: %q (%s)", found, test.why)
				}
			}
			if found := projection.Problems("orders", test.target); (len(found) > 0) != (test.says != "" && !test.alone) {
				t.Errorf("without a cluster: %q (%s)", found, test.why)
			}
		})
	}
}

// TestSizesAreCheckedAtAdmission: the operator caches what authors write.
func TestSizesAreCheckedAtAdmission(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	selects := func(change func(*metav1.LabelSelector)) func(*v1alpha1.FluentCredentialSpec) {
		return func(spec *v1alpha1.FluentCredentialSpec) {
			spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{Selector: &metav1.LabelSelector{}}
			change(spec.AllowedNamespaces.Selector)
		}
	}
	headers := func(count int) func(*v1alpha1.FluentCredentialSpec) {
		return func(spec *v1alpha1.FluentCredentialSpec) {
			spec.Provider.Fluent.Headers = map[string]v1alpha1.HeaderValue{}
			for i := range count {
				spec.Provider.Fluent.Headers[fmt.Sprint("X-", i)] = v1alpha1.HeaderValue(strings.Repeat("x", 4000))
			}
		}
	}
	values := func(count int) []string {
		made := make([]string, count)
		for i := range made {
			made[i] = fmt.Sprint("v", i)
		}
		return made
	}
	labels := func(count int) map[string]string {
		made := map[string]string{}
		for i := range count {
			made[fmt.Sprint("l", i)] = "x"
		}
		return made
	}
	tests := map[string]struct {
		why, says string
		change    func(*v1alpha1.FluentCredentialSpec)
	}{
		"headers":       {"16 KiB in all", "", headers(4)},
		"large headers": {"16 KiB in all", "the headers have at most 16384 characters", headers(5)},
		"a selector":    {"of many labels", "", selects(func(s *metav1.LabelSelector) { s.MatchLabels = labels(32) })},
		"many labels":   {"a bound", "a selector has at most 32 labels", selects(func(s *metav1.LabelSelector) { s.MatchLabels = labels(33) })},
		"many namespaces": {"64 values", "", selects(func(s *metav1.LabelSelector) {
			s.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "a", Operator: "In", Values: values(64)}}
		})},
		"too many values": {"a bound", "each with 64 values", selects(func(s *metav1.LabelSelector) {
			s.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "a", Operator: "In", Values: values(65)}}
		})},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cred := credential(namespace, "orders", &server{})
			cred.Spec.Provider.Fluent = &v1alpha1.FluentProvider{Account: "ACME"}
			test.change(&cred.Spec)
			judge(t, test.why, test.says, live.Create(t.Context(), cred, client.DryRunAll))
		})
	}
}

// largeEntries are four entries, each with its key of that size.
func largeEntries(size int) map[string]string {
	made := map[string]string{}
	for _, key := range []string{"a", "b", "c", "d"} {
		made[key] = strings.Repeat("x", size)
	}
	return made
}

func judge(t *testing.T, why, says string, err error) {
	t.Helper()
	switch {
	case says == "" && err != nil:
		t.Errorf("refused (%s): %v", why, err)
	case says != "" && (err == nil || !strings.Contains(err.Error(), says)):
		t.Errorf("want a refusal that says %q (%s), got: %v", says, why, err)
	}
}

// TestKubernetesRefusesTheSecretsThatAdmissionRefuses: the rules are those of Kubernetes, neither more nor less.
func TestKubernetesRefusesTheSecretsThatAdmissionRefuses(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	ours := []string{kept, "journal", typesOfTargets, "at most 64", "annotations have", "entry ", "the entries"}
	for name, test := range targetCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, own := range ours {
				if strings.HasPrefix(test.says, own) {
					return // this operator's rule
				}
			}
			data := map[string][]byte{}
			for key, value := range test.target.Data {
				data[key] = []byte(value)
			}
			wanted := workloadOf(test.target, projection.Domains{"*"}, client.ObjectKey{Namespace: namespace, Name: "orders"}, 1, data)
			wanted.Owner = projection.Owner{Kind: projection.Credential, Name: "orders", UID: "u"}
			secret := wanted.Secret("")
			if test.target.Name != "" {
				secret.Name = test.target.Name
			}
			err := live.Create(t.Context(), secret, client.DryRunAll)
			if (err != nil) != (test.says != "") {
				t.Errorf("%s: Kubernetes says %v, and admission %q", test.why, err, test.says)
			}
		})
	}
}

func TestReferencesAreCheckedAtAdmission(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	key := func(name string) func(*v1alpha1.FluentCredential) {
		return func(c *v1alpha1.FluentCredential) {
			c.Spec.CredentialsSecretRef.Keys = map[string]v1alpha1.SecretKey{"username": v1alpha1.SecretKey(name)}
		}
	}
	login := func(name string) func(*v1alpha1.FluentCredential) {
		return func(c *v1alpha1.FluentCredential) { c.Spec.CredentialsSecretRef.Name = name }
	}
	tests := map[string]struct {
		why    string
		change func(*v1alpha1.FluentCredential)
		says   string
	}{
		"login with a slash":   {"no Secret has it", login("a/b"), "spec.credentialsSecretRef.name"},
		"login with a newline": {"it would be printed", login("a\nb"), "spec.credentialsSecretRef.name"},
		"login with dots":      {"Kubernetes permits it", login("a.b-c"), ""},
		"login that is a state": {
			"its tokens would be sent",
			login("stock-fluent-state"), "no credentials are read from them",
		},
		"login that is another state": {
			"its tokens would be sent",
			login("stock-fluent-state-2"), "no credentials are read from them",
		},
		"login that is the key": {
			"it opens the journal",
			login(v1alpha1.JournalKeySecret), "no credentials are read from it",
		},
		"key with a slash":     {"no Secret has it", key("a/b"), "spec.credentialsSecretRef.keys.username"},
		"key that is a dot":    {"no Secret has it", key("."), "must not be '.' or start with '..'"},
		"key that is two dots": {"no Secret has it", key("..x"), "must not be '.' or start with '..'"},
		"key with a dot":       {"a Secret may have it", key(".x"), ""},
		"restart with a slash": {"no workload has it", func(c *v1alpha1.FluentCredential) {
			c.Spec.Delivery.Restart = []v1alpha1.RestartReference{{Kind: v1alpha1.RestartDeployment, Name: "a/b"}}
		}, "spec.delivery.restart[0].name"},
		"selector with a false operator": {"it would select nothing, in silence", func(c *v1alpha1.FluentCredential) {
			c.Spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{Selector: &metav1.LabelSelector{
				MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "team", Operator: "Is", Values: []string{"a"}}},
			}}
		}, "an operator is In, NotIn, Exists or DoesNotExist"},
		"selector with a label that is none": {"it would select nothing, in silence", func(c *v1alpha1.FluentCredential) {
			c.Spec.AllowedNamespaces = selecting(map[string]string{"a b": "c"})
		}, "no label can have"},
		"selector without values": {"it would select nothing, in silence", func(c *v1alpha1.FluentCredential) {
			c.Spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{Selector: &metav1.LabelSelector{
				MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "team", Operator: metav1.LabelSelectorOpIn}},
			}}
		}, "In and NotIn need values"},
		"selector of all": {"as in the documentation", func(c *v1alpha1.FluentCredential) {
			c.Spec.AllowedNamespaces = selecting(nil)
		}, ""},
		"selector with expressions": {"as in the documentation", func(c *v1alpha1.FluentCredential) {
			c.Spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{Selector: &metav1.LabelSelector{
				MatchLabels: map[string]string{"app.kubernetes.io/part-of": "shop"},
				MatchExpressions: []metav1.LabelSelectorRequirement{
					{Key: "team", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"a"}},
					{Key: "team", Operator: metav1.LabelSelectorOpExists},
				},
			}}
		}, ""},
		"named like a state, without a target": {"its target would have that name", func(c *v1alpha1.FluentCredential) {
			c.Name, c.Spec.Target.Name = "x-fluent-state", ""
		}, "set spec.target.name to another name"},
		"named like a state, with a target": {"only its target counts", func(c *v1alpha1.FluentCredential) {
			c.Name, c.Spec.Target.Name = "x-fluent-state", "y"
		}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cred := credential(namespace, "orders", &server{})
			cred.Spec.Provider.Fluent = &v1alpha1.FluentProvider{Account: "ACME"}
			test.change(cred)
			judge(t, test.why, test.says, live.Create(t.Context(), cred, client.DryRunAll))
		})
	}
	tokens := map[string]struct{ why, name, credential, says string }{
		"plain":                   {"as in the documentation", "orders", "orders", ""},
		"credential with newline": {"it would be printed", "orders", "a\nb", "spec.credentialRef.name"},
		"named like a state": {
			"its target would have that name",
			"x-fluent-state-2", "orders", "set spec.target.name to another name",
		},
	}
	for name, test := range tokens {
		t.Run("FluentToken "+name, func(t *testing.T) {
			t.Parallel()
			token := &v1alpha1.FluentToken{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: test.name}}
			token.Spec.CredentialRef = v1alpha1.CredentialReference{Namespace: "shop", Name: test.credential}
			judge(t, test.why, test.says, live.Create(t.Context(), token, client.DryRunAll))
		})
	}
}

// withoutRules is a CRD as a former release had it: of every part of the schema the rules are gone.
func withoutRules(t *testing.T, file string) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	crd := readCRD(t, file)
	for i := range crd.Spec.Versions {
		relax(crd.Spec.Versions[i].Schema.OpenAPIV3Schema)
	}
	return crd
}

func readCRD(t *testing.T, file string) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "config", "crd", "bases", file))
	if err != nil {
		t.Fatal(err)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.Unmarshal(text, crd); err != nil {
		t.Fatal(err)
	}
	return crd
}

func relax(schema *apiextensionsv1.JSONSchemaProps) {
	if schema == nil {
		return
	}
	schema.XValidations, schema.Pattern, schema.MaxProperties, schema.MaxLength = nil, "", nil, nil
	for name, below := range schema.Properties {
		relax(&below)
		schema.Properties[name] = below
	}
	if schema.AdditionalProperties != nil {
		relax(schema.AdditionalProperties.Schema)
	}
}

// TestStoredObjectsStayUpdatable: what a former release admitted can be edited, reported on and deleted; only what is
// edited has to keep the rules.
func TestStoredObjectsStayUpdatable(t *testing.T) {
	t.Parallel()
	const (
		creds  = "auth.fluent-credential.dev_fluentcredentials.yaml"
		tokens = "auth.fluent-credential.dev_fluenttokens.yaml"
	)
	crds := []*apiextensionsv1.CustomResourceDefinition{withoutRules(t, creds), withoutRules(t, tokens)}
	former := &envtest.Environment{CRDs: crds}
	config, err := former.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = former.Stop() })
	scheme := everything()
	if err := apiextensionsv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	cluster, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	target := targetSpec{
		Name: "x-fluent-state", Type: string(corev1.SecretTypeTLS), Labels: map[string]v1alpha1.LabelValue{"a b": "c d"},
		Annotations: one("x y", "z"), Data: map[string]string{"foo/bar": "x", "good": "y", "large": strings.Repeat("x", 100_000)},
	}
	cred := credential("default", "y-fluent-state", &server{})
	cred.Spec.Provider.Fluent = &v1alpha1.FluentProvider{Account: "ACME"}
	cred.Spec.CredentialsSecretRef = v1alpha1.CredentialsSecretReference{
		Name: "z-fluent-state", Keys: map[string]v1alpha1.SecretKey{"username": "..x"},
	}
	cred.Spec.Target = target
	unnamed := cred.DeepCopy()
	unnamed.Name, unnamed.Spec.Target.Name = "unnamed-fluent-state-2", ""
	token := &v1alpha1.FluentToken{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "t-fluent-state"}}
	token.Spec.CredentialRef = v1alpha1.CredentialReference{Namespace: "shop", Name: "or/ders"}
	token.Spec.Target = *target.DeepCopy()
	token.Spec.Target.Name = ""
	for _, object := range []client.Object{cred, unnamed, token} {
		controllerutil.AddFinalizer(object, v1alpha1.ReleaseFinalizer)
		if err := cluster.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	upgrade(t, cluster, creds, tokens)
	for _, object := range []client.Object{cred, unnamed, token} {
		name := object.GetName()
		object.SetLabels(one("edited", "yes"))
		judge(t, name+" is labelled", "", cluster.Update(t.Context(), object))
		judge(t, name+" gets a status", "", cluster.Status().Update(t.Context(), object))
	}
	cred.Spec.Suspend = true
	judge(t, "it is suspended", "", cluster.Update(t.Context(), cred))
	unnamed.Spec.Suspend = true
	judge(t, "it is suspended", "", cluster.Update(t.Context(), unnamed))
	for _, edit := range []struct {
		what, says string
		change     func(*v1alpha1.TargetSpec)
	}{
		{"another entry that is wrong", "key", func(s *v1alpha1.TargetSpec) { s.Data["b/c"] = "x" }},
		{"another label that is wrong", "label", func(s *v1alpha1.TargetSpec) { s.Labels["team"] = "c d" }},
		{"another name that is kept", kept, func(s *v1alpha1.TargetSpec) { s.Name = "other-fluent-state" }},
		{"a target that is right", "", func(s *v1alpha1.TargetSpec) { *s = targetSpec{Name: "orders-token"} }},
	} {
		trial := cred.DeepCopy()
		trial.Spec.Target.Labels, trial.Spec.Target.Data = maps.Clone(target.Labels), maps.Clone(target.Data)
		edit.change(&trial.Spec.Target)
		judge(t, edit.what, edit.says, cluster.Update(t.Context(), trial, client.DryRunAll))
	}
	for _, object := range []client.Object{cred, unnamed, token} {
		judge(t, "it is deleted", "", cluster.Delete(t.Context(), object))
		judge(t, "it is read", "", cluster.Get(t.Context(), client.ObjectKeyFromObject(object), object))
		controllerutil.RemoveFinalizer(object, v1alpha1.ReleaseFinalizer)
		judge(t, "its finalizer goes", "", cluster.Update(t.Context(), object))
	}
}

// upgrade puts today's CRDs in the place of the former ones, and waits until their rules are in force.
func upgrade(t *testing.T, cluster client.Client, files ...string) {
	t.Helper()
	for _, file := range files {
		crd := readCRD(t, file)
		current := &apiextensionsv1.CustomResourceDefinition{}
		if err := cluster.Get(t.Context(), client.ObjectKeyFromObject(crd), current); err != nil {
			t.Fatal(err)
		}
		current.Spec.Versions = crd.Spec.Versions
		if err := cluster.Update(t.Context(), current); err != nil {
			t.Fatal(err)
		}
	}
	cred := credential("default", "probe", &server{})
	cred.Spec.Provider.Fluent, cred.Spec.Target.Name = &v1alpha1.FluentProvider{Account: "ACME"}, "probe-fluent-state"
	token := &v1alpha1.FluentToken{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "probe"}}
	token.Spec.CredentialRef = v1alpha1.CredentialReference{Namespace: "shop", Name: "orders"}
	token.Spec.Target = cred.Spec.Target
	eventually(t, "the rules are in force", func() (bool, any) {
		one := cluster.Create(t.Context(), cred.DeepCopy(), client.DryRunAll)
		two := cluster.Create(t.Context(), token.DeepCopy(), client.DryRunAll)
		return one != nil && two != nil, []error{one, two}
	})
}
