package controllers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// freeTexts are the strings of the CRDs that may hold any character, each with the reason.
var freeTexts = map[string]string{
	".apiVersion":                      "Kubernetes checks it",
	".kind":                            "Kubernetes checks it",
	".status":                          "only the operator writes it, and makes it printable",
	".spec.allowedNamespaces.selector": "it is compared with labels, and not shown",
	".spec.provider.*.caBundle":        "certificates may come with comments in any language; it is not shown",
	".spec.target.annotations{}":       "an annotation is a text; it is not shown",
	".spec.target.data{}":              "a template is a text; messages about it pass the filter of conditions",
}

// TestEveryStringOfTheSchemaIsBounded: a name with a line end or an escape sequence is refused at admission.
func TestEveryStringOfTheSchemaIsBounded(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "config", "crd", "bases", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal("no CRDs", err)
	}
	used := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(text, &crd); err != nil {
			t.Fatal(err)
		}
		for _, version := range crd.Spec.Versions {
			checkStrings(t, crd.Spec.Names.Kind, "", *version.Schema.OpenAPIV3Schema, used)
		}
	}
	for path := range freeTexts {
		if !used[path] {
			t.Errorf("%s is a free text no more: take it off the list", path)
		}
	}
}

func checkStrings(t *testing.T, kind, path string, schema apiextensionsv1.JSONSchemaProps, used map[string]bool) {
	t.Helper()
	isBounded := len(schema.Enum) > 0 || schema.Pattern != "" || schema.Format != "" || len(schema.XValidations) > 0
	if schema.Type == "string" && !isBounded && !isFree(path, used) {
		t.Errorf("%s: %s has neither an enum, a pattern, a format nor a rule, and is on no list", kind, path)
	}
	for name, property := range schema.Properties {
		if path != "" || name != "metadata" { // Kubernetes checks the metadata
			checkStrings(t, kind, path+"."+name, property, used)
		}
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		checkStrings(t, kind, path+"[]", *schema.Items.Schema, used)
	}
	if schema.AdditionalProperties == nil || schema.AdditionalProperties.Schema == nil {
		return
	}
	if len(schema.XValidations) == 0 && !isFree(path, used) {
		t.Errorf("%s: the keys of %s have no rule", kind, path)
	}
	checkStrings(t, kind, path+"{}", *schema.AdditionalProperties.Schema, used)
}

func isFree(path string, used map[string]bool) bool {
	for free := range freeTexts {
		begin, end, isPattern := strings.Cut(free, "*")
		isOfPattern := isPattern && strings.HasPrefix(path, begin) && strings.HasSuffix(path, end)
		if path == free || isOfPattern || !isPattern && strings.HasPrefix(path, free+".") {
			used[free] = true
			return true
		}
	}
	return false
}

// TestURLsAreOfVisibleCharacters: the host of a URL is shown to the person who types a password for it.
func TestURLsAreOfVisibleCharacters(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	try := func(url string) error {
		cred := credential(namespace, "orders", &server{})
		cred.Spec.Provider = v1alpha1.ProviderSpec{OAuth2: &v1alpha1.OAuth2Provider{TokenURL: v1alpha1.TokenURL(url)}}
		return live.Create(t.Context(), cred, client.DryRunAll)
	}
	for _, url := range []string{
		"https://auth.example.com/token", "https://auth.example.com:8443/a/b?n=1", "https://[2001:db8::1]/token", "http://localhost",
	} {
		if err := try(url); err != nil {
			t.Errorf("%q is refused: %v", url, err)
		}
	}
	for _, url := range []string{
		"https://auth\x1b[1m.example.com/token", "https://auth.example.com/\u202enekot", "https://auth.ex\u200bample.com/",
		"https://аuth.example.com/token", "https://auth.example.com/token?\u0085", "https://auth.example.com/\x7f",
	} {
		if err := try(url); err == nil {
			t.Errorf("%q is admitted", url)
		}
	}
}
