package custody

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"

	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

const formKind = "application/x-www-form-urlencoded"

// shapes are the places of a reply that can be long.
var shapes = []struct{ kind, start, end string }{
	{"", `{"refresh_token":"r","access_token":"`, `"}`},
	{"", `{"access_token":"a","refresh_token":"`, `"}`},
	{"", `{"access_token":"a","scope":"`, `"}`},
	{"", `{"access_token":"a","scope":["`, `"]}`},
	{"", `{"access_token":"a","token_type":"`, `"}`},
	{"", `{"access_token":"a","other":"`, `"}`},
	{"", `{"access_token":"a","FirstName":"`, `"}`},
	{"", `{"access_token":"a","Retailer_id":"1","Roles":["`, `"]}`},
	{"", `{"access_token":"a","other":1`, `}`},
	{"", `{"access_token":"a","deep":`, `}`},
	{formKind, "refresh_token=r&access_token=", ""},
	{formKind, "access_token=a&refresh_token=", ""},
	{formKind, "access_token=a&scope=", ""},
	{formKind, "access_token=a&other=", ""},
	{formKind, "access_token=a&Retailer_id=", ""},
}

// filled is a reply of exactly the given size, except for a remainder of the unit.
func filled(shape int, unit string, size int) (kind string, body []byte) {
	chosen := shapes[shape%len(shapes)]
	room := size - len(chosen.start) - len(chosen.end)
	return chosen.kind, []byte(chosen.start + strings.Repeat(unit, room/max(1, len(unit))) + chosen.end)
}

