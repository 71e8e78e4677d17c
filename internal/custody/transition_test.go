package custody

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluent-credential/operator/internal/token"
)

// What a claim was made with.
const (
	salt = "salt"
	old  = "refresh-1" // the stored refresh token
	seed = "seed-1"    // a refresh token or a code of a person
)

// chained is the state of a credential with a refresh token, and the claim on it.
func chained(claim *Claim) State {
	return State{
		Salt: salt, Serial: 1, Token: &Token{Access: token.NewSecret("access-1"), Obtained: noon, Expires: noon.Add(time.Hour)},
		Chain: &Chain{Refresh: token.NewSecret(old)}, Claim: claim, LastClaim: "before",
	}
}

func hashed(secret string) string { return token.NewSecret(secret).Hash(salt) }

// The claims that an exchange is begun with.
func refreshing(attempt int) Claim {
	return Claim{ID: "claim", Grant: token.RefreshToken, Spends: hashed(old), Attempt: attempt, Started: noon}
}

func seeding(grant token.Grant) Claim {
	return Claim{ID: "claim", Grant: grant, Spends: hashed(seed), Seed: true, Attempt: 1, Started: noon}
}

func loggingIn(grant token.Grant) Claim {
	return Claim{ID: "claim", Grant: grant, Attempt: 1, Started: noon}
}

// TestVerdicts is the whole table: every grant × every verdict, and what it leaves of the chain and of the seeds.
func TestVerdicts(t *testing.T) {
	lost := &Chain{Refresh: token.NewSecret(old), Presented: 1}
	lostTwice := &Chain{Refresh: token.NewSecret(old), Presented: 2}
	intact := &Chain{Refresh: token.NewSecret(old)}
	spent, unspent := []string{hashed(seed)}, []string(nil)
	begin := map[string]*Chain{ // of those that do not begin with a good refresh token
		"a code, no chain": nil, "a seed that is gone, no chain": nil, "a seed, no chain": nil,
		"a seed beside a chain in doubt": lost, "a refresh token, once more": lost,
	}
	lostSeed := &Chain{Refresh: token.NewSecret(seed), Presented: 1}
	type left struct {
		chain *Chain
		seeds []string
	}
	tests := map[string]struct {
		why   string
		claim Claim
		sent  string
		want  map[token.Verdict]left
	}{
		"a refresh token": {
			why:   "it is lost where the reply is, dead where it was refused, and else as it was",
			claim: refreshing(1), sent: old,
			want: map[token.Verdict]left{
				token.Unsent: {intact, unspent}, token.RefusedIntact: {intact, unspent}, token.TryLater: {intact, unspent},
				token.Unknown: {lost, unspent}, token.RefusedDead: {nil, unspent}, token.LoginRefused: {intact, unspent},
			},
		},
		"a refresh token, once more": {
			why:   "the presentations are counted; a try that never reached the API does not count",
			claim: refreshing(2), sent: old,
			want: map[token.Verdict]left{
				token.Unsent: {lost, unspent}, token.RefusedIntact: {lost, unspent}, token.TryLater: {lost, unspent},
				token.Unknown: {lostTwice, unspent}, token.RefusedDead: {nil, unspent}, token.LoginRefused: {lost, unspent},
			},
		},
		"a seed": {
			why:   "it counts as spent, unless the API says that it did not look at it; where the reply is lost, the stored chain is the better thread",
			claim: seeding(token.RefreshToken), sent: seed,
			want: map[token.Verdict]left{
				token.Unsent: {intact, unspent}, token.RefusedIntact: {intact, unspent}, token.TryLater: {intact, unspent},
				token.Unknown: {intact, spent}, token.RefusedDead: {intact, spent}, token.LoginRefused: {intact, spent},
			},
		},
		"a seed that is gone": {
			why:   "its process is gone, and so is the entry of the credentials Secret: there is nothing to present again",
			claim: seeding(token.RefreshToken), sent: "",
			want: map[token.Verdict]left{token.Unknown: {intact, spent}},
		},
		"a seed, no chain": {
			why:   "it is the only thread that is left",
			claim: seeding(token.RefreshToken), sent: seed,
			want: map[token.Verdict]left{token.Unknown: {lostSeed, spent}, token.RefusedDead: {nil, spent}, token.Unsent: {nil, unspent}},
		},
		"a seed beside a chain in doubt": {
			why:   "a person obtained it later: it is the better thread",
			claim: seeding(token.RefreshToken), sent: seed,
			want: map[token.Verdict]left{token.Unknown: {lostSeed, spent}, token.RefusedDead: {lost, spent}, token.Unsent: {lost, unspent}},
		},
		"a seed that is gone, no chain": {
			why:   "there is nothing to present again",
			claim: seeding(token.RefreshToken), sent: "",
			want: map[token.Verdict]left{token.Unknown: {nil, spent}},
		},
		"a code, no chain": {
			why:   "a code is no refresh token, and must not be presented as one",
			claim: seeding(token.AuthorizationCode), sent: seed,
			want: map[token.Verdict]left{token.Unknown: {nil, spent}, token.Unsent: {nil, unspent}},
		},
		"a code": {
			why:   "a code is no refresh token: where the reply is lost it is gone",
			claim: seeding(token.AuthorizationCode), sent: seed,
			want: map[token.Verdict]left{
				token.Unsent: {intact, unspent}, token.RefusedIntact: {intact, unspent}, token.TryLater: {intact, unspent},
				token.Unknown: {intact, spent}, token.RefusedDead: {intact, spent}, token.LoginRefused: {intact, spent},
			},
		},
		"a password": {
			why:   "the chain was not presented: nothing that becomes of a login touches it",
			claim: loggingIn(token.Password), sent: "",
			want: map[token.Verdict]left{
				token.Unsent: {intact, unspent}, token.RefusedIntact: {intact, unspent}, token.TryLater: {intact, unspent},
				token.Unknown: {intact, unspent}, token.LoginRefused: {intact, unspent},
			},
		},
		"a client": {
			why:   "the chain was not presented: nothing that becomes of a login touches it",
			claim: loggingIn(token.ClientCredentials), sent: "",
			want: map[token.Verdict]left{
				token.Unsent: {intact, unspent}, token.RefusedIntact: {intact, unspent}, token.TryLater: {intact, unspent},
				token.Unknown: {intact, unspent},
			},
		},
	}
	for name, test := range tests {
		for verdict, want := range test.want {
			t.Run(name+"/"+string(verdict), func(t *testing.T) {
				state := chained(nil)
				if chain, other := begin[name]; other {
					state.Chain = chain
				}
				failed := state.Claimed(test.claim, "").Failed(test.claim, Failure{Verdict: verdict}, token.NewSecret(test.sent))
				if diff := cmp.Diff(want.chain, failed.Chain); diff != "" {
					t.Errorf("the chain: %s (-want +got)\n%s", test.why, diff)
				}
				if len(want.seeds) != len(failed.Seeds) || len(want.seeds) > 0 && want.seeds[0] != failed.Seeds[0] {
					t.Errorf("the spent seeds are %v, want %v: %s", failed.Seeds, want.seeds, test.why)
				}
				if failed.Claim != nil || failed.LastClaim != "claim" || failed.Failure.Count != 1 || failed.Serial != 1 || failed.Token == nil {
					t.Errorf("the claim goes, the token stays: %+v", failed)
				}
			})
		}
	}
}

