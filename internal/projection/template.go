package projection

import (
	"cmp"
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
	size := 0
	for key, text := range data {
		size += len(key) + len(text)
	}
	if size > maxSource {
		return nil, errSource
	}
	parsed := make(Templates, len(data))
	trial := &budget{}
	for _, key := range slices.Sorted(maps.Keys(data)) {
		one, err := template.New(key).Funcs(newBounded(&budget{}).functions()).Parse(data[key])
		if err != nil {
			return nil, fmt.Errorf("target.data: %w", err)
		}
		askSoftly(one)
		countWork(one)
		if err := check(one, trial); err != nil {
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
func check(one *template.Template, within *budget) error {
	_, err := execute(one, within, "missingkey=zero", sample)
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

// execute renders an entry within the budget of its target.
func execute(one *template.Template, within *budget, option string, values any) ([]byte, error) {
	out := newBounded(within)
	clone, err := one.Clone()
	if err != nil {
		return nil, err
	}
	err = clone.Funcs(out.functions()).Funcs(out.counter()).Option(option).Execute(out, values)
	return out.Bytes(), err
}

// Render makes the data of the workload Secret: the default keys where there are no templates. An error names the key, and never
// a value: a template's own error can repeat what it was given.
func (t Templates) Render(values Values) (map[string][]byte, error) {
	if len(t) == 0 {
		return defaults(values), nil
	}
	return t.render(values, func(error) error { return nil })
}

// RenderForConsumer makes the data of a FluentToken's Secret. Of the API's reply it shows what describes the token, and
// what the owner of the FluentCredential lists.
func (t Templates) RenderForConsumer(values Values, listed []string) (map[string][]byte, error) {
	if len(t) == 0 {
		return defaults(values), nil
	}
	limited := forConsumer(values, listed)
	return t.render(limited, limited.unlistedIn)
}

// Unlisted returns an error if a template certainly uses what the owner of the FluentCredential does not list.
func (t Templates) Unlisted(listed []string) error {
	values := sample
	values.Extra = make(map[string]string, len(listed)) // a reply that has all of them
	for _, name := range listed {
		values.Extra[name] = "value"
	}
	if _, err := t.RenderForConsumer(values, listed); IsUnlisted(err) {
		return err
	}
	return nil
}

// render renders all entries. explain returns an error that may be shown as it is, or nil.
func (t Templates) render(values any, explain func(error) error) (map[string][]byte, error) {
	data := make(map[string][]byte, len(t))
	size := 0
	within := &budget{}
	for _, key := range slices.Sorted(maps.Keys(t)) {
		rendered, err := execute(t[key], within, "missingkey=error", values)
		if err != nil {
			return nil, fmt.Errorf("target.data[%s] cannot be rendered: %w", key, cmp.Or(explain(err), withoutValues(err)))
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