// reader is the API that reads the most of a reply.
func reader(t *testing.T) provider.API {
	t.Helper()
	api, err := provider.NewFluent(provider.Fluent{Account: "ACME"})
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// mustFit stores what a reply grants, in a state with a value in every field and a refresh token that may stay, and
// reads it back.
func mustFit(t *testing.T, kind string, body []byte, before State, sent token.Secret) {
	t.Helper()
	if before.CheckRoom(token.RefreshToken, sent) != nil {
		return // nothing is sent
	}
	header := http.Header{"Content-Type": {kind}}
	answer := reader(t).Read(token.RefreshToken, provider.Reply{Status: http.StatusOK, Header: header, Body: body})
	claim := Claim{ID: "claim", Grant: token.RefreshToken, Seed: true, Spends: sent.Hash(before.Salt)}
	failed := Failure{Verdict: token.Unknown, Message: answer.Problem.Description, Reason: answer.Problem.Code}
	next := before.Claimed(claim, before.Rotate).Failed(claim, failed, sent)
	if set := answer.Set; answer.Verdict == token.Granted {
		got := Token{Access: set.Access, Type: set.Type, Scope: set.Scope, Identity: set.Identity, Extra: set.Extra}
		next = before.Granted(claim, Obtained{Token: got, Refresh: set.Refresh, Sent: sent})
	}
	next = next.bounded()
	data := encoded(t, next)
	if size := len(data[documentKey]) + len(data[checksumKey]); size > corev1.MaxSecretSize {
		t.Fatalf("a reply of %d bytes takes up %d in the state: %.80q", len(body), size, body)
	}
	got, err := decode(data)
	switch {
	case err != nil:
		t.Fatalf("it is not read back: %v", err)
	case next.Token != nil && !got.Token.Access.Equal(next.Token.Access):
		t.Error("the access token is not read back")
	case answer.Verdict == token.Granted && refreshOf(&Record{State: got}) != refreshOf(&Record{State: next}):
		t.Error("the refresh token is not read back")
	case next.Token != nil && 2*len(next.Token.Access.Reveal()) > corev1.MaxSecretSize*3/4:
		t.Error("the target Secret has no room for the token twice and anything else")
	}
}

// units are what long values consist of.
var units = []string{
	"x", "<", "&", "\xff", "%ff", "\x01", "%01", "\u2028", `\u2028`, `\u0001`, `\b`, `\"`, `\\`, `"`, `\`, "é", "\x7f", `","`,
	`,"":1`, `,"a":1`, `\ud800`, "[", `{"a":`, "&a=1", " a",
}

// TestEveryReplyFitsIntoTheState shows that no reply is larger than the state has room for, whatever its characters
// are.
func TestEveryReplyFitsIntoTheState(t *testing.T) {
	for shape := range shapes {
		for _, unit := range units {
			kind, body := filled(shape, unit, exchange.MaxReply)
			mustFit(t, kind, body, fullState(), token.NewSecret("sent"))
		}
	}
	members := strings.Builder{}
	for i := 0; members.Len() < exchange.MaxReply-100; i++ {
		fmt.Fprintf(&members, `,"%x":%d`, i, i%10)
	}
	mustFit(t, "", []byte(`{"access_token":"a"`+members.String()+"}"), fullState(), token.NewSecret("sent"))
}

// FuzzReplyFits searches for a reply, a rotate annotation and tokens of the state that together are larger than a
// Secret. A long value consists of the unit, in a reply of 64 KiB; the body is read as it is, too.
func FuzzReplyFits(f *testing.F) {
	for shape := range shapes {
		for _, unit := range []string{"<", "\x01", "\xff", "%01", `","`, "\u2028"} {
			f.Add(uint8(shape), unit, []byte(nil), "", "", uint32(0))
		}
	}
	long := strings.Repeat("<", 64_000)
	deep := strings.Repeat(`{"a":`, 5_000) + "1" + strings.Repeat("}", 5_000)
	for _, body := range []string{
		`{"access_token":"a","other":"` + long + `"}`,
		`{"access_token":"a","deep":` + deep + `}`,
		`{"access_token":"` + strings.Repeat(`\"`, 30_000) + `"}`,
		"access_token=a&scope=" + strings.Repeat("\x01", 64_000),
		`{"error":"invalid_grant","error_description":"` + strings.Repeat(`\u0001`, 10_000) + `"}`,
	} {
		f.Add(uint8(0), "", []byte(body), strings.Repeat("<", 150_000), "api "+long, uint32(200<<10))
	}
	f.Add(uint8(1), `"`, []byte(nil), strings.Repeat("\x01", 200_000), "\xff", uint32(1<<20))
	f.Fuzz(func(t *testing.T, shape uint8, unit string, body []byte, rotate, scope string, sent uint32) {
		before := fullState()
		before.Rotate = rotate
		before.Token.Scope = scope
		before = before.bounded()
		spends := token.NewSecret(strings.Repeat(`"`, int(sent%(1<<20))))
		kind, long := filled(int(shape), unit, 64<<10)
		mustFit(t, kind, long, before, spends)
		if len(body) <= exchange.MaxReply {
			mustFit(t, "", body, before, spends)
			mustFit(t, formKind, body, before, spends)
		}
	})
}

// TestTheLargestReplyIsKnown compares the constants of the state with those of an exchange.
func TestTheLargestReplyIsKnown(t *testing.T) {
	if maxGrant != 2*exchange.MaxReply {
		t.Errorf("the tokens of a reply take up to %d bytes, want %d: quotes and backslashes have an escape", maxGrant, 2*exchange.MaxReply)
	}
}

// TestEveryFieldIsBounded fills every field of the state with more than it may hold, also those that are added later.
func TestEveryFieldIsBounded(t *testing.T) {
	for _, unit := range []string{"x", "\x01", "\xff", "\u2028", "a ", `"`} {
		for _, shape := range []struct{ each, count int }{{200_000, 1}, {200, 1_000}, {1, 20_000}} {
			var state State
			overfill(reflect.ValueOf(&state).Elem(), strings.Repeat(unit, shape.each), shape.count)
			once := state.bounded()
			if size := len(encoded(t, once)[documentKey]); size > maxRest {
				t.Errorf("%q, %d of %d: %d bytes, want at most %d", unit, shape.count, shape.each, size, maxRest)
			}
			if diff := cmp.Diff(once, once.bounded()); diff != "" {
				t.Errorf("%q: what is bounded is bounded differently again (-once +twice)\n%.2000s", unit, diff)
			}
		}
	}
}

// overfill sets every text to the given one, and makes lists and maps of so many.
func overfill(value reflect.Value, text string, count int) {
	switch {
	case value.Type() == reflect.TypeFor[token.Secret](), value.Type().PkgPath() == "time":
	case value.Kind() == reflect.String:
		value.SetString(text)
	case value.Kind() == reflect.Pointer:
		value.Set(reflect.New(value.Type().Elem()))
		overfill(value.Elem(), text, count)
	case value.Kind() == reflect.Struct:
		for i := range value.NumField() {
			overfill(value.Field(i), text, count)
		}
	case value.Kind() == reflect.Slice:
		for range count {
			value.Set(reflect.Append(value, reflect.ValueOf(text)))
		}
	case value.Kind() == reflect.Map:
		value.Set(reflect.MakeMap(value.Type()))
		for i := range count {
			value.SetMapIndex(reflect.ValueOf(fmt.Sprintf("%d%s", i, text)), reflect.ValueOf(text))
		}
	}
}

// TestOrdinaryStatesKeepEverything shows that no bound touches what an API sends in practice.
func TestOrdinaryStatesKeepEverything(t *testing.T) {
	state := fullState()
	state.Token.Scope = strings.Repeat("https://graph.example.com/Mail.ReadWrite ", 50)
	state.Token.Extra["instance_url"] = strings.Repeat("x", 8<<10)
	for i := range 200 {
		state.Token.Identity.Roles = append(state.Token.Identity.Roles, fmt.Sprintf("ROLE_OF_A_STORE_%d", i))
	}
	if diff := cmp.Diff(state, state.bounded()); diff != "" {
		t.Errorf("(-before +after)\n%s", diff)
	}
	_, cut := Bounded(token.Set{
		Type: "bearer", Scope: state.Token.Scope, Identity: state.Token.Identity, Extra: state.Token.Extra,
	})
	if len(cut) > 0 {
		t.Errorf("%q are reported as too large", cut)
	}
}

func TestWhatIsTooLargeIsReported(t *testing.T) {
	long := strings.Repeat("\x01", 100_000)
	tests := map[string]struct {
		why  string
		set  token.Set
		want token.Set
		cut  []string
	}{
		"scope": {
			"whole words stay", token.Set{Scope: strings.Repeat("a", 4000) + " " + strings.Repeat("b", 200)},
			token.Set{Scope: strings.Repeat("a", 4000)}, []string{"scope"},
		},
		"one word":  {"a part of a scope is another scope", token.Set{Scope: long}, token.Set{}, []string{"scope"}},
		"an id":     {"a part of an id is another id", token.Set{Identity: token.Identity{RetailerID: long}}, token.Set{}, []string{"identity"}},
		"type":      {"it begins a header", token.Set{Type: long}, token.Set{}, []string{"token_type"}},
		"a role":    {"likewise", token.Set{Identity: token.Identity{Roles: []string{"A", long}}}, token.Set{Identity: token.Identity{Roles: []string{"A"}}}, []string{"identity"}},
		"a member":  {"the others stay", token.Set{Extra: map[string]string{"a": "1", "b": long}}, token.Set{Extra: map[string]string{"a": "1"}}, []string{"members"}},
		"its name":  {"likewise", token.Set{Extra: map[string]string{"a": "1", long: "1"}}, token.Set{Extra: map[string]string{"a": "1"}}, []string{"members"}},
		"no member": {"there is nothing to cut", token.Set{Extra: map[string]string{}}, token.Set{}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, cut := Bounded(test.set)
			if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s (-want +got)\n%.2000s", test.why, diff)
			}
			if diff := cmp.Diff(test.cut, cut); diff != "" {
				t.Errorf("%s (-want +got)\n%s", test.why, diff)
			}
		})
	}
}

// TestWeight compares the size of a text with that of its encoding.
func TestWeight(t *testing.T) {
	for _, text := range append(units, "", "\x00", "\x1f", "\x80", "\ufffd", "\u2029", "\U0001f600", "\xf0\x9f", "a\x08b\x0cc\td\re") {
		mustWeigh(t, text)
	}
}

func FuzzWeight(f *testing.F) {
	f.Add("a\x01\xff\u2028\"<")
	f.Fuzz(func(t *testing.T, text string) { mustWeigh(t, text) })
}

func mustWeigh(t *testing.T, text string) {
	t.Helper()
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		t.Fatal(err)
	}
	if want := out.Len() - len("\n"); weight(text) != want {
		t.Errorf("%q weighs %d, want %d: %s", text, weight(text), want, out.String())
	}
	if part := text[:prefix(text, 10)]; weight(part) > 10 || !strings.HasPrefix(text, part) {
		t.Errorf("the beginning of %q is %q", text, part)
	}
}

func TestRotateMark(t *testing.T) {
	tests := map[string]struct {
		why   string
		value string
		plain bool
	}{
		"a time":            {"kubectl fluent rotate compares the status with it", "2026-01-05T10:00:00.123456789Z", true},
		"a word":            {"a person can read it", "now, please: été", true},
		"nothing":           {"nobody asks", "", true},
		"long":              {"an annotation can have 256 KiB", strings.Repeat("<", 150_000), false},
		"a newline":         {"the status is printed in terminals", "a\nb", false},
		"an escape":         {"likewise", "a\x1b[31mb", false},
		"invisible":         {"likewise", "a\u202eb", false},
		"a wrong character": {"it would not be read back", "a\xffb", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			mark := RotateMark(test.value)
			if plain := mark == test.value; plain != test.plain {
				t.Errorf("kept as %q: %s", mark, test.why)
			}
			if RotateMark(mark) != mark || len(mark) > maxRotate {
				t.Errorf("%q is kept as %q", mark, RotateMark(mark))
			}
		})
	}
	if RotateMark(strings.Repeat("a", 1000)) == RotateMark(strings.Repeat("a", 1001)) {
		t.Error("another value has the same mark")
	}
}