func TestGranted(t *testing.T) {
	tests := map[string]struct {
		why     string
		state   State
		claim   Claim
		refresh string // of the reply
		want    *Chain
	}{
		"a refresh token, rotated": {
			"the successor replaces it", chained(nil), refreshing(1), "refresh-2", &Chain{Refresh: token.NewSecret("refresh-2")},
		},
		"a refresh token, the same again": {
			"some servers repeat it", chained(nil), refreshing(1), old, &Chain{Refresh: token.NewSecret(old)},
		},
		"a refresh token, none": {
			"RFC 6749 section 6: the old one goes on", chained(nil), refreshing(1), "", &Chain{Refresh: token.NewSecret(old)},
		},
		"a doubtful refresh token, none": {
			"it was not spent, so the doubt is over",
			chained(nil).Failed(refreshing(1), Failure{Verdict: token.Unknown}, token.NewSecret(old)), refreshing(2), "",
			&Chain{Refresh: token.NewSecret(old)},
		},
		"a refresh token, none, and the chain is lost": {
			"somebody removed the state meanwhile", State{Salt: salt}, refreshing(1), "", nil,
		},
		"a seed, rotated": {
			"a new chain", State{Salt: salt}, seeding(token.RefreshToken), "refresh-2", &Chain{Refresh: token.NewSecret("refresh-2")},
		},
		"a seed, none": {
			"RFC 6749 section 6: the seed goes on; it counts as spent, so as a seed it is not used again",
			State{Salt: salt}, seeding(token.RefreshToken), "", &Chain{Refresh: token.NewSecret(seed)},
		},
		"a code, with a refresh token": {
			"a new chain", chained(nil), seeding(token.AuthorizationCode), "refresh-2", &Chain{Refresh: token.NewSecret("refresh-2")},
		},
		"a code, none": {"the old chain belongs to another family", chained(nil), seeding(token.AuthorizationCode), "", nil},
		"a password, with a refresh token": {
			"a new chain", chained(nil), loggingIn(token.Password), "refresh-2", &Chain{Refresh: token.NewSecret("refresh-2")},
		},
		"a password, none": {"the old chain belongs to another family", chained(nil), loggingIn(token.Password), "", nil},
		"a client":         {"client credentials bring none", chained(nil), loggingIn(token.ClientCredentials), "", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			sent := map[bool]string{true: seed, false: old}[test.claim.Seed]
			got := Obtained{
				Token: Token{Access: token.NewSecret("access-2")}, Refresh: token.NewSecret(test.refresh), Sent: token.NewSecret(sent),
			}
			granted := test.state.Claimed(test.claim, "asked").Granted(test.claim, got)
			if diff := cmp.Diff(test.want, granted.Chain); diff != "" {
				t.Errorf("the chain: %s (-want +got)\n%s", test.why, diff)
			}
			if granted.Serial != test.state.Serial+1 || !granted.Token.Access.Equal(got.Token.Access) {
				t.Errorf("the serial is %d after %d", granted.Serial, test.state.Serial)
			}
			if granted.Claim != nil || granted.LastClaim != "claim" || granted.Failure != nil || granted.Rotate != "asked" {
				t.Errorf("the claim and the failure are over: %+v", granted)
			}
			if secret := token.NewSecret(seed); test.claim.Seed != granted.Spent(secret) {
				t.Errorf("the seed counts as spent: %t", granted.Spent(secret))
			}
		})
	}
}

