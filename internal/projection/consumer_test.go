package projection

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// whole has values whose appearance in a text can be found.
func whole() Values {
	return Values{
		AccessToken: "the-token", TokenType: "Bearer", Authorization: "Bearer the-token", ExpiresAt: "2026-01-05T10:30:00Z",
		Scope: "the-scope", Account: "the-account", RetailerID: "hidden-5", Roles: []string{"hidden-role"},
		Extra: map[string]string{"device_id": "hidden-device", "tenant": "hidden-tenant", "Retailer_id": "hidden-5"},
	}
}

func TestConsumersSeeWhatTheOwnerLists(t *testing.T) {
	const always = `{"AccessToken":"the-token","TokenType":"Bearer","Authorization":"Bearer the-token",` +
		`"ExpiresAt":"2026-01-05T10:30:00Z","Scope":"the-scope","Account":"the-account",`
	tests := map[string]struct {
		why, template string
		listed        []string
		want          string
	}{
		"the token":            {"it is what consumers get", "{{ .Authorization }} {{ .Scope }} {{ .Account }}", nil, "Bearer the-token the-scope the-account"},
		"all members":          {"none is listed", "{{ toJson .Extra }}", nil, "{}"},
		"all, one listed":      {"the owner lists it", "{{ toJson .Extra }}", []string{"tenant"}, `{"tenant":"hidden-tenant"}`},
		"one by one":           {"none is listed", "{{ range $k, $v := .Extra }}{{ $k }}={{ $v }}{{ end }}", nil, ""},
		"a member":             {"the owner lists it", "{{ .Extra.tenant }}", []string{"tenant"}, "hidden-tenant"},
		"a test":               {"it counts as missing", "{{ if .Extra.tenant }}{{ .Extra.tenant }}{{ else }}none{{ end }}", nil, "none"},
		"a default":            {"it counts as missing", `{{ or .Extra.tenant "none" }}`, nil, "none"},
		"an index":             {"it counts as missing", `{{ index .Extra "tenant" }}`, nil, ""},
		"the retailer":         {"the owner lists it", "{{ .RetailerID }}", []string{"RetailerID"}, "hidden-5"},
		"the retailer's name":  {"as the reply has it", "{{ .RetailerID }}{{ .Extra.Retailer_id }}", []string{"Retailer_id"}, "hidden-5hidden-5"},
		"the roles":            {"the owner lists them", "{{ range .Roles }}{{ . }}{{ end }}", []string{"Roles"}, "hidden-role"},
		"everything":           {"no member is listed", "{{ toJson . }}", nil, always + `"RetailerID":"","Roles":null,"Extra":{}}`},
		"everything, some":     {"what is listed is there", "{{ toJson . }}", []string{"Roles"}, always + `"RetailerID":"","Roles":["hidden-role"],"Extra":{}}`},
		"everything, printed":  {"a template can print all at once", "{{ . }}", nil, "{the-token Bearer Bearer the-token 2026-01-05T10:30:00Z the-scope the-account  [] map[]}"},
		"everything, verbose":  {"likewise", `{{ printf "%+v" . }}`, nil, "{the-token Bearer Bearer the-token 2026-01-05T10:30:00Z the-scope the-account  [] map[]}"},
		"another case":         {"names of members have a case", `{{ or .Extra.tenant "none" }}`, []string{"Tenant"}, "none"},
		"a name of the values": {"it gives nothing that is not given anyway", "{{ .AccessToken }}", []string{"AccessToken"}, "the-token"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			templates, err := Parse(map[string]string{"k": test.template})
			if err != nil {
				t.Fatal(err)
			}
			data, err := templates.RenderForConsumer(whole(), test.listed)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(data["k"])); diff != "" {
				t.Errorf("%s (-want +got)\n%s", test.why, diff)
			}
		})
	}
}

// TestUnlistedMembersAreNamed: the message names what to list, and is the same whether the reply has it or not.
func TestUnlistedMembersAreNamed(t *testing.T) {
	for template, member := range map[string]string{
		"{{ .Extra.tenant }}":                            "tenant",
		"{{ .Extra.never }}":                             "never",
		"{{ with .Extra }}{{ .tenant }}{{ end }}":        "",
		"{{ with $x := .Extra }}{{ $x.never }}{{ end }}": "",
		"{{ with . }}{{ .Extra.tenant }}{{ end }}":       "tenant",
		"{{ .RetailerID }}":                              "RetailerID",
		"{{ if .RetailerID }}x{{ end }}":                 "RetailerID",
		"{{ .Roles }}":                                   "Roles",
		"{{ range .Roles }}x{{ end }}":                   "Roles",
	} {
		templates, err := Parse(map[string]string{"k": template})
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range map[string]Values{"the reply has it": whole(), "the reply lacks it": {}} {
			_, err := templates.RenderForConsumer(values, nil)
			if member == "" {
				if err != nil {
					t.Errorf("%s, %s: %v", template, name, err) // an empty .Extra is no condition that holds
				}
				continue
			}
			want := "target.data[k] cannot be rendered: it uses " + member + " of the API's reply, which the FluentCredential does not list"
			if err == nil || !strings.HasPrefix(err.Error(), want) || !IsUnlisted(err) {
				t.Errorf("%s, %s: %v", template, name, err)
			}
		}
	}
}

// TestListedMemberThatIsMissing: that a reply lacks what is listed is no matter of consent.
func TestListedMemberThatIsMissing(t *testing.T) {
	templates, err := Parse(map[string]string{"k": "{{ .Extra.never }}"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = templates.RenderForConsumer(whole(), []string{"never"})
	if err == nil || IsUnlisted(err) {
		t.Errorf("the error is %v", err)
	}
}

// TestNoTemplateShowsWhatIsNotListed tries the ways by which a template can look into a value.
func TestNoTemplateShowsWhatIsNotListed(t *testing.T) {
	for _, template := range []string{
		"{{ . }}", "{{ $ }}", "{{ print . }}", `{{ printf "%#v" . }}`, `{{ printf "%q" . }}`, `{{ printf "%d" . }}`, "{{ html . }}",
		"{{ js . }}", "{{ urlquery . }}", "{{ toJson . }}", "{{ .String }}", `{{ printf "%s" .MarshalJSON }}`,
		`{{ printf "%x" .MarshalJSON }}`, "{{ println .Extra }}", "{{ .limited }}", "{{ .listed }}", `{{ printf "%T" . }}`,
	} {
		templates, err := Parse(map[string]string{"k": template})
		if err != nil {
			continue
		}
		data, err := templates.RenderForConsumer(whole(), []string{"nothing"})
		if err == nil && (strings.Contains(string(data["k"]), "hidden") || strings.Contains(string(data["k"]), "68696464656e")) {
			t.Errorf("%s shows %s", template, data["k"])
		}
	}
}

// TestUnlisted is for who checks a manifest before there is a token.
func TestUnlisted(t *testing.T) {
	templates, err := Parse(map[string]string{"k": "{{ .Extra.tenant }}{{ .Roles }}"})
	if err != nil {
		t.Fatal(err)
	}
	for list, unlisted := range map[string]bool{"": true, "tenant": true, "Roles": true, "tenant Roles": false} {
		if err := templates.Unlisted(strings.Fields(list)); (err != nil) != unlisted {
			t.Errorf("%q: %v", list, err)
		}
	}
}
