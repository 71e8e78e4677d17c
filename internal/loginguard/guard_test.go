package loginguard

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)

func TestReserve(t *testing.T) {
	refused := func(state State, at time.Time, id, credentials string) State {
		state, _ = state.Reserve(at, id, credentials)
		state, _ = state.Refused(at, id)
		return state
	}
	reserved := func(state State, at time.Time, id string) State {
		state, _ = state.Reserve(at, id, "crashed-"+id)
		return state
	}
	cases := map[string]struct {
		state State
		at    time.Time
		want  Why // empty: it may be tried
		why   string
	}{
		"never tried":          {State{}, noon, "", "there is nothing against it"},
		"refused a minute ago": {refused(State{}, noon, "1", "wrong"), noon.Add(time.Minute), Rejected, "the same would be refused again"},
		"refused 20 min ago":   {refused(State{}, noon, "1", "wrong"), noon.Add(20 * time.Minute), "", "a probe: it may have been locked"},
		"another was refused":  {refused(State{}, noon, "1", "old"), noon.Add(time.Second), "", "changed credentials are tried at once"},
		"two were refused":     {refused(refused(State{}, noon, "1", "old"), noon, "2", "older"), noon.Add(time.Minute), Exhausted, "a third could be the one too many"},
		"two, 20 min ago":      {refused(refused(State{}, noon, "1", "old"), noon, "2", "older"), noon.Add(20 * time.Minute), "", "they count no more"},
		"refused at the probe": {refused(refused(State{}, noon, "1", "wrong"), noon.Add(20*time.Minute), "2", "wrong"), noon.Add(50 * time.Minute), Rejected, "the second probe comes after an hour"},
		"one refused, one unheard of, 20 min ago": {
			reserved(refused(State{}, noon, "1", "old"), noon, "2"), noon.Add(20*time.Minute + time.Second), "", "the one that was heard counts no more",
		},
		"two unheard of, 20 min ago": {
			reserved(reserved(State{}, noon, "1"), noon, "2"), noon.Add(20*time.Minute + time.Second), Exhausted, "the API may have refused them some seconds later",
		},
		"two unheard of, 21 min ago": {reserved(reserved(State{}, noon, "1"), noon, "2"), noon.Add(Window + Flight), "", "they count no more"},
		"the clock was set back":     {refused(State{}, noon, "1", "old"), noon.Add(-24 * time.Hour), "", "an attempt of the future counts as one of now, and there is room for another"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			_, refusal := test.state.Reserve(test.at, "new", "wrong")
			got := Why("")
			if refusal != nil {
				got = refusal.Why
			}
			if got != test.want {
				t.Errorf("%q, want %q: %s", got, test.want, test.why)
			}
		})
	}
}

func TestUnsettledAttemptsCountAsRefused(t *testing.T) {
	state := State{}
	for i := range Budget {
		var refusal *Refusal
		if state, refusal = state.Reserve(noon, fmt.Sprint(i), "never-settled"); refusal != nil {
			t.Fatalf("attempt %d is refused: %+v", i, refusal)
		}
	}
	if _, refusal := state.Reserve(noon.Add(time.Minute), "next", "another"); refusal == nil || refusal.Why != Exhausted {
		t.Errorf("a crash loop may go on: %+v", refusal)
	}
}

func TestLostReplyCountsAsRefused(t *testing.T) {
	state, _ := State{}.Reserve(noon, "1", "good")
	state = state.Granted("1")
	for i := range Budget {
		id := fmt.Sprint("lost", i)
		var refusal *Refusal
		if state, refusal = state.Reserve(noon, id, "good"); refusal != nil {
			t.Fatalf("try %d is refused: %+v", i, refusal)
		}
		state = state.Unknown(id)
	}
	if _, refusal := state.Reserve(noon, "next", "good"); refusal == nil {
		t.Error("replies that were lost may have been refusals, also of credentials that worked once: they can have been changed at the API")
	}
}

// TestBudgetHolds (I4): whatever happens to the attempts, no window holds more refused ones than the budget.
func TestBudgetHolds(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var state State
	var refused []time.Time
	now := noon
	for i := range 20000 {
		now = now.Add(time.Duration(random.IntN(300)) * time.Second)
		next, refusal := state.Reserve(now, fmt.Sprint(i), fmt.Sprint("password-", random.IntN(4)))
		if refusal != nil {
			continue
		}
		state = next
		switch random.IntN(4) {
		case 0: // the process is killed; the API has refused, or does so while the request is on its way
			refused = append(refused, now.Add(time.Duration(random.IntN(40))*time.Second))
		case 1:
			state, _ = state.Refused(now, fmt.Sprint(i))
			refused = append(refused, now)
		case 2:
			state = state.Granted(fmt.Sprint(i))
		case 3:
			state = state.Released(fmt.Sprint(i))
		}
	}
	slices.SortFunc(refused, time.Time.Compare)
	for i := Budget; i < len(refused); i++ {
		if within := refused[i].Sub(refused[i-Budget]); within < Window {
			t.Fatalf("%d refused logins within %s", Budget+1, within)
		}
	}
}