// TestGrantedLate: a reply that comes late brings the newest token only as long as none of a later claim comes.
func TestGrantedLate(t *testing.T) {
	tests := map[string]struct {
		why, claim string
		lost, sent []string
	}{
		"the first":    {"the replies of later claims would bring newer tokens", "first", []string{"second", "third"}, []string{"hash"}},
		"the last":     {"what it brings is newer than what the others would", "third", nil, nil},
		"a new one":    {"likewise", "fourth", nil, nil},
		"one in doubt": {"likewise, of those before it", "second", []string{"third"}, []string{"hash"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			state := State{Lost: []string{"first", "second", "third"}, Sent: []string{"hash"}}
			got := state.Granted(Claim{ID: test.claim}, Obtained{})
			if diff := cmp.Diff(test.lost, got.Lost); diff != "" {
				t.Errorf("the lost claims: %s (-want +got)\n%s", test.why, diff)
			}
			if diff := cmp.Diff(test.sent, got.Sent); diff != "" {
				t.Errorf("what was sent since: it counts while a late reply can come (-want +got)\n%s", diff)
			}
		})
	}
}

func TestSerialNeverGoesBack(t *testing.T) {
	tests := map[string]struct {
		why          string
		serial, seen int64
		want         int64
	}{
		"ordinary":        {"one more", 3, 3, 4},
		"the first":       {"from nothing", 0, 0, 1},
		"the state lost":  {"the workload Secret or the status remembers more", 0, 16, 17},
		"the state ahead": {"not published yet", 17, 16, 18},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := (State{Serial: test.serial}).Granted(Claim{}, Obtained{Floor: test.seen}).Serial; got != test.want {
				t.Errorf("got %d, want %d: %s", got, test.want, test.why)
			}
		})
	}
}

