package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

type schema = apiextensionsv1.JSONSchemaProps

// rows writes one row for each field below a path; what has to be set comes first.
func rows(out *strings.Builder, path string, of schema) {
	names := slices.Sorted(maps.Keys(of.Properties))
	isRequired := func(name string) bool { return slices.Contains(of.Required, name) }
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(rank(isRequired(a)), rank(isRequired(b))) })
	for _, name := range names {
		field := of.Properties[name]
		full := path + "." + name
		fmt.Fprintf(out, "| `%s` | %s | %s | %s |\n", full, typeOf(field), defaultOf(field, isRequired(name)), meaning(field))
		switch {
		case field.Items != nil && field.Items.Schema != nil:
			rows(out, full+"[]", *field.Items.Schema)
		default:
			rows(out, full, field)
		}
	}
}

func rank(required bool) int {
	if required {
		return 0
	}
	return 1
}

// typeOf is a type in the words of the field: a list of texts, a map from text to text.
func typeOf(field schema) string {
	kind := field.Type
	switch {
	case field.XIntOrString:
		return "integer or string"
	case field.Items != nil && field.Items.Schema != nil:
		return "list of " + typeOf(*field.Items.Schema)
	case field.AdditionalProperties != nil && field.AdditionalProperties.Schema != nil:
		return "map to " + typeOf(*field.AdditionalProperties.Schema)
	case field.Format != "":
		kind = field.Format
	}
	if len(field.Enum) > 0 {
		kind = "one of " + values(field.Enum)
	}
	return kind
}

func values(enum []apiextensionsv1.JSON) string {
	var all []string
	for _, value := range enum {
		all = append(all, "`"+plain(value.Raw)+"`")
	}
	return strings.Join(all, ", ")
}

// plain is a JSON value as one writes it in YAML.
func plain(raw []byte) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}

func defaultOf(field schema, required bool) string {
	switch {
	case field.Default != nil:
		return "`" + plain(field.Default.Raw) + "`"
	case required:
		return "**required**"
	}
	return ""
}

// meaning is the description, and the rules that admission holds the field to.
func meaning(field schema) string {
	text := oneLine(field.Description)
	var limits []string
	for _, rule := range field.XValidations {
		if rule.Message != "" {
			limits = append(limits, rule.Message)
		}
	}
	if field.Minimum != nil {
		limits = append(limits, fmt.Sprintf("at least %g", *field.Minimum))
	}
	if field.Maximum != nil {
		limits = append(limits, fmt.Sprintf("at most %g", *field.Maximum))
	}
	if field.MaxLength != nil {
		limits = append(limits, fmt.Sprintf("at most %d characters", *field.MaxLength))
	}
	if field.MaxItems != nil {
		limits = append(limits, fmt.Sprintf("at most %d entries", *field.MaxItems))
	}
	if len(limits) > 0 {
		text += " _Checked: " + oneLine(strings.Join(limits, "; ")) + "._"
	}
	return strings.TrimSpace(text)
}

// oneLine is a text as a cell of a table takes it.
func oneLine(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(strings.Join(strings.Fields(text), " "))
}
