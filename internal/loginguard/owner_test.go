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
			state, _ := State{}.Claimed(used(test.by), nil)
			next, refusal := state.Claimed(test.use, func(Owner) bool { return test.left })
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
	state, _ := State{}.Claimed(use("1"), nil)
	if _, refusal := state.Unclaimed(use("2")).Claimed(use("3"), func(Owner) bool { return false }); refusal == nil {
		t.Error("one that has not got it gave it away")
	}
	if _, refusal := state.Unclaimed(use("1")).Claimed(use("3"), func(Owner) bool { return false }); refusal != nil {
		t.Errorf("refused after it was given back: %+v", refusal)
	}
}

func TestSeedThatTwoExchangesTookIsNotGivenBack(t *testing.T) {
	use := func(claim string) Use { return Use{Client: "client", Owner: Owner{UID: "1"}, Claim: claim} }
	once, _ := State{}.Claimed(use("first"), nil)
	again, _ := once.Claimed(use("first"), nil)
	if len(again.Unclaimed(use("first")).Uses) != 0 {
		t.Error("the only exchange that took it cannot give it back")
	}
	twice, _ := once.Claimed(use("second"), nil)
	for name, why := range map[string]string{
		"first":  "an exchange that was held up gave away what the next one is about to spend",
		"second": "an exchange that did not send it gave away what the one before may have sent: the end of that was never written down",
	} {
		if len(twice.Unclaimed(use(name)).Uses) != 1 {
			t.Error(why)
		}
	}
	if _, refusal := twice.Claimed(use("third"), nil); refusal != nil {
		t.Errorf("its owner is refused what it has: %+v", refusal)
	}
}

func TestSeedThatWasSentIsNeverGivenBack(t *testing.T) {
	use := Use{Client: "client", Owner: Owner{UID: "1"}}
	state, _ := State{}.Claimed(use, nil)
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