// TestTransitionsLeaveTheOldState: a write that failed is made again from what is stored by then, so the state that a transition
// began with must be as it was.
func TestTransitionsLeaveTheOldState(t *testing.T) {
	claim := seeding(token.RefreshToken)
	transitions := map[string]func(State) State{
		"claimed":  func(s State) State { return s.Claimed(claim, "asked") },
		"granted":  func(s State) State { return s.Granted(claim, Obtained{Refresh: token.NewSecret("new"), Floor: 99}) },
		"repeated": func(s State) State { return s.Repeated(true, true) },
		"idle":     func(s State) State { return s.Idle(Failure{Verdict: token.Unsent}) },
		"lost":     func(s State) State { return s.Failed(claim, Failure{Verdict: token.Unknown}, token.NewSecret(seed)) },
		"lost, chained": func(s State) State {
			return s.Failed(refreshing(2), Failure{Verdict: token.Unknown}, token.NewSecret(old))
		},
		"dead": func(s State) State {
			return s.Failed(refreshing(1), Failure{Verdict: token.RefusedDead}, token.NewSecret(old))
		},
		"unsent": func(s State) State { return s.Failed(claim, Failure{Verdict: token.Unsent}, token.NewSecret(seed)) },
	}
	for name, transition := range transitions {
		t.Run(name, func(t *testing.T) {
			state, twin := fullState(), fullState()
			state.Seeds, twin.Seeds = []string{hashed(seed), "b", "c"}, []string{hashed(seed), "b", "c"}
			first := transition(state)
			if diff := cmp.Diff(twin, state); diff != "" {
				t.Errorf("the old state changed (-before +after)\n%s", diff)
			}
			if diff := cmp.Diff(first, transition(state)); diff != "" {
				t.Errorf("made again it is another (-first +second)\n%s", diff)
			}
		})
	}
}

func TestFailuresAreCounted(t *testing.T) {
	state := chained(nil)
	for count := 1; count <= 3; count++ {
		state = state.Idle(Failure{Verdict: token.Unsent})
		if state.Failure.Count != count {
			t.Errorf("failure %d is counted as %d", count, state.Failure.Count)
		}
	}
	if state.LastClaim != "before" {
		t.Errorf("a failure without a claim leaves the last claim alone, and not %q", state.LastClaim)
	}
	if state = state.Granted(refreshing(1), Obtained{}); state.Failure != nil {
		t.Errorf("a success ends the count, and leaves %+v", state.Failure)
	}
}

func TestRepeated(t *testing.T) {
	tests := map[string]struct {
		why           string
		before        int
		idle, repeats bool
		want          int
	}{
		"idle":           {"one more in a row", 0, true, true, 1},
		"idle again":     {"one more in a row", 4, true, false, 5},
		"with new life":  {"the row is broken", 4, false, true, 0},
		"as always":      {"there was no row", 0, false, false, 0},
		"never so often": {"the count is no bound", 1 << 20, true, true, 1<<20 + 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := State{Stagnant: test.before, Repeats: !test.repeats}.Repeated(test.idle, test.repeats)
			if got.Stagnant != test.want || got.Repeats != test.repeats {
				t.Errorf("got %d, %t, want %d, %t: %s", got.Stagnant, got.Repeats, test.want, test.repeats, test.why)
			}
		})
	}
}

func TestSeedsAreBound(t *testing.T) {
	state := State{Salt: salt}
	for i := range 100 {
		secret := token.NewSecret(fmt.Sprint("seed-", i))
		claim := Claim{ID: fmt.Sprint(i), Grant: token.RefreshToken, Seed: true, Spends: secret.Hash(salt)}
		state = state.Claimed(claim, "").Granted(claim, Obtained{})
		if !state.Spent(secret) {
			t.Fatalf("seed %d is not remembered", i)
		}
	}
	if len(state.Seeds) != maxSeeds || !state.Spent(token.NewSecret("seed-99")) || state.Spent(token.NewSecret("seed-0")) {
		t.Errorf("%d seeds are remembered, want the newest %d", len(state.Seeds), maxSeeds)
	}
}

func TestALostSeedIsTheThreadThatIsLeft(t *testing.T) {
	claim := seeding(token.RefreshToken)
	got := State{}.Claimed(claim, "").Failed(claim, Failure{Verdict: token.Unknown}, token.NewSecret(seed))
	if got.Chain == nil || got.Chain.Presented != 1 || !got.Chain.Refresh.Equal(token.NewSecret(seed)) {
		t.Errorf("with no other chain a lost seed must become the chain, in doubt; got %+v", got.Chain)
	}
}

