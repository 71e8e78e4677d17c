package projection

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluent-credential/operator/internal/token"
)

var expires = time.Date(2026, 1, 5, 11, 30, 0, 0, time.FixedZone("CET", 3600))

// rich are values with something in every field; all that is secret about them begins with "secret".
func rich() Values {
	values := NewValues(token.NewSecret("secret-access-token"), "bearer", expires)
	values.Scope, values.Account, values.RetailerID = "api", "ACME", "5"
	values.Roles = []string{"RETAILER", "secret-role"}
	values.Extra = map[string]string{"owner_id": "secret-owner", "count": "17"}
	return values
}

func TestNewValues(t *testing.T) {
	cases := map[string]struct {
		tokenType, wantType, wantAuthorization string
		why                                    string
	}{
		"lower case": {"bearer", "Bearer", "Bearer a", "RFC 6750 writes it with a capital, and some APIs insist"},
		"upper case": {"BEARER", "Bearer", "Bearer a", "Nordea writes it so"},
		"mixed case": {"bEaReR", "Bearer", "Bearer a", "the type has no case"},
		"missing":    {"", "Bearer", "Bearer a", "no other type is in use"},
		"another":    {"DPoP", "DPoP", "DPoP a", "a type that is not known is kept"},
		"suffix":     {"BearerToken", "Bearer", "Bearer a", "it spells bearer"},
		"two words":  {"Bearer Token", "Bearer", "Bearer a", "it spells bearer"},
		"line break": {"MAC\r\nX-Injected: 1", "MAC", "MAC a", "the key authorization never holds a line break"},
		"only break": {"\r\n", "Bearer", "Bearer a", "nothing of it is a type"},
		"similar":    {"bearer2", "bearer2", "bearer2 a", "a type that is not known is kept"},
	}
	for name, c := range cases {
		got := NewValues(token.NewSecret("a"), c.tokenType, expires)
		want := Values{AccessToken: "a", TokenType: c.wantType, Authorization: c.wantAuthorization, ExpiresAt: "2026-01-05T10:30:00Z"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: wrong values (-want +got), but %s\n%s", name, c.why, diff)
		}
	}
}

