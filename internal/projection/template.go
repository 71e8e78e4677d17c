package projection

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// functions are those that a template can use beside Go's own.
var functions = template.FuncMap{
	"b64enc": func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) },
	"toJson": func(value any) (string, error) { encoded, err := json.Marshal(value); return string(encoded), err },
}

// maxRendered bounds one entry: a Secret holds 1 MiB at most.
const maxRendered = 256 << 10

// Templates are the entries of target.data, ready to be rendered.
type Templates map[string]*template.Template

// Parse reads the templates. An error names the key and the place.
func Parse(data map[string]string) (Templates, error) {
	parsed := make(Templates, len(data))
	for _, key := range slices.Sorted(maps.Keys(data)) {
		one, err := template.New(key).Funcs(functions).Option("missingkey=error").Parse(data[key])
		if err != nil {
			return nil, fmt.Errorf("target.data: %w", err)
		}
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
	Account: "ACME", RetailerID: "1", Roles: []string{"RETAILER"}, Extra: map[string]string{},
}

// check finds what no token can mend: a field that does not exist. What depends on the reply is left to Render.
func check(one *template.Template) error {
	err := one.Execute(&bounded{}, sample)
	if err != nil && strings.Contains(err.Error(), "can't evaluate field") {
		return err
	}
	return nil
}

// Render makes the data of the workload Secret: the default keys where there are no templates. An error names the key, and never
// a value: a template's own error can repeat what it was given.
func (t Templates) Render(values Values) (map[string][]byte, error) {
	if len(t) == 0 {
		return defaults(values), nil
	}
	data := make(map[string][]byte, len(t))
	for _, key := range slices.Sorted(maps.Keys(t)) {
		out := &bounded{}
		if err := t[key].Execute(out, values); err != nil {
			return nil, fmt.Errorf("target.data[%s] cannot be rendered: %w", key, withoutValues(err))
		}
		data[key] = out.Bytes()
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

// errTooLarge ends a template that renders more than a Secret holds.
var errTooLarge = errors.New("it renders more than 256 KiB")

type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxRendered {
		return 0, errTooLarge
	}
	return b.Buffer.Write(p)
}

func withoutValues(err error) error {
	if errors.Is(err, errTooLarge) {
		return errTooLarge
	}
	return errors.New("a value it uses is not in the API's reply, or has another type")
}
