package cli

import (
	"context"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

const installAdvice = "Install it: kubectl apply --server-side -f dist/install.yaml"

// examineCRD looks whether the CRD is there, is served, and knows the fields that this binary knows.
func (v *examination) examineCRD(ctx context.Context) {
	crd := &unstructured.Unstructured{}
	crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	err := v.cluster.Get(ctx, key{Name: pluralName}, crd)
	switch {
	case apierrors.IsNotFound(err):
		v.fail(installAdvice, "%s is not installed", pluralName)
		return
	case err != nil:
		v.skip("%s cannot be read: %s", pluralName, err)
		return
	}
	if !isEstablished(crd) {
		v.fail("kubectl describe crd "+pluralName, "%s is not established", pluralName)
		return
	}
	v.compareFields(crd)
}

func isEstablished(crd *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(each any) bool {
		condition, ok := each.(map[string]any)
		return ok && condition["type"] == "Established" && condition["status"] == string(metav1.ConditionTrue)
	})
}

// compareFields tells by the fields which of the two is older: the CRD carries no version of its own.
func (v *examination) compareFields(crd *unstructured.Unstructured) {
	ours, theirs := fieldsOf(reflect.TypeFor[v1alpha1.FluentCredential]()), servedFields(crd)
	lacking, unknown := without(ours, theirs), without(theirs, ours)
	switch {
	case theirs == nil:
		v.fail(installAdvice, "%s does not serve %s", pluralName, v1alpha1.GroupVersion.Version)
	case len(lacking) > 0:
		v.warn("Apply the CRD of this release: kubectl apply --server-side -f dist/install.yaml",
			"the CRD is older than this kubectl fluent: it lacks %s", strings.Join(lacking, ", "))
	case len(unknown) > 0:
		v.warn("Use the kubectl fluent of the operator's release.",
			"the CRD is newer than this kubectl fluent: it has %s", strings.Join(unknown, ", "))
	default:
		v.ok("%s serves %s, with the fields of this kubectl fluent", pluralName, v1alpha1.GroupVersion.Version)
	}
}

// without are the members of a set that another lacks.
func without(set, other map[string]bool) []string {
	var lacking []string
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if !other[name] {
			lacking = append(lacking, name)
		}
	}
	return lacking
}

// servedFields are the paths of the fields of spec and status in the CRD's schema; nil where the version is not served.
func servedFields(crd *unstructured.Unstructured) map[string]bool {
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	for _, each := range versions {
		served, ok := each.(map[string]any)
		if !ok || served["name"] != v1alpha1.GroupVersion.Version || served["served"] != true {
			continue
		}
		found := map[string]bool{}
		for _, part := range parts {
			properties, _, _ := unstructured.NestedMap(served, "schema", "openAPIV3Schema", "properties", part, "properties")
			collectSchema(found, part, properties)
		}
		return found
	}
	return nil
}

// parts are the parts of a FluentCredential that are its own.
var parts = []string{"spec", "status"}

func collectSchema(found map[string]bool, path string, properties map[string]any) {
	for name, each := range properties {
		at := path + "." + name
		found[at] = true
		if inner, ok := each.(map[string]any); ok {
			below, _, _ := unstructured.NestedMap(inner, "properties")
			collectSchema(found, at, below)
		}
	}
}

// fieldsOf are the same paths in the Go types.
func fieldsOf(kind reflect.Type) map[string]bool {
	found := map[string]bool{}
	for i := range kind.NumField() {
		if name := jsonName(kind.Field(i)); slices.Contains(parts, name) {
			collectFields(found, name, kind.Field(i).Type)
		}
	}
	return found
}

func collectFields(found map[string]bool, path string, kind reflect.Type) {
	for kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	if kind.Kind() != reflect.Struct || kind.Implements(reflect.TypeFor[json.Marshaler]()) {
		return // a scalar, a list, a map, or a time or duration, which is written as text
	}
	for i := range kind.NumField() {
		field := kind.Field(i)
		name := jsonName(field)
		if name == "" {
			collectFields(found, path, field.Type) // inline
			continue
		}
		found[path+"."+name] = true
		collectFields(found, path+"."+name, field.Type)
	}
}

func jsonName(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return name
}
