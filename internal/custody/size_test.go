package custody

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// shapes are the places of a reply that can be long.
var shapes = []struct{ start, end string }{
	{`{"refresh_token":"r","access_token":"`, `"}`},
	{`{"access_token":"a","refresh_token":"`, `"}`},
	{`{"access_token":"a","scope":"`, `"}`},
	{`{"access_token":"a","token_type":"`, `"}`},
	{`{"access_token":"a","other":"`, `"}`},
	{`{"access_token":"a","FirstName":"`, `"}`},
	{`{"access_token":"a","Retailer_id":"1","Roles":["`, `"]}`},
	{`{"access_token":"a","other":1`, `}`},
}

// filled is a reply of exactly the largest size, but for a remainder of the unit.
func filled(shape int, unit string) []byte {
	chosen := shapes[shape%len(shapes)]
	room := exchange.MaxReply - len(chosen.start) - len(chosen.end)
	return []byte(chosen.start + strings.Repeat(unit, room/max(1, len(unit))) + chosen.end)
}

// mustFit stores what a reply grants, in a state that has a value in every field, and takes it out again.
func mustFit(t *testing.T, body []byte) {
	t.Helper()
	api, err := provider.NewFluent(provider.Fluent{Account: "ACME"})
	if err != nil {
		t.Fatal(err)
	}
	answer := api.Read(token.RefreshToken, provider.Reply{Status: http.StatusOK, Header: http.Header{}, Body: body})
	if answer.Verdict != token.Granted {
		return
	}
	state, set := fullState(), answer.Set
	state.Token.Access, state.Token.Type, state.Token.Scope = set.Access, set.Type, set.Scope
	state.Token.Identity, state.Token.Extra = set.Identity, set.Extra
	state.Chain.Refresh = set.Refresh
	data := encoded(t, state)
	if size := len(data[documentKey]) + len(data[checksumKey]); size > corev1.MaxSecretSize {
		t.Fatalf("a reply of %d bytes takes up %d in the state: %.80s", len(body), size, body)
	}
	got, err := decode(data)
	if err != nil || !got.Token.Access.Equal(set.Access) || !got.Chain.Refresh.Equal(set.Refresh) {
		t.Errorf("the tokens are not read back: %v", err)
	}
	if 2*len(set.Access.Reveal()) > corev1.MaxSecretSize*3/4 {
		t.Error("the target Secret, which has the token twice, has no room for anything else")
	}
}

// TestEveryReplyFitsIntoTheState: whatever characters the largest reply is made of.
func TestEveryReplyFitsIntoTheState(t *testing.T) {
	units := []string{"x", "<", "&", "\xff", "\u2028", `\u2028`, `\u0001`, `\b`, `\n`, `\"`, `\\`, `\/`, "é", "\x7f", `","`, `,"":1`, `,"a":1`, `\ud800`}
	for number := range 10 {
		units = append(units, fmt.Sprintf(`%d`, number))
	}
	for shape := range shapes {
		for _, unit := range units {
			mustFit(t, filled(shape, unit))
		}
	}
	members := strings.Builder{}
	for i := 0; members.Len() < exchange.MaxReply-100; i++ {
		fmt.Fprintf(&members, `,"%x":%d`, i, i%10)
	}
	mustFit(t, []byte(`{"access_token":"a"`+members.String()+"}"))
}

func FuzzReplyFits(f *testing.F) {
	f.Add(uint8(0), "<")
	f.Add(uint8(4), "\xff")
	f.Add(uint8(5), "\xff")
	f.Add(uint8(6), `","`)
	f.Fuzz(func(t *testing.T, shape uint8, unit string) { mustFit(t, filled(int(shape), unit)) })
}

// TestTokensComeBeforeExtras: a reply whose members are stored twice, each byte of them as three, does not cost the
// tokens.
func TestTokensComeBeforeExtras(t *testing.T) {
	state := fullState()
	state.Token.Extra = map[string]string{"other": strings.Repeat("x", corev1.MaxSecretSize)}
	got, err := decode(encoded(t, state))
	if err != nil {
		t.Fatal(err)
	}
	want := fullState()
	want.Token.Extra, want.Token.Identity = nil, token.Identity{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("more than the extras is gone (-want +got)\n%s", diff)
	}
}

// TestEscapesOfFormerVersionsAreRead: they wrote angle brackets and ampersands as escapes, and summed that up.
func TestEscapesOfFormerVersionsAreRead(t *testing.T) {
	state := State{Salt: "salt", Chain: &Chain{Refresh: token.NewSecret("<a&b>")}}
	former, err := json.Marshal(document{Version: version, State: state, RefreshToken: "<a&b>"})
	if err != nil || !strings.Contains(string(former), `\u003ca\u0026b\u003e`) {
		t.Fatalf("%v: %s is not what they wrote", err, former)
	}
	got, err := decode(map[string][]byte{documentKey: former, checksumKey: []byte(checksum(former))})
	if diff := cmp.Diff(state, got); err != nil || diff != "" {
		t.Errorf("%v (-stored +read)\n%s", err, diff)
	}
	if now := encoded(t, state); !strings.Contains(string(now[documentKey]), "<a&b>") {
		t.Errorf("it is written as %s", now[documentKey])
	}
}
