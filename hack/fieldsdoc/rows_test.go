package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

func TestRows(t *testing.T) {
	text := schema{Type: "string", Description: "one\n of a|b"}
	of := schema{Required: []string{"name"}, Properties: map[string]schema{
		"data":   {Type: "object", AdditionalProperties: &apiextensionsv1.JSONSchemaPropsOrBool{Schema: &text}, Description: "by name."},
		"kind":   {Type: "string", Enum: []apiextensionsv1.JSON{{Raw: []byte(`"A"`)}, {Raw: []byte(`"B"`)}}, Default: &apiextensionsv1.JSON{Raw: []byte(`"A"`)}},
		"name":   {Type: "string", Description: "name of it.", MaxLength: new(int64(9)), XValidations: apiextensionsv1.ValidationRules{{Message: "no spaces"}}},
		"when":   {Type: "string", Format: "date-time"},
		"things": {Type: "array", Items: &apiextensionsv1.JSONSchemaPropsOrArray{Schema: &schema{Type: "object", Properties: map[string]schema{"x": {Type: "integer", Minimum: new(1.0)}}}}},
	}}
	out := &strings.Builder{}
	rows(out, "spec", of)
	want := "| `spec.name` | string | **required** | name of it. _Checked: no spaces; at most 9 characters._ |\n" +
		"| `spec.data` | map to string |  | by name. |\n" +
		"| `spec.kind` | one of `A`, `B` | `A` |  |\n" +
		"| `spec.things` | list of object |  |  |\n" +
		"| `spec.things[].x` | integer |  | _Checked: at least 1._ |\n" +
		"| `spec.when` | date-time |  |  |\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	if got := oneLine(text.Description); got != `one of a\|b` {
		t.Errorf("a cell says %q", got)
	}
}
