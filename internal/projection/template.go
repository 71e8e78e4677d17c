package projection

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// Templates are the entries of target.data, ready to be rendered.
type Templates map[string]*template.Template

// Parse reads the templates. An error names the key and the place.
func Parse(data map[string]string) (Templates, error) {
	parsed := make(Templates, len(data))
	for _, key := range slices.Sorted(maps.Keys(data)) {
		one, err := template.New(key).Funcs((&bounded{}).functions()).Parse(data[key])
		if err != nil {
			return nil, fmt.Errorf("target.data: %w", err)
		}
		askSoftly(one)
		countTurns(one)
		if err := check(one); err != nil {
			return nil, fmt.Errorf("target.data: %w", err)
		}
		parsed[key] = one
	}
	return parsed, nil
}

// sample has a value everywhere, so that a trial run meets every field.
var sample = Values{
	AccessToken: "a", TokenType: "Bearer", Authorization: "Bearer a", ExpiresAt: "2026-01-05T10:30:00Z", Scope: "api",
	Account: "ACME", RetailerID: "1", Roles: []string{"RETAILER"}, Extra: map[string]string{"name": "value"},
}

// check finds what no token can mend: a field that does not exist, a loop without an end. What depends on the reply is left to
// Render, so a member of Extra counts as there.
func check(one *template.Template) error {
	_, err := execute(one, "missingkey=zero", sample)
	switch limit := limitOf(err); {
	case err == nil:
		return nil
	case limit != nil:
		return fmt.Errorf("%s: %w", one.Name(), limit)
	case strings.Contains(err.Error(), "can't evaluate field"):
		return err
	}
	return nil
}

// execute renders to bounds of its own.
func execute(one *template.Template, option string, values Values) ([]byte, error) {
	out := &bounded{}
	clone, err := one.Clone()
	if err != nil {
		return nil, err
	}
	err = clone.Funcs(out.functions()).Funcs(template.FuncMap{charged: out.charge}).Option(option).Execute(out, values)
	return out.Bytes(), err
}

// Render makes the data of the workload Secret: the default keys where there are no templates. An error names the key, and never
// a value: a template's own error can repeat what it was given.
func (t Templates) Render(values Values) (map[string][]byte, error) {
	if len(t) == 0 {
		return defaults(values), nil
	}
	data, size := make(map[string][]byte, len(t)), 0
	for _, key := range slices.Sorted(maps.Keys(t)) {
		rendered, err := execute(t[key], "missingkey=error", values)
		if err != nil {
			return nil, fmt.Errorf("target.data[%s] cannot be rendered: %w", key, withoutValues(err))
		}
		data[key] = rendered
		if size += len(rendered); size > maxData {
			return nil, errTooMuch
		}
	}
	return data, nil
}

func defaults(values Values) map[string][]byte {
	return map[string][]byte{
		v1alpha1.AccessTokenKey:   []byte(values.AccessToken),
		v1alpha1.TokenTypeKey:     []byte(values.TokenType),
		v1alpha1.AuthorizationKey: []byte(values.Authorization),
		v1alpha1.ExpiresAtKey:     []byte(values.ExpiresAt),
	}
}

// limitOf is the limit that an error is about; nil where it is about something else.
func limitOf(err error) error {
	for _, limit := range []error{errTooLarge, errTooLong, errTooWide} {
		if errors.Is(err, limit) {
			return limit
		}
	}
	return nil
}

func withoutValues(err error) error {
	if limit := limitOf(err); limit != nil {
		return limit
	}
	return errors.New("a value it uses is not in the API's reply, or has another type")
}