func TestHoldsAndAwaits(t *testing.T) {
	mine := refreshing(1)
	other := Claim{ID: "other", Grant: token.RefreshToken, Spends: hashed(old), Attempt: 2}
	login := Claim{ID: "login", Grant: token.Password}
	lost := Failure{Verdict: token.Unknown}
	secret := token.NewSecret(old)
	settled := chained(&mine).Failed(mine, lost, secret)
	tests := map[string]struct {
		why           string
		state         State
		claim         Claim
		holds, awaits bool
	}{
		"in flight":       {"nobody touched it", chained(&mine), mine, true, true},
		"settled as lost": {"the late result resolves the doubt; a late refusal must not (I6)", settled, mine, false, true},
		"settled as lost, a login failed since": {
			"the doubt is still there, and the result resolves it",
			settled.Claimed(login, "").Failed(login, Failure{Verdict: token.TryLater}, token.Secret{}), mine, false, true,
		},
		"another claim in flight": {"it may be spending what this one spent", settled.Claimed(other, ""), mine, false, false},
		"presented again since": {
			"both replies are lost; whichever comes resolves the doubt", settled.Claimed(other, "").Failed(other, lost, secret), mine, false, true,
		},
		"another family since": {
			"its tokens are in use", settled.Claimed(login, "").Granted(login, Obtained{Refresh: token.NewSecret("new")}), mine, false, false,
		},
		"stored": {
			"the result is in the state: it belongs there no second time",
			chained(&mine).Granted(mine, Obtained{Refresh: token.NewSecret("new")}), mine, false, false,
		},
		"refused and stored": {
			"the result is in the state", chained(&mine).Failed(mine, Failure{Verdict: token.TryLater}, secret), mine, false, false,
		},
		"a login in flight":       {"nobody touched it", chained(nil).Claimed(login, ""), login, true, true},
		"a login settled as lost": {"nothing newer was begun", State{}.Claimed(login, "").Failed(login, lost, token.Secret{}), login, false, true},
		"a login settled as lost, beside a chain in doubt": {
			"the doubt of the chain is older; the login's result ends it",
			settled.Claimed(login, "").Failed(login, lost, token.Secret{}), login, false, true,
		},
		"a code settled as lost, beside a chain in doubt": {
			"a code works once: dropping its result would lose it",
			settled.Claimed(seeding(token.AuthorizationCode), "").Failed(seeding(token.AuthorizationCode), lost, token.Secret{}),
			seeding(token.AuthorizationCode), false, true,
		},
		"an empty state": {"somebody removed it", State{}, mine, false, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.state.Holds(test.claim); got != test.holds {
				t.Errorf("Holds is %t: %s", got, test.why)
			}
			if got := test.state.Awaits(test.claim); got != test.awaits {
				t.Errorf("Awaits is %t: %s", got, test.why)
			}
		})
	}
}

func TestOutlived(t *testing.T) {
	tests := map[string]struct {
		why          string
		holder, mine Holder
		want         bool
	}{
		"this process":       {"it is at work", Holder{"pod", "a"}, Holder{"pod", "a"}, false},
		"its restart":        {"one container runs in the pod: ours", Holder{"pod", "a"}, Holder{"pod", "b"}, true},
		"another pod":        {"it may be frozen, and wake", Holder{"pod", "a"}, Holder{"other", "b"}, false},
		"outside a cluster":  {"two processes on one machine can both be alive", Holder{"", "a"}, Holder{"", "b"}, false},
		"from another place": {"nothing is known of it", Holder{"", "a"}, Holder{"pod", "b"}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.holder.Outlived(test.mine); got != test.want {
				t.Errorf("got %t: %s", got, test.why)
			}
		})
	}
}

func TestOutran(t *testing.T) {
	login, refresh := loggingIn(token.Password), refreshing(1)
	login.ID = "login"
	lost := chained(&login).Settled(login, Failure{Verdict: token.Unknown}, token.Secret{})
	sent := lost.Claimed(refresh, "").Failed(refresh, Failure{Verdict: token.RefusedDead}, token.Secret{})
	cases := map[string]struct {
		state  State
		result string
		want   bool
		why    string
	}{
		"the token was sent":     {sent, old, true, "an API that gives the same pair again gave it to somebody else too"},
		"another token":          {sent, "refresh-2", false, "nobody has sent it"},
		"nothing was sent since": {lost, old, false, "a late result is welcome"},
		"the claim is there":     {sent.Claimed(login, ""), old, false, "what comes after a token was sent is the API's present word"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			if got := test.state.Outran(login, token.NewSecret(test.result)); got != test.want {
				t.Errorf("%v, want %v: %s", got, test.want, test.why)
			}
		})
	}
	if granted := sent.Claimed(login, "").Granted(login, Obtained{}); granted.Sent != nil {
		t.Errorf("%v is remembered although no late result is expected any more", granted.Sent)
	}
}