// TestNothingIsSentThatCouldNotBeStored asks before the claim.
func TestNothingIsSentThatCouldNotBeStored(t *testing.T) {
	secretOf := func(unit string, size int) token.Secret { return token.NewSecret(strings.Repeat(unit, size/len(unit))) }
	tests := map[string]struct {
		why    string
		access token.Secret
		chain  token.Secret
		grant  token.Grant
		sent   token.Secret
		room   bool
	}{
		"an ordinary chain":         {"it is short", secretOf("x", 2000), secretOf("x", 2000), token.RefreshToken, secretOf("x", 2000), true},
		"the largest tokens":        {"one reply brought them", secretOf("x", 128<<10), secretOf("x", 128<<10), token.RefreshToken, secretOf("x", 128<<10), true},
		"the largest refresh token": {"one reply brought it", token.Secret{}, secretOf("x", 256<<10), token.RefreshToken, secretOf("x", 256<<10), true},
		"with escapes": {
			"a reply without a refresh token leaves it beside the largest access token",
			token.Secret{}, secretOf(`"`, 256<<10), token.RefreshToken, secretOf(`"`, 256<<10), false,
		},
		"a seed of the size of a Secret": {
			"it becomes the chain if the reply has none", token.Secret{}, token.Secret{}, token.RefreshToken, secretOf("x", 900<<10), false,
		},
		"a login beside a large chain": {
			"a new family replaces it", token.Secret{}, secretOf(`"`, 256<<10), token.Password, token.Secret{}, true,
		},
		"a large code": {"it is never stored", token.Secret{}, token.Secret{}, token.AuthorizationCode, secretOf("x", 900<<10), true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			state := State{Token: &Token{Access: test.access}, Chain: &Chain{Refresh: test.chain}}
			err := state.CheckRoom(test.grant, test.sent)
			if err != nil && !errors.Is(err, ErrNoRoom) || err == nil != test.room {
				t.Errorf("%v: %s", err, test.why)
			}
		})
	}
}

// TestLargeStatesOfFormerVersionsAreRead shows that the tokens stay, and that an annotation that was acted on is not
// acted on again.
func TestLargeStatesOfFormerVersionsAreRead(t *testing.T) {
	state := fullState()
	state.Rotate = strings.Repeat("<", 150_000)
	state.Token.Extra = map[string]string{"other": strings.Repeat("<", 64_000), "tenant": "ACME"}
	former := document{Version: version, State: state, AccessToken: "access-17", RefreshToken: "refresh-17"}
	stored, err := former.encoded()
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(map[string][]byte{documentKey: stored, checksumKey: []byte(checksum(stored))})
	if err != nil {
		t.Fatal(err)
	}
	want := fullState()
	want.Rotate = RotateMark(state.Rotate)
	want.Token.Extra = map[string]string{"tenant": "ACME"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%.2000s", diff)
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
