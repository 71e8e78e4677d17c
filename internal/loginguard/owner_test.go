package loginguard

import (
	"testing"
	"time"
)

func TestClaimed(t *testing.T) {
	elder := Owner{Namespace: "shop", Name: "orders", UID: "1", Created: noon}
	younger := Owner{Namespace: "shop", Name: "stock", UID: "2", Created: noon.Add(time.Hour)}
	used := func(owner Owner) Use { return Use{Client: "client", Scope: "api", Owner: owner} }
	cases := map[string]struct {
		by    Owner
		use   Use
		left  bool
		given bool
		why   string
	}{
		"the same":            {elder, used(elder), false, true, "it has the login already"},
		"a younger one":       {elder, used(younger), false, false, "the older one works"},
		"an older one, later": {younger, used(elder), false, false, "the one that works may be about to spend the very token that the other would be given"},
		"the other has left":  {elder, used(younger), true, true, "nobody uses it"},
		"another client":      {elder, Use{Client: "another", Scope: "api", Owner: younger}, false, true, "another client gets tokens of its own"},
		"another scope":       {elder, Use{Client: "client", Scope: "more", Owner: younger}, false, true, "another scope gets tokens of its own"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			state, _ := State{}.Claimed(noon, used(test.by), nil)
			next, refusal := state.Claimed(noon, test.use, func(Use) bool { return test.left })
			if given := refusal == nil; given != test.given {
				t.Errorf("given %v, want %v: %s", given, test.given, test.why)
			}
			if refusal != nil && (refusal.By != test.by || len(next.Uses) != 1 || next.Uses[0].Owner != test.by) {
				t.Errorf("refused by %+v, and %+v has it now; want %+v", refusal.By, next.Uses, test.by)
			}
		})
	}
}

func TestUnclaimedIsFreeForOthers(t *testing.T) {
	use := func(uid string) Use { return Use{Client: "client", Owner: Owner{UID: uid}} }
	state, _ := State{}.Claimed(noon, use("1"), nil)
	if _, refusal := state.Unclaimed(use("2")).Claimed(noon, use("3"), func(Use) bool { return false }); refusal == nil {
		t.Error("one that has not got it gave it away")
	}
	if _, refusal := state.Unclaimed(use("1")).Claimed(noon, use("3"), func(Use) bool { return false }); refusal != nil {
		t.Errorf("refused after it was given back: %+v", refusal)
	}
}

func TestSeedThatTwoExchangesTookIsNotGivenBack(t *testing.T) {
	use := func(claim string) Use { return Use{Client: "client", Owner: Owner{UID: "1"}, Claim: claim} }
	once, _ := State{}.Claimed(noon, use("first"), nil)
	again, _ := once.Claimed(noon, use("first"), nil)
	if len(again.Unclaimed(use("first")).Uses) != 0 {
		t.Error("the only exchange that took it cannot give it back")
	}
	twice, _ := once.Claimed(noon, use("second"), nil)
	for name, why := range map[string]string{
		"first":  "an exchange that was held up gave away what the next one is about to spend",
		"second": "an exchange that did not send it gave away what the one before may have sent: the end of that was never written down",
	} {
		if len(twice.Unclaimed(use(name)).Uses) != 1 {
			t.Error(why)
		}
	}
	if _, refusal := twice.Claimed(noon, use("third"), nil); refusal != nil {
		t.Errorf("its owner is refused what it has: %+v", refusal)
	}
}

func TestSeedThatWasSentIsNeverGivenBack(t *testing.T) {
	use := Use{Client: "client", Owner: Owner{UID: "1"}}
	state, _ := State{}.Claimed(noon, use, nil)
	if state.isSpent(use) {
		t.Error("a seed counts as spent before it was sent")
	}
	state = state.Spending(use)
	if !state.isSpent(use) || state.isSpent(Use{Client: "another", Owner: use.Owner}) {
		t.Errorf("%+v: the seed was sent by this client", state.Uses)
	}
	if back := state.Unclaimed(use); !back.isSpent(use) {
		t.Error("a later refusal made it good again")
	}
}

