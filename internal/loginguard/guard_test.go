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
		state, _ = state.Reserve(at, Attempt{ID: id, Credentials: credentials})
		state, _ = state.Refused(at, id)
		return state
	}
	reserved := func(state State, at time.Time, id string) State {
		state, _ = state.Reserve(at, Attempt{ID: id, Credentials: "crashed-" + id})
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
			_, refusal := test.state.Reserve(test.at, Attempt{ID: "new", Credentials: "wrong"})
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
		if state, refusal = state.Reserve(noon, Attempt{ID: fmt.Sprint(i), Credentials: "never-settled"}); refusal != nil {
			t.Fatalf("attempt %d is refused: %+v", i, refusal)
		}
	}
	if _, refusal := state.Reserve(noon.Add(time.Minute), Attempt{ID: "next", Credentials: "another"}); refusal == nil || refusal.Why != Exhausted {
		t.Errorf("a crash loop may go on: %+v", refusal)
	}
}

func TestLostReplyCountsAsRefused(t *testing.T) {
	state, _ := State{}.Reserve(noon, Attempt{ID: "1", Credentials: "good"})
	state = state.Granted("1", Use{})
	for i := range Budget {
		id := fmt.Sprint("lost", i)
		var refusal *Refusal
		if state, refusal = state.Reserve(noon, Attempt{ID: id, Credentials: "good"}); refusal != nil {
			t.Fatalf("try %d is refused: %+v", i, refusal)
		}
		state = state.Unknown(id)
	}
	if _, refusal := state.Reserve(noon, Attempt{ID: "next", Credentials: "good"}); refusal == nil {
		t.Error("replies that were lost may have been refusals, also of credentials that worked once: they can have been changed at the API")
	}
}

// TestBudgetHolds (I4): whatever happens to the attempts of several owners, no window holds more refused ones than the budget.
func TestBudgetHolds(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var state State
	var refused []time.Time
	now := noon
	for i := range 20000 {
		now = now.Add(time.Duration(random.IntN(300)) * time.Second)
		id, uid := fmt.Sprint(i), fmt.Sprint(random.IntN(3))
		use := Use{Client: fmt.Sprint(random.IntN(2)), Owner: Owner{UID: uid}, Trial: true}
		next, refusal := state.Claimed(now, use, func(Use) bool { return random.IntN(8) == 0 })
		if refusal == nil {
			password := fmt.Sprint("password-", random.IntN(4))
			next, refusal = next.Reserve(now, Attempt{ID: id, Credentials: password, Owner: uid})
		}
		if refusal != nil {
			continue
		}
		state = next
		switch random.IntN(4) {
		case 0: // the process is killed; the API has refused, or does so while the request is on its way
			refused = append(refused, now.Add(time.Duration(random.IntN(40))*time.Second))
		case 1:
			state, _ = state.Refused(now, id)
			refused = append(refused, now)
		case 2:
			state = state.Granted(id, use)
		case 3:
			state = state.Released(now, id)
		}
	}
	slices.SortFunc(refused, time.Time.Compare)
	for i := Budget; i < len(refused); i++ {
		if within := refused[i].Sub(refused[i-Budget]); within < Window {
			t.Fatalf("%d refused logins within %s", Budget+1, within)
		}
	}
}

// TestOneLoginIsKeptForTheOwner: a stranger who names the user with wrong passwords does not lock out the owner of the login.
func TestOneLoginIsKeptForTheOwner(t *testing.T) {
	granted := State{}.Granted("", Use{Client: "client", Owner: Owner{UID: "owner"}})
	trial, _ := State{}.Claimed(noon, Use{Client: "client", Owner: Owner{UID: "owner"}, Trial: true}, nil)
	cases := map[string]struct {
		state State
		tried []string // the owners of the logins that were refused
		by    string
		want  bool
		why   string
	}{
		"the owner, after a stranger":       {granted, []string{"stranger"}, "owner", true, "one of two is kept for it"},
		"a stranger, after another one":     {granted, []string{"stranger"}, "other", false, "together they have one"},
		"a stranger, first":                 {granted, nil, "stranger", true, "it may be a second client of the user"},
		"a stranger, after the owner":       {granted, []string{"owner"}, "stranger", true, "one is left"},
		"the owner, after itself":           {granted, []string{"owner"}, "owner", true, "it has corrected its password"},
		"the owner, after both":             {granted, []string{"stranger", "owner"}, "owner", false, "there are two for one user, in all"},
		"a stranger, after the owner twice": {granted, []string{"owner", "owner"}, "stranger", false, "there are two for one user, in all"},
		"an earlier version tried":          {granted, []string{""}, "stranger", false, "who tried is not known"},
		"nobody logged in yet":              {State{}, []string{"stranger"}, "other", true, "there is no owner to keep one for"},
		"a trial":                           {trial, []string{"stranger"}, "other", true, "who tries is no owner"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			for i, owner := range test.tried {
				id := fmt.Sprint(i)
				next, refusal := test.state.Reserve(noon, Attempt{ID: id, Credentials: "wrong" + id, Owner: owner})
				if refusal != nil {
					t.Fatalf("attempt %d: %+v", i, refusal)
				}
				test.state, _ = next.Refused(noon, id)
			}
			_, refusal := test.state.Reserve(noon, Attempt{ID: "next", Credentials: "next", Owner: test.by})
			if passed := refusal == nil; passed != test.want {
				t.Errorf("it may be tried: %t, want %t: %s", passed, test.want, test.why)
			}
			if refusal != nil && !refusal.Until.Equal(noon.Add(Window)) {
				t.Errorf("held back until %s", refusal.Until)
			}
		})
	}
}
