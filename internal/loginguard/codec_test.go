package loginguard

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// usedState has something of everything.
func usedState() State {
	state, _ := State{Salt: "salt"}.Claimed(noon, Use{Client: "client", Scope: "api", Owner: Owner{Namespace: "shop", Name: "orders", UID: "uid", Created: noon}}, nil)
	state, _ = state.Reserve(noon, Attempt{ID: "1", Credentials: "wrong"})
	state, _ = state.Refused(noon, "1")
	state, _ = state.Reserve(noon.Add(time.Minute), Attempt{ID: "2", Credentials: "other"})
	return state
}

func TestDecode(t *testing.T) {
	const attempt, rejection = `{"salt":"s","attempts":[{"id":%q,"at":%q}]}`, `{"salt":"s","rejections":[{"credentials":"c","count":%d,"last":%q}]}`
	const then = "2026-01-05T12:00:00Z"
	cases := map[string]struct {
		encoded string
		whole   bool
		why     string
	}{
		"as it begins":         {`{"salt":"s"}`, true, "nothing was tried yet"},
		"an attempt":           {fmt.Sprintf(attempt, "1", then), true, "it is as it was written"},
		"a rejection":          {fmt.Sprintf(rejection, 1, then), true, "it is as it was written"},
		"of a later version":   {`{"salt":"s","later":{}}`, true, "a former version must not take it for damage"},
		"nothing":              {"", false, "somebody emptied it"},
		"null":                 {"null", false, "somebody emptied it"},
		"an empty object":      {"{}", false, "there is always a salt"},
		"no object":            {"[]", false, "it is none of ours"},
		"cut short":            {`{"salt":"s","attempts":[{"id":"1"`, false, "the rest could be an attempt"},
		"two documents":        {`{"salt":"s"}{"salt":"s"}`, false, "which of them counts is open"},
		"a salt of numbers":    {`{"salt":7}`, false, "the hashes would fit nothing"},
		"attempts as a text":   {`{"salt":"s","attempts":"none"}`, false, "how many there are is open"},
		"an attempt of nobody": {fmt.Sprintf(attempt, "", then), false, "it could never be settled"},
		"an attempt of never":  {`{"salt":"s","attempts":[{"id":"1"}]}`, false, "when it ends to count is open"},
		"a time of letters":    {fmt.Sprintf(attempt, "1", "noon"), false, "when it ends to count is open"},
		"rejected no time":     {fmt.Sprintf(rejection, 0, then), false, "what was never rejected is not in the list"},
		"rejected less often":  {fmt.Sprintf(rejection, -1, then), false, "what was never rejected is not in the list"},
		"rejected at no time":  {`{"salt":"s","rejections":[{"credentials":"c","count":1}]}`, false, "when it may be tried again is open"},
	}
	for name, test := range cases {
		if _, whole := decode([]byte(test.encoded)); whole != test.whole {
			t.Errorf("%s: read %t, want %t: %s", name, whole, test.whole, test.why)
		}
	}
}

// TestDamageCountsAsAFullBudget (I4): what is not known any more is taken for the worst, for one window; one of those that nobody knows may be under way.
func TestDamageCountsAsAFullBudget(t *testing.T) {
	state := damaged("salt", noon)
	if _, refusal := state.Reserve(noon.Add(Flight+Window-time.Second), Attempt{ID: "1", Credentials: "any"}); refusal == nil || refusal.Why != Exhausted {
		t.Errorf("a login may be tried, and those before it are forgotten: %+v", refusal)
	}
	if _, refusal := state.Reserve(noon.Add(Flight+Window), Attempt{ID: "1", Credentials: "any"}); refusal != nil {
		t.Errorf("the window is over, and it is refused: %+v", refusal)
	}
}

// TestTheFutureComes: what was written down by a clock that was ahead begins to age when it is first seen, and is forgotten in time.
func TestTheFutureComes(t *testing.T) {
	ahead := State{Salt: "salt"}
	for i := range Budget {
		ahead, _ = ahead.Reserve(noon.Add(1000*time.Hour), Attempt{ID: fmt.Sprint(i), Credentials: fmt.Sprint("wrong", i)})
		ahead, _ = ahead.Refused(noon.Add(1000*time.Hour), fmt.Sprint(i))
	}
	if !ahead.isAhead(noon) {
		t.Fatal("it comes later than now, and nobody sees it")
	}
	stored := ahead.asOf(noon)
	if _, refusal := stored.Reserve(noon.Add(time.Minute), Attempt{ID: "next", Credentials: "right"}); refusal == nil || refusal.Why != Exhausted {
		t.Errorf("two refused logins may have been a moment ago: %+v", refusal)
	}
	for _, credentials := range []string{"right", "wrong0"} {
		if _, refusal := stored.Reserve(noon.Add(Window), Attempt{ID: "next", Credentials: credentials}); refusal != nil {
			t.Errorf("%s may not be tried for another %s", credentials, refusal.Until.Sub(noon))
		}
	}
}

// FuzzDecode: whatever is in the Secret, nothing crashes, no more logins pass than the budget, and none is held back for ever. What is
// read is written back as the same.
func FuzzDecode(f *testing.F) {
	used, _ := encode(usedState())
	f.Add(used)
	f.Fuzz(func(t *testing.T, encoded []byte) {
		state, whole := decode(encoded)
		if !whole {
			state = damaged("salt", noon)
		} else {
			mustReadBack(t, state)
		}
		mustKeepTheBudget(t, state.asOf(noon))
	})
}

func mustReadBack(t *testing.T, state State) {
	t.Helper()
	encoded, err := encode(state)
	if err != nil {
		t.Fatalf("what was read cannot be written: %v", err)
	}
	again, whole := decode(encoded)
	if diff := cmp.Diff(state, again, cmpopts.EquateEmpty()); !whole || diff != "" {
		t.Errorf("written and read, it is another (-read +again)\n%s", diff)
	}
}

// mustKeepTheBudget has logins refused until no more pass, and waits for the day on which one does.
func mustKeepTheBudget(t *testing.T, state State) {
	t.Helper()
	passed := 0
	for i := range 3 * Budget {
		id := fmt.Sprint("fuzz", i)
		if next, refusal := state.Reserve(noon, Attempt{ID: id, Credentials: id}); refusal == nil {
			state, _ = next.Refused(noon, id)
			passed++
		}
	}
	if passed > Budget {
		t.Errorf("%d refused logins at one moment", passed)
	}
	state = state.Granted("fuzz0", Use{}).Released(noon, "fuzz1").Spending(Use{}).Unclaimed(Use{})
	state.Rejections = slices.DeleteFunc(state.Rejections, func(r Rejection) bool { return r.Credentials == "others" })
	if _, refusal := state.Reserve(noon.Add(Flight+Window), Attempt{ID: "later", Credentials: "others"}); refusal != nil {
		t.Errorf("held back although a whole window has passed: %+v", refusal)
	}
}