// TestTrialIsNoUse: a login belongs to who was granted it. Who only tries it holds it while its attempt is open.
func TestTrialIsNoUse(t *testing.T) {
	first := Use{Client: "client", Owner: Owner{UID: "first"}, Trial: true}
	second := Use{Client: "client", Owner: Owner{UID: "second"}, Trial: true}
	tried, _ := State{}.Claimed(noon, first, nil)
	tried, _ = tried.Reserve(noon, Attempt{ID: "1", Owner: "first", Credentials: "any"})
	refused, _ := tried.Refused(noon, "1")
	twice, _ := tried.Reserve(noon, Attempt{ID: "2", Owner: "first", Credentials: "more"})
	twice, _ = twice.Refused(noon, "2")
	granted := tried.Granted("1", first)
	later, _ := granted.Claimed(noon, first, nil)
	later, _ = later.Reserve(noon, Attempt{ID: "2", Owner: "first", Credentials: "changed"})
	later, _ = later.Refused(noon, "2")
	cases := map[string]struct {
		state State
		after time.Duration
		left  bool
		given bool
		why   string
	}{
		"under way":                     {tried, 0, true, false, "it may be granted yet"},
		"its end is not known":          {tried, Window, true, false, "it may have been granted unheard, and its reply may be on disk"},
		"its end is not known for long": {tried, Flight + Window, true, true, "its reply will not come any more"},
		"its end is not known; it works": {
			tried, Flight + Window, false, false, "it was granted, and that was never written down",
		},
		"refused":                    {refused, 0, false, true, "it has nothing of this login"},
		"refused beside an open one": {twice, 0, true, false, "the open one may be granted yet"},
		"never sent":                 {tried.Released(noon, "1"), 0, false, true, "it has nothing of this login"},
		"granted":                    {granted, 24 * time.Hour, false, false, "the first to log in keeps it"},
		"granted, its owner is gone": {granted, 0, true, true, "nobody uses it"},
		"granted, and refused later": {later, 24 * time.Hour, false, false, "it may refresh what it has"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			_, refusal := test.state.Claimed(noon.Add(test.after), second, func(Use) bool { return test.left })
			if given := refusal == nil; given != test.given {
				t.Errorf("given %t, want %t: %s", given, test.given, test.why)
			}
		})
	}
}

// TestGrantNeverWrittenDown: a trial of an owner that works is its use from its next login on, whatever becomes of that.
func TestGrantNeverWrittenDown(t *testing.T) {
	use := Use{Client: "client", Owner: Owner{UID: "owner"}, Trial: true}
	state, _ := State{}.Claimed(noon, use, nil)
	works := func(Use) bool { return false }
	state, _ = state.Claimed(noon.Add(time.Hour), use, works)
	if len(state.Uses) != 1 || state.Uses[0].Trial {
		t.Errorf("it has %+v", state.Uses)
	}
}

func TestLateGrantTakesNothingAway(t *testing.T) {
	first, second := Use{Owner: Owner{UID: "first"}}, Use{Owner: Owner{UID: "second"}}
	state := State{}.Granted("2", second).Granted("1", first)
	if len(state.Uses) != 1 || state.Uses[0].Owner.UID != "second" {
		t.Errorf("%+v has it: the second logged in since", state.Uses)
	}
}

// TestSeedIsOneWhateverTheScope shows that a seed given to two FluentCredentials with different scopes is spent by one.
func TestSeedIsOneWhateverTheScope(t *testing.T) {
	first := Use{Client: "client", Scope: "read", Seed: true, Owner: Owner{UID: "1"}}
	second := Use{Client: "client", Scope: "write", Seed: true, Owner: Owner{UID: "2"}}
	taken, _ := State{}.Claimed(noon, first, nil)
	if _, refusal := taken.Claimed(noon, second, func(Use) bool { return false }); refusal == nil || refusal.Why != InUse {
		t.Errorf("both take it: %+v", refusal)
	}
	again := first
	again.Scope = "" // its owner changes the scope
	if spent := taken.Spending(first); !spent.isSpent(again) {
		t.Error("another scope makes a seed that was spent a good one")
	}
	login := second
	login.Seed, first.Seed = false, false
	named, _ := State{}.Claimed(noon, first, nil)
	if _, refusal := named.Claimed(noon, login, func(Use) bool { return false }); refusal != nil {
		t.Errorf("two scopes of one user are two logins: %+v", refusal)
	}
}
