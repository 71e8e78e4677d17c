package custody

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/token"
)

var update = flag.Bool("update", false, "write the golden files anew")

// noon is when the tests play.
var noon = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)

// fullState has a value in every field.
func fullState() State {
	return State{
		Salt: "0123456789abcdef", Serial: 17,
		Token: &Token{
			Access: token.NewSecret("access-17"), Type: "bearer", Scope: "api", Grant: token.RefreshToken,
			Obtained: noon, Expires: noon.Add(30 * time.Minute), Latest: noon.Add(31 * time.Minute), Refresh: noon.Add(19*time.Minute + 500*time.Millisecond),
			Schedule: &Schedule{Before: 10 * time.Minute, Percent: 33, Draw: 0.25},
			Inputs:   "hash-of-inputs", User: "hash-of-user", Origin: fullOrigin(),
			Identity: token.Identity{
				RetailerID: "5", Roles: []string{"RETAILER", "STORE"}, FirstName: "Fluent", LastName: "Commerce",
				OwnerID: "owner", OwnerType: "Customer",
			},
			Extra: map[string]string{"Retailer_id": "5", "tenant": "ACME"},
		},
		Chain: &Chain{Refresh: token.NewSecret("refresh-17"), Presented: 1, Declined: true, Origin: fullOrigin()},
		Seeds: []string{"hash-of-seed-1", "hash-of-seed-2"},
		Claim: &Claim{
			ID: "claim-2", Grant: token.RefreshToken, Spends: "hash-of-refresh-17", Seed: true, Attempt: 2, Login: "hash-of-login",
			Holder: Holder{Pod: "pod", Start: "start"}, Started: noon.Add(20 * time.Minute), SpendBefore: noon.Add(20*time.Minute + 5*time.Second),
			DoneBefore: noon.Add(20*time.Minute + 40*time.Second),
			Inputs:     "hash-of-inputs", Origin: fullOrigin(),
		},
		LastClaim: "claim-1", Lost: []string{"claim-0", "claim-1"}, Sent: []string{"hash-4"}, Unconfirmed: true,
		Failure: &Failure{
			Count: 3, Last: noon.Add(19 * time.Minute), RetryAt: noon.Add(20 * time.Minute), Barred: true, Verdict: token.Unknown,
			Reason: "ReplyLost", Message: "refresh_token of acme.example: no reply in time", Login: "hash-of-login",
			Class: failure.Input, Subject: failure.CredentialsSecret, First: noon.Add(10 * time.Minute), Tries: 2, Probes: 1, Stalled: true,
			Policy: "hash-of-policy",
		},
		Rotate: "2026-01-05", Repeats: true, Stagnant: 2, Reference: "orders-login", MovedTo: "orders-fluent-state-2", MovedFrom: "orders-fluent-state",
	}
}

// fullOrigin has a value in every field.
func fullOrigin() *Origin {
	return &Origin{
		Salt: "0123456789abcdef", Endpoint: "hash-of-endpoint", Client: "hash-of-client", Scope: "hash-of-scope",
		User: "hash-of-user", ParameterStyle: "hash-of-style", ClientAuthentication: "hash-of-authentication",
		Headers: "hash-of-headers", Trust: []string{"hash-of-cert"}, Revocation: "hash-of-revocation-endpoint",
	}
}