func TestRender(t *testing.T) {
	type entries = map[string]string
	cases := map[string]struct {
		templates, want entries
		why             string
	}{
		"default keys": {nil, entries{
			"access_token": "secret-access-token", "token_type": "Bearer", "authorization": "Bearer secret-access-token",
			"expires_at": "2026-01-05T10:30:00Z",
		}, "this is the contract where target.data is not set"},
		"templates replace": {entries{"token": "{{.AccessToken}}"}, entries{"token": "secret-access-token"}, "the default keys are gone then"},
		"every field": {
			entries{"all": "{{.AccessToken}} {{.TokenType}} {{.Authorization}} {{.ExpiresAt}} {{.Scope}} {{.Account}} {{.RetailerID}} {{.Roles}} {{.Extra.count}}"},
			entries{"all": "secret-access-token Bearer Bearer secret-access-token 2026-01-05T10:30:00Z api ACME 5 [RETAILER secret-role] 17"},
			"these are the documented values",
		},
		"no template":    {entries{"fixed": "plain text"}, entries{"fixed": "plain text"}, "an entry may be the same always"},
		"empty":          {entries{"empty": ""}, entries{"empty": ""}, "an empty entry is an entry"},
		"curl's":         {entries{".curlrc": "header = \"Authorization: {{.Authorization}}\"\n"}, entries{".curlrc": "header = \"Authorization: Bearer secret-access-token\"\n"}, "a file of another program is what templates are for"},
		"b64enc":         {entries{"a": `{{b64enc .TokenType}}`}, entries{"a": "QmVhcmVy"}, "some programs want base64"},
		"toJson":         {entries{"a": `{{toJson .Roles}}`}, entries{"a": `["RETAILER","secret-role"]`}, "some programs want JSON"},
		"toJson in pipe": {entries{"a": `{"token":{{.AccessToken | toJson}}}`}, entries{"a": `{"token":"secret-access-token"}`}, "some programs want JSON"},
		"printf":         {entries{"a": `{{printf "%-8s|%03d|%q" .TokenType 7 .Scope}}`}, entries{"a": `Bearer  |007|"api"`}, "it works as in Go"},
		"print":          {entries{"a": `{{print .Scope 1 2 .Account}}{{println .Scope}}`}, entries{"a": "api1 2ACMEapi\n"}, "it works as in Go"},
		"escapers":       {entries{"a": `{{html "<&>"}} {{js "'"}} {{urlquery "a b"}}`}, entries{"a": `&lt;&amp;&gt; \' a+b`}, "they work as in Go"},
		"range":          {entries{"a": `{{range $i, $r := .Roles}}{{if $i}},{{end}}{{$r}}{{else}}none{{end}}`}, entries{"a": "RETAILER,secret-role"}, "a list is there to be gone through"},
		"range of map":   {entries{"a": `{{range $k, $v := .Extra}}{{$k}}={{$v}};{{end}}`}, entries{"a": "count=17;owner_id=secret-owner;"}, "the keys are sorted"},
		"index":          {entries{"a": `{{index .Extra "missing"}}{{index .Extra "count"}}`}, entries{"a": "17"}, "index is the way to ask for what may be missing"},
		"with default":   {entries{"a": `{{with index .Extra "missing"}}{{.}}{{else}}none{{end}}`}, entries{"a": "none"}, "this is how a default is written"},
		"if missing":     {entries{"a": `{{ if .Extra.instance_url }}{{ .Extra.instance_url }}{{ else }}https://default{{ end }}`}, entries{"a": "https://default"}, "to ask for a member is no use of it"},
		"if there":       {entries{"a": `{{ if .Extra.count }}{{ .Extra.count }}{{ else }}none{{ end }}`}, entries{"a": "17"}, "a member that is there is used"},
		"if not":         {entries{"a": `{{ if not .Extra.missing }}none{{ end }}`}, entries{"a": "none"}, "to ask for a member is no use of it"},
		"else if":        {entries{"a": `{{ if .Extra.missing }}{{ else if .Extra.count }}{{ .Extra.count }}{{ end }}`}, entries{"a": "17"}, "the second question is one, too"},
		"with member":    {entries{"a": `{{ with .Extra.missing }}{{ . }}{{ else }}none{{ end }}`}, entries{"a": "none"}, "to ask for a member is no use of it"},
		"if declares":    {entries{"a": `{{ if $u := .Extra.missing }}{{ $u }}{{ else }}none{{ end }}`}, entries{"a": "none"}, "a variable changes nothing"},
		"if and":         {entries{"a": `{{ if and .Extra.count .Extra.missing }}both{{ else }}none{{ end }}`}, entries{"a": "none"}, "each argument is asked for"},
		"if compared":    {entries{"a": `{{ if eq .Extra.missing "x" }}x{{ else }}none{{ end }}`}, entries{"a": "none"}, "each argument is asked for"},
		"if nested":      {entries{"a": `{{ if (or (not .Extra.count) (eq .Extra.missing "x")) }}x{{ else }}none{{ end }}`}, entries{"a": "none"}, "parentheses change nothing"},
		"or default":     {entries{"a": `{{ or .Extra.missing "https://default" }}`}, entries{"a": "https://default"}, "the shortest way to write a default"},
		"or in a pipe":   {entries{"a": `{{ or .Extra.missing .Extra.count | printf "%s!" }}`}, entries{"a": "17!"}, "a pipe changes nothing"},
		"if in a range":  {entries{"a": `{{ range .Roles }}{{ if $.Extra.missing }}x{{ else }}-{{ end }}{{ end }}`}, entries{"a": "--"}, "$ is the whole, wherever it is written"},
		"if in a define": {entries{"a": `{{ define "u" }}{{ if .Extra.missing }}x{{ else }}none{{ end }}{{ end }}{{ template "u" . }}`}, entries{"a": "none"}, "a template of its own is no different"},
		"if of a quote":  {entries{"a": `{{ if index .Extra "a\"b" }}x{{ else }}none{{ end }}`}, entries{"a": "none"}, "what is an index already stays"},
		"if other field": {entries{"a": `{{ if .RetailerID }}{{ .RetailerID }}{{ end }}{{ if .Roles }}!{{ end }}`}, entries{"a": "5!"}, "any other field stays"},
		"defined":        {entries{"a": `{{define "h"}}{{.TokenType}}{{end}}{{template "h" .}} {{template "h" .}}`}, entries{"a": "Bearer Bearer"}, "a template may call itself names"},
		"several keys":   {entries{"a": "{{.Scope}}", "b": "{{.Account}}"}, entries{"a": "api", "b": "ACME"}, "each key has its own template"},
		"a long list":    {entries{"a": `{{range .Roles}}{{range $.Roles}}{{range $.Roles}}x{{end}}{{end}}{{end}}`}, entries{"a": "xxxxxxxx"}, "loops are counted, not forbidden"},
		"break":          {entries{"a": `{{range .Roles}}{{.}}{{break}}{{end}}`}, entries{"a": "RETAILER"}, "it works as in Go"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			templates, err := Parse(c.templates)
			if err != nil {
				t.Fatalf("%v, but %s", err, c.why)
			}
			data, err := templates.Render(rich())
			if err != nil {
				t.Fatalf("%v, but %s", err, c.why)
			}
			got := entries{}
			for key, value := range data {
				got[key] = string(value)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("rendered wrongly (-want +got), but %s\n%s", c.why, diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	cases := map[string]struct {
		text, want string
		why        string
	}{
		"syntax":               {"{{.AccessToken", "unclosed action", "no token can mend it"},
		"unknown field":        {"{{.AcessToken}}", "can't evaluate field AcessToken", "no token can mend it"},
		"unknown field, later": {"{{.Extra.anything}}{{.Nope}}", "can't evaluate field Nope", "a member of Extra that may come must not hide it"},
		"unknown in if":        {"{{if .Nope}}{{end}}", "can't evaluate field Nope", "only members of Extra are optional"},
		"unknown in or":        {"{{or .Nope \"x\"}}", "can't evaluate field Nope", "only members of Extra are optional"},
		"unknown in a loop":    {"{{range .Roles}}{{$.Nope}}{{end}}", "can't evaluate field Nope", "no token can mend it"},
		"unknown in a map":     {"{{range .Extra}}{{$.Nope}}{{end}}", "can't evaluate field Nope", "no token can mend it"},
		"field of a string":    {"{{.AccessToken.Value}}", "can't evaluate field Value", "no token can mend it"},
		"unknown function":     {"{{env \"HOME\"}}", `function "env" not defined`, "a template has no way out of itself"},
		"unknown template":     {"{{template \"x\"}}{{.Nope}}", "", "it is told when it is rendered"},
		"refresh token":        {"{{.RefreshToken}}", "can't evaluate field RefreshToken", "a workload Secret never holds one"},
		"password":             {"{{.Password}}", "can't evaluate field Password", "a workload Secret never holds one"},
		"endless loop":         {"{{range 1000000000000}}{{end}}", errTooLong.Error(), "it would hold a worker for ever"},
		"loops in loops":       {"{{range 1000}}{{range 1000}}{{range 1000}}{{end}}{{end}}{{end}}", errTooLong.Error(), "it would hold a worker for hours"},
		"endless recursion":    {`{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`, errTooLong.Error(), "it would fill the stack"},
		"many calls":           {manyCalls(), errTooLong.Error(), "each line doubles the work"},
		"much text":            {"{{range 5000}}" + strings.Repeat("x", 100) + "{{end}}", errTooLarge.Error(), "a Secret holds no more"},
		"doubled text":         {`{{$a := "xxxxxxxx"}}` + strings.Repeat(`{{$a = print $a $a}}`, 40), errTooLarge.Error(), "it would fill the memory"},
		"doubled by printf":    {`{{$a := "xxxxxxxx"}}` + strings.Repeat(`{{$a = printf "%s%s" $a $a}}`, 40), errTooLarge.Error(), "it would fill the memory"},
		"doubled by escapes":   {`{{$a := "\\"}}` + strings.Repeat(`{{$a = js $a}}`, 60), errTooLarge.Error(), "it would fill the memory"},
		"doubled by JSON":      {`{{$a := "\\"}}` + strings.Repeat(`{{$a = toJson $a}}`, 60), errTooLarge.Error(), "it would fill the memory"},
		"grown by base64":      {`{{$a := "xxxxxxxx"}}` + strings.Repeat(`{{$a = b64enc $a}}`, 100), errTooLarge.Error(), "it would fill the memory"},
		"comparisons":          {twoTexts + "{{range 9000}}" + strings.Repeat("{{$z = eq $x $y}}", 200) + "{{end}}", errTooLong.Error(), "nothing is printed"},
		"one long comparison":  {twoTexts + "{{range 9000}}{{$z = eq $x" + strings.Repeat(" $y", 1000) + "}}{{end}}", errTooLong.Error(), "one action can do all the work"},
		"conditions":           {twoTexts + "{{range 9000}}" + strings.Repeat("{{if eq $x $y}}{{end}}", 200) + "{{end}}", errTooLong.Error(), "their bodies are empty"},
		"conditions in else":   {"{{range 9000}}{{if 0}}{{else}}" + strings.Repeat("{{if 0}}{{end}}", 200) + "{{end}}{{end}}", errTooLong.Error(), "likewise"},
		"assignments":          {"{{$z := 0}}{{range 9000}}" + strings.Repeat("{{$z = 1}}", 1000) + "{{end}}", errTooLong.Error(), "nothing is printed"},
		"parentheses":          {"{{range 9000}}{{$z := " + strings.Repeat("(", 500) + "1" + strings.Repeat(")", 500) + "}}{{end}}", errTooLong.Error(), "each is evaluated"},
		"refilled":             {"{{fluentWork -100000}}", "not defined", "a template must not enlarge its budget"},
		"wide":                 {`{{printf "%99999d" 1}}`, errTooWide.Error(), "a few of them would fill the memory"},
		"wide by argument":     {`{{printf "%*d" 99999 1}}`, errTooWide.Error(), "a few of them would fill the memory"},
		"indexed":              {twoTexts + `{{$z := printf "` + strings.Repeat("%[1]s", 2000) + `" $x}}`, errTooWide.Error(), "it would make 500 MiB of 256 KiB"},
		"indexed, with flags":  {twoTexts + `{{$z := printf "` + strings.Repeat("%-9.3[1]q", 2000) + `" $x}}`, errTooWide.Error(), "likewise"},
		"many large arguments": {twoTexts + "{{$z := print" + strings.Repeat(" $x", 1000) + "}}", errTooLarge.Error(), "it would make 250 MiB"},
		"precise":              {`{{printf "%.99999f" 1.0}}`, errTooWide.Error(), "a few of them would fill the memory"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(map[string]string{"my-key": c.text})
			switch {
			case c.want == "" && err == nil:
			case err == nil || !strings.Contains(err.Error(), c.want):
				t.Errorf("got error %v, want %q, because %s", err, c.want, c.why)
			case !strings.HasPrefix(err.Error(), "target.data: ") || !strings.Contains(err.Error(), "my-key"):
				t.Errorf("%q does not name the entry", err)
			}
		})
	}
}

// twoTexts are two equal texts of 256 KiB, made by doubling.
const twoTexts = `{{$x := "aaaaaaaa"}}{{$y := "aaaaaaaa"}}{{$z := false}}` +
	`{{range 15}}{{$x = printf "%s%s" $x $x}}{{$y = printf "%s%s" $y $y}}{{end}}`

// TestEntriesShareTheBudget: many small entries must not do what one large entry must not.
func TestEntriesShareTheBudget(t *testing.T) {
	data := map[string]string{}
	for n := range 64 {
		data[fmt.Sprint("k", n)] = "{{range 900}}{{end}}"
	}
	if _, err := Parse(data); !errors.Is(err, errTooLong) {
		t.Errorf("64 entries of 900 turns each: %v, want %v", err, errTooLong)
	}
	const byReply = "{{range len .AccessToken}}{{end}}"
	many, err := Parse(map[string]string{"a": byReply, "b": byReply, "c": byReply})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := many.Render(Values{AccessToken: strings.Repeat("x", 2*maxWork/5)}); !errors.Is(err, errTooLong) {
		t.Errorf("a long token in three entries: %v, want %v", err, errTooLong)
	}
}

// TestOrdinaryTemplatesFitTheBudget: the limit is far beyond what a configuration file needs.
func TestOrdinaryTemplatesFitTheBudget(t *testing.T) {
	const entry = `{{range .Roles}}{{if eq . "ADMIN"}}admin = true{{else}}role = {{.}}{{end}}
{{end}}{{with .Scope}}scope = {{.}}{{end}}
authorization = {{printf "Bearer %s" .AccessToken | b64enc}}`
	data := map[string]string{}
	for n := range 20 {
		data[fmt.Sprint("file", n)] = entry
	}
	parsed, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	values := sample
	values.Roles = slices.Repeat([]string{"RETAILER"}, 40)
	values.AccessToken = strings.Repeat("x", 4<<10)
	if _, err := parsed.Render(values); err != nil {
		t.Errorf("20 files with 40 roles each: %v", err)
	}
}

func TestParseRefusesMuchSource(t *testing.T) {
	deep := strings.Repeat("{{if 1}}", 90_000) + strings.Repeat("{{end}}", 90_000)
	if _, err := Parse(map[string]string{"k": deep}); !errors.Is(err, errSource) {
		t.Errorf("1.3 MB of nested conditions: %v, want %v", err, errSource)
	}
}

func manyCalls() string {
	var text strings.Builder
	text.WriteString(`{{define "0"}}{{end}}`)
	for i := range 9 {
		one, next := string(rune('0'+i)), string(rune('1'+i))
		call := `{{template "` + one + `"}}`
		text.WriteString(`{{define "` + next + `"}}` + strings.Repeat(call, 8) + `{{end}}`)
	}
	return text.String() + `{{template "9"}}`
}

func TestRenderRefuses(t *testing.T) {
	const another = "a value it uses is not in the API's reply, or has another type"
	large := rich()
	large.AccessToken = "secret" + strings.Repeat("x", 200<<10)
	cases := map[string]struct {
		templates map[string]string
		values    Values
		want      string
		why       string
	}{
		"missing member":      {map[string]string{"k": "{{.Extra.missing}}"}, rich(), "target.data[k] cannot be rendered: " + another, "an empty entry would look like one"},
		"missing in a branch": {map[string]string{"k": "{{ if .Extra.count }}{{ .Extra.missing }}{{ end }}"}, rich(), "target.data[k] cannot be rendered: " + another, "it is printed there"},
		"missing in a call":   {map[string]string{"k": "{{ b64enc .Extra.missing }}"}, rich(), "target.data[k] cannot be rendered: " + another, "an empty entry would look like one"},
		"missing in or":       {map[string]string{"k": "{{ if true }}{{ print .Extra.missing }}{{ end }}"}, rich(), "target.data[k] cannot be rendered: " + another, "only the condition asks"},
		"not there this time": {map[string]string{"k": "{{index .Roles 7}}"}, rich(), "target.data[k] cannot be rendered: " + another, "the reply may have more another time"},
		"value in the error":  {map[string]string{"k": "{{index .Extra .AccessToken 1}}"}, rich(), "target.data[k] cannot be rendered: " + another, "the template's own error would tell the token"},
		"token as a name":     {map[string]string{"k": "{{template .AccessToken}}"}, rich(), "", "this is no template at all"},
		"unknown template":    {map[string]string{"k": `{{template "secret"}}`}, rich(), "target.data[k] cannot be rendered: " + another, "it is not defined"},
		"branch not taken before": {
			map[string]string{"k": "{{if eq .Account \"ACME\"}}{{else}}{{.Nope}}{{end}}"}, Values{}, "target.data[k] cannot be rendered: " + another,
			"only the values lead there",
		},
		"first of two":     {map[string]string{"b": "{{.Extra.x}}", "a": "{{.Extra.y}}"}, rich(), "target.data[a] cannot be rendered: " + another, "the message does not change while the situation does not"},
		"entry too large":  {map[string]string{"k": "{{.AccessToken}}{{.AccessToken}}"}, large, "target.data[k] cannot be rendered: " + errTooLarge.Error(), "a Secret holds no more"},
		"all too large":    {map[string]string{"a": "{{.AccessToken}}", "b": "{{.AccessToken}}", "c": "{{.AccessToken}}", "d": "{{.AccessToken}}", "e": "{{.AccessToken}}", "f": "{{.AccessToken}}"}, large, errTooMuch.Error(), "a Secret holds no more"},
		"loop by a reply":  {map[string]string{"k": "{{range len .AccessToken}}{{end}}"}, large, "target.data[k] cannot be rendered: " + errTooLong.Error(), "a reply can lengthen a loop"},
		"handled too much": {map[string]string{"k": `{{range 100}}{{$a := html $.AccessToken}}{{end}}`}, large, "target.data[k] cannot be rendered: " + errTooLarge.Error(), "what is thrown away fills the memory too"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			templates, err := Parse(c.templates)
			if c.want == "" {
				if err == nil {
					t.Errorf("it is accepted, but %s", c.why)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			_, err = templates.Render(c.values)
			if err == nil || err.Error() != c.want {
				t.Errorf("got error %v, want %s, because %s", err, c.want, c.why)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("%v tells a value", err)
			}
		})
	}
}

// One rendering does not use up another's limits.
func TestRenderAgain(t *testing.T) {
	templates, err := Parse(map[string]string{"a": "{{range 900}}{{print .}}{{end}}", "b": "{{range 900}}{{print .}}{{end}}"})
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if _, err := templates.Render(rich()); err != nil {
			t.Fatal(err)
		}
	}
}
