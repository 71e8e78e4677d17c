package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

func TestParse(t *testing.T) {
	for why, test := range map[string]struct {
		args               []string
		servers, scenarios []string
		rotations          int
	}{
		"everything":                  {nil, namesOf(servers, server.called), namesOf(scenarios, scenario.called), manyRotations},
		"in the order of the table":   {[]string{"--only=fosite,go-oauth2"}, []string{"go-oauth2", "fosite"}, namesOf(scenarios, scenario.called), manyRotations},
		"one scenario, a short pass":  {[]string{"--scenario=seed", "--quick"}, namesOf(servers, server.called), []string{"seed"}, fewRotations},
		"all servers are required":    {[]string{"--require=all"}, namesOf(servers, server.called), namesOf(scenarios, scenario.called), manyRotations},
		"one server, one requirement": {[]string{"--only=fosite", "--require=fosite"}, []string{"fosite"}, namesOf(scenarios, scenario.called), manyRotations},
	} {
		got, err := parse(test.args)
		if err != nil {
			t.Errorf("%s: %v", why, err)
			continue
		}
		if diff := cmp.Diff(test.servers, namesOf(got.servers, server.called)); diff != "" {
			t.Errorf("%s: servers (-want +got):\n%s", why, diff)
		}
		if diff := cmp.Diff(test.scenarios, namesOf(got.scenarios, scenario.called)); diff != "" {
			t.Errorf("%s: scenarios (-want +got):\n%s", why, diff)
		}
		if got.rotations != test.rotations {
			t.Errorf("%s: %d rotations, want %d", why, got.rotations, test.rotations)
		}
	}
	for _, args := range [][]string{{"--only=keycloak"}, {"--scenario=x"}, {"--require=keycloak"}, {"fosite"}, {"--unknown"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}

// The policies may lose a family, and no more, whatever the server.
func TestWhatAPolicyMayCost(t *testing.T) {
	policies := []v1alpha1.LostReplyPolicy{v1alpha1.LostReplyAuto, v1alpha1.LostReplyRetry, v1alpha1.LostReplyReauthenticate}
	for _, again := range []consequence{refuses, revokes, tolerant} {
		for _, policy := range policies {
			got := recoveryFrom(policy, again)
			if got.asked.most > 2 || got.asked.logins > 2 || got.asked.refusedLogins > 0 || got.asked.reuses > 1 {
				t.Errorf("%s where the server %s: %+v", policy, again, got)
			}
		}
		subject := server{again: again}
		if got := recoveryFrom(subject.right(), again); again != tolerant && got.asked.reuses > 0 {
			t.Errorf("the right policy has a token reused where the server %s", again)
		}
		if subject.right() == subject.wrong() {
			t.Errorf("right and wrong are the same where the server %s", again)
		}
	}
}

func TestVerdict(t *testing.T) {
	green := map[string]cell{"obtain": {}}
	for why, test := range map[string]struct {
		row      row
		required []string
		red      bool
	}{
		"all is well":                            {row{cells: green}, []string{"x"}, false},
		"one scenario failed":                    {row{cells: map[string]cell{"obtain": {err: errors.New("no")}}}, nil, true},
		"a server that cannot do something":      {row{cells: map[string]cell{"obtain": {notApplicable: true}}}, nil, false},
		"a server that did not start":            {row{err: errors.New("no")}, nil, true},
		"a server that is not installed":         {row{err: missing("needs npm"), missing: true}, nil, false},
		"a required one that is not installed":   {row{err: missing("needs npm"), missing: true}, []string{"x"}, true},
		"another is required, not the lacking x": {row{err: missing("needs npm"), missing: true}, []string{"y"}, false},
	} {
		test.row.server.name = "x"
		results := &table{scenarios: scenarios[1:2], rows: []row{test.row}}
		if err := results.verdict(test.required); (err != nil) != test.red {
			t.Errorf("%s: %v", why, err)
		}
	}
}

func TestNothingIsSilentlyGreen(t *testing.T) {
	for why, test := range map[string]struct {
		row  row
		want string
	}{
		"what was not played because the server is lacking": {row{missing: true}, "not installed"},
		"what was not played because of an error":           {row{err: errors.New("no")}, "RED"},
		"what the server cannot do":                         {row{cells: map[string]cell{"obtain": {notApplicable: true}}}, "–"},
		"what went well":                                    {row{cells: map[string]cell{"obtain": {counts: counts{Granted: 2, Presented: 1, Codes: 1, Reused: 1}}}}, "ok 2/2/1/0"},
	} {
		if got := test.row.of("obtain"); got != test.want {
			t.Errorf("%s: %q, want %q", why, got, test.want)
		}
	}
}

func TestTheTableReplacesTheLastOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doc.md")
	if err := os.WriteFile(path, []byte("before\n"+beginMark+"\nold\n"+endMark+"\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	results := &table{scenarios: scenarios[1:2], rows: []row{{
		server: server{name: "x", again: refuses}, version: "1.2", cells: map[string]cell{"obtain": {note: "well"}},
	}}}
	if err := results.save(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := string(text)
	for _, want := range []string{"before\n" + beginMark, endMark + "\nafter\n", "| `obtain` | ok 0/0/0/0 |", "| x | 1.2 |", "| well |"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
	if strings.Contains(got, "old") {
		t.Errorf("the old table is left:\n%s", got)
	}
	if err := results.save(os.Args[0]); err == nil {
		t.Error("a document without a place for the table is taken")
	}
}