func encoded(t *testing.T, state State) map[string][]byte {
	t.Helper()
	data, err := encode(state)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestWhatIsStoredIsReadBack(t *testing.T) {
	states := map[string]State{
		"full":         fullState(),
		"empty":        {},
		"new":          {Salt: "salt"},
		"only a chain": {Salt: "salt", Chain: &Chain{Refresh: token.NewSecret(`quotes " and <angles> & a \ `)}},
		"only a token": {Salt: "salt", Token: &Token{Access: token.NewSecret("a"), Obtained: noon}},
		"only a claim": {Salt: "salt", Claim: &Claim{ID: "c", Started: noon}},
	}
	for name, state := range states {
		t.Run(name, func(t *testing.T) {
			got, err := decode(encoded(t, state))
			if diff := cmp.Diff(state, got); err != nil || diff != "" {
				t.Errorf("%v (-stored +read)\n%s", err, diff)
			}
		})
	}
}

// TestFullStateIsFull keeps the tests above honest: a field that is added to the document must be added to fullState.
func TestFullStateIsFull(t *testing.T) {
	var visit func(path string, value reflect.Value)
	visit = func(path string, value reflect.Value) {
		switch {
		case value.IsZero():
			t.Errorf("fullState has no %s", path)
		case value.Kind() == reflect.Pointer:
			visit(path, value.Elem())
		case value.Kind() == reflect.Struct && value.Type().PkgPath() != "time" && value.Type() != reflect.TypeFor[token.Secret]():
			for i := range value.NumField() {
				visit(path+"."+value.Type().Field(i).Name, value.Field(i))
			}
		}
	}
	visit("State", reflect.ValueOf(fullState()))
}

// TestStoredFormat: the document outlives the operator that wrote it, so that its format must not change unseen. What is in the
// golden file must be readable by every later version; a change of the file needs a new version number and a reader of the old one.
func TestStoredFormat(t *testing.T) {
	file := filepath.Join("testdata", "state-v1.golden")
	data := encoded(t, fullState())
	var indented bytes.Buffer
	if err := json.Indent(&indented, data[documentKey], "", "  "); err != nil {
		t.Fatal(err)
	}
	indented.WriteString("\n")
	if *update {
		if err := os.WriteFile(file, indented.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), indented.String()); diff != "" {
		t.Errorf("the stored format changed (-%s +now):\n%s", file, diff)
	}
	if diff := cmp.Diff([]string{"checksum", "state.json"}, slices.Sorted(maps.Keys(data))); diff != "" {
		t.Errorf("the Secret's entries changed (-want +got):\n%s", diff)
	}
	stored := map[string][]byte{documentKey: want, checksumKey: []byte(checksum(want))}
	got, err := decode(stored)
	if diff := cmp.Diff(fullState(), got); err != nil || diff != "" {
		t.Errorf("%s is read differently: %v (-want +got)\n%s", file, err, diff)
	}
}

func TestWhatCannotBeTrustedIsRefused(t *testing.T) {
	good := encoded(t, fullState())
	with := func(document string) map[string][]byte {
		return map[string][]byte{documentKey: []byte(document), checksumKey: []byte(checksum([]byte(document)))}
	}
	kept := State{Salt: "0123456789abcdef", Serial: 17, Seeds: fullState().Seeds}
	tests := map[string]struct {
		why  string
		data map[string][]byte
		err  error
		want State
	}{
		"no entries": {"somebody emptied it", nil, errDamaged, State{}},
		"no document": {
			"somebody removed the one entry", map[string][]byte{checksumKey: good[checksumKey]}, errDamaged, State{},
		},
		"no checksum": {
			"what it is worth cannot be told; the serial and the spent seeds do no harm",
			map[string][]byte{documentKey: good[documentKey]}, errDamaged, kept,
		},
		"another token": {
			"an edit must not make us present a token that somebody chose",
			map[string][]byte{
				documentKey: []byte(strings.Replace(string(good[documentKey]), "refresh-17", "refresh-18", 1)),
				checksumKey: good[checksumKey],
			},
			errDamaged, kept,
		},
		"half of it": {
			"a torn copy", map[string][]byte{documentKey: good[documentKey][:100], checksumKey: good[checksumKey]}, errDamaged, State{},
		},
		"not an object": {"it is no document", with(`[]`), errDamaged, State{}},
		"a newer version": {
			"writing it back would drop what this version does not know", with(`{"version":2,"salt":"s","serial":3}`), ErrNewer, State{},
		},
		"a newer version with another checksum": {
			"a newer operator may count differently", map[string][]byte{documentKey: []byte(`{"version":2}`), checksumKey: []byte("v2")},
			ErrNewer, State{},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := decode(test.data)
			if !errors.Is(err, test.err) {
				t.Errorf("error %v, want %v: %s", err, test.err, test.why)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (-want +got)\n%s", test.why, diff)
			}
		})
	}
}

// TestEveryFlippedByteIsFound flips every byte of a stored state in turn: nothing of it may pass for a token.
func TestEveryFlippedByteIsFound(t *testing.T) {
	for key, entry := range encoded(t, fullState()) {
		for at := range entry {
			for _, flip := range []byte{0x01, 0x20, 0x80, 0xff} {
				data := encoded(t, fullState())
				data[key][at] ^= flip
				state, err := decode(data)
				if err == nil {
					t.Fatalf("byte %d of %s flipped by %#x goes unseen", at, key, flip)
				}
				if state.Token != nil || state.Chain != nil || state.Claim != nil {
					t.Fatalf("byte %d of %s flipped by %#x: a token, a chain or a claim is read all the same", at, key, flip)
				}
			}
		}
	}
}

// TestSecretsAreInNoOtherField: the stored document is the only place where a token is in the clear.
func TestSecretsAreInNoOtherField(t *testing.T) {
	state := fullState()
	plain, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{state.Token.Access.Reveal(), state.Chain.Refresh.Reveal()} {
		if bytes.Contains(plain, []byte(`"`+value+`"`)) {
			t.Errorf("a State shows a secret when it is encoded: %s", plain)
		}
	}
}

// TestLatestEndIsOptional: most tokens have one end, and so have those that a former version stored.
func TestLatestEndIsOptional(t *testing.T) {
	state := fullState()
	state.Token.Latest = time.Time{}
	data := encoded(t, state)
	if bytes.Contains(data[documentKey], []byte(`"latest"`)) {
		t.Error("it is stored although there is none")
	}
	if got, err := decode(data); err != nil || !got.Token.Latest.IsZero() {
		t.Errorf("stored and read, it is %v, %v", got.Token, err)
	}
}
