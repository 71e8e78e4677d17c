package custody

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fluent-credential/operator/internal/token"
)

// TestStateWithoutOriginsIsRead: the states of former operators are read as they were written.
func TestStateWithoutOriginsIsRead(t *testing.T) {
	stored, err := os.ReadFile(filepath.Join("testdata", "state-v1-without-origins.golden"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(map[string][]byte{documentKey: stored, checksumKey: []byte(checksum(stored))})
	if err != nil {
		t.Fatal(err)
	}
	want := fullState()
	want.Token.Origin, want.Chain.Origin = nil, nil
	want.Claim.Origin, want.Claim.Inputs, want.Claim.Login = nil, "", ""
	want.Reference = ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read differently (-want +got)\n%s", diff)
	}
	if !got.LacksOrigin() || got.Adopted(*fullOrigin()).LacksOrigin() {
		t.Error("it lacks an origin until it is given one")
	}
	if !got.LacksOrigin() {
		t.Error("the state itself was changed")
	}
}

func TestChangesOfAnOrigin(t *testing.T) {
	tests := map[string]struct {
		why    string
		change func(*Origin)
		want   []string
	}{
		"nothing":             {"it is the same", func(*Origin) {}, nil},
		"the endpoint":        {"another recipient", func(o *Origin) { o.Endpoint = "x" }, []string{"token endpoint"}},
		"the client":          {"another client", func(o *Origin) { o.Client = "x" }, []string{"client"}},
		"the scope":           {"other rights", func(o *Origin) { o.Scope = "x" }, []string{"scope"}},
		"the user":            {"another user", func(o *Origin) { o.User = "x" }, []string{"user"}},
		"no user":             {"a login without a user name continues any family", func(o *Origin) { o.User = "" }, nil},
		"the style":           {"secrets in URLs", func(o *Origin) { o.ParameterStyle = "x" }, []string{"parameterStyle"}},
		"the authentication":  {"the secret elsewhere", func(o *Origin) { o.ClientAuthentication = "x" }, []string{"clientAuthentication"}},
		"the headers":         {"another tenant", func(o *Origin) { o.Headers = "x" }, []string{"header"}},
		"more trust":          {"another holder of a key", func(o *Origin) { o.Trust = append(o.Trust, "x") }, []string{"caBundle"}},
		"other trust":         {"another holder of a key", func(o *Origin) { o.Trust = []string{"x"} }, []string{"caBundle"}},
		"less trust":          {"what is trusted was trusted", func(o *Origin) { o.Trust = nil }, nil},
		"the revocation":      {"it is compared on its own", func(o *Origin) { o.Revocation = "x" }, nil},
		"two at a time":       {"all are named", func(o *Origin) { o.Client, o.Scope = "x", "x" }, []string{"client", "scope"}},
		"another salt, alone": {"the hashes are compared, and a comparison uses the stored salt", func(o *Origin) { o.Salt = "x" }, nil},
	}
	for name, test := range tests {
		now := *fullOrigin()
		test.change(&now)
		if diff := cmp.Diff(test.want, fullOrigin().Changes(now)); diff != "" {
			t.Errorf("%s: %s (-want +got)\n%s", name, test.why, diff)
		}
	}
	if (&Origin{User: ""}).Changes(Origin{User: "x"}) != nil {
		t.Error("a family that was seeded without a user name has another origin once one is named")
	}
}

func TestRevocationChanged(t *testing.T) {
	tests := map[string]struct {
		then, now string
		want      bool
	}{
		"the same":                 {"a", "a", false},
		"another one":              {"a", "b", true},
		"unknown":                  {"", "b", false},
		"known, and not known now": {"a", "", true},
	}
	for name, test := range tests {
		origin := Origin{Revocation: test.then}
		if got := origin.RevocationChanged(Origin{Revocation: test.now}); got != test.want {
			t.Errorf("%s: %t, want %t", name, got, test.want)
		}
	}
}

// TestOriginOfAClaim: a claim of a former operator hands on what the family has; any other one has its own.
func TestOriginOfAClaim(t *testing.T) {
	state := fullState()
	own := fullOrigin()
	own.Client = "another"
	spends := state.Chain.Refresh.Hash(state.Salt)
	tests := map[string]struct {
		why        string
		claim      Claim
		want       *Origin
		wantInputs string
	}{
		"its own":   {"it was written with the claim", Claim{Origin: own, Inputs: "own"}, own, "own"},
		"a refresh": {"the family goes on", Claim{Grant: token.RefreshToken, Spends: spends}, state.Chain.Origin, "hash-of-inputs"},
		"a login":   {"a new family, of which nothing was recorded", Claim{Grant: token.Password}, nil, "now"},
		"a seed":    {"likewise", Claim{Grant: token.RefreshToken, Seed: true, Spends: "hash-of-seed"}, nil, "now"},
	}
	for name, test := range tests {
		if diff := cmp.Diff(test.want, state.OriginOf(test.claim)); diff != "" {
			t.Errorf("%s: %s (-want +got)\n%s", name, test.why, diff)
		}
		if got := state.InputsOf(test.claim, "now"); got != test.wantInputs {
			t.Errorf("%s: inputs %s, want %s: %s", name, got, test.wantInputs, test.why)
		}
	}
}

// TestDoubtKeepsTheOrigin: a refresh token that came out of a backup belongs to where it belonged.
func TestDoubtKeepsTheOrigin(t *testing.T) {
	state := fullState()
	if got := state.Doubted().Chain; got.Origin == nil || state.Chain == got {
		t.Errorf("the doubted refresh token is %+v", got)
	}
}
