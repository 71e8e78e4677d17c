package plan

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// now is the moment of every decision in the tables: a Monday morning.
var now = time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)

// in is a moment so long after now; a negative one is past.
func in(wait time.Duration) time.Time { return now.Add(wait) }

// healthy is a credential with nothing to do: a token with a third of an hour left that is due in nine minutes, a refresh token
// that was never presented, and no other login.
func healthy() Observed {
	return Observed{
		Registered:  true,
		Publication: Current,
		Token:       &Token{Obtained: in(-10 * time.Minute), Expires: in(20 * time.Minute), Refresh: in(9 * time.Minute)},
		Chain:       Chain{Stored: true},
		OnLostReply: Auto,
	}
}

// due makes the token due for its refresh, with ten minutes of life left.
func due(seen *Observed) {
	seen.Token = &Token{Obtained: in(-20 * time.Minute), Expires: in(10 * time.Minute), Refresh: in(-time.Second)}
}

// expired makes the token one that expired a minute ago.
func expired(seen *Observed) {
	seen.Token = &Token{Obtained: in(-31 * time.Minute), Expires: in(-time.Minute), Refresh: in(-11 * time.Minute)}
}

// A decision is what the plan makes of a change to a healthy credential, and why it must.
type decision struct {
	why  string
	seen func(*Observed)
	want Step
}

// tables hold, for every rule, what it decides, and whom it gives way to.
var tables = map[string]map[string]decision{
	"deliver":       delivering,
	"undelivered":   holding,
	"unpublishable": unpublishing,
	"unwritable":    unwriting,
	"release":       releasing,
	"notRegistered": registering,
	"relocate":      relocating,
	"restore":       restoring,
	"marked":        marking,
	"conflict":      conflicting,
	"publish":       publishing,
	"withdraw":      withdrawing,
	"suspended":     suspending,
	"unfinished":    finishing,
	"obstructed":    obstructing,
	"refused":       refusing,
	"settled":       settling,
	"stranded":      stranding,
	"failing":       backingOff,
	"crowded":       queueing,
	"spend":         spending,
}

func TestDecisions(t *testing.T) {
	for rule, table := range tables {
		for name, test := range table {
			t.Run(rule+"/"+name, func(t *testing.T) {
				seen := healthy()
				test.seen(&seen)
				if diff := cmp.Diff(test.want, Next(seen, now)); diff != "" {
					t.Errorf("%s:\n(-want +got)\n%s", test.why, diff)
				}
			})
		}
	}
}

func TestEveryRuleHasATable(t *testing.T) {
	names := []string{"withdraw"} // it is done where the rules find nothing to do
	for _, rule := range rules {
		name := runtime.FuncForPC(reflect.ValueOf(rule).Pointer()).Name()
		names = append(names, name[strings.LastIndex(name, ".")+1:])
	}
	slices.Sort(names)
	if diff := cmp.Diff(names, slices.Sorted(maps.Keys(tables))); diff != "" {
		t.Errorf("the rules and the tables are not the same (-rules +tables):\n%s", diff)
	}
}

func TestEveryOutcomeIsReached(t *testing.T) {
	reached := map[string]bool{}
	for _, table := range tables {
		for _, test := range table {
			reached[string(test.want.Do)], reached[string(test.want.Why)], reached[string(test.want.Means)] = true, true, true
		}
	}
	for _, kind := range []string{"Action", "Why", "Means"} {
		for _, value := range constants(t, "step.go", kind) {
			if !reached[value] {
				t.Errorf("no table expects the %s %s", kind, value)
			}
		}
	}
}

// constants reads the constants of one string type out of a source file.
func constants(t *testing.T, file, kind string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(parsed, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if named, ok := spec.Type.(*ast.Ident); ok && named.Name == kind {
			value, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			values = append(values, value)
		}
		return false
	})
	if len(values) == 0 {
		t.Fatalf("%s has no constants of type %s", file, kind)
	}
	return values
}

// precedence is the order of the rules, as one change each that makes the rule decide.
var precedence = []struct {
	why   Why
	makes func(*Observed)
}{
	{Deleted, func(o *Observed) { o.Deleting, o.Claim = true, nil }},
	{Unregistered, func(o *Observed) { o.Registered = false }},
	{StateDeleted, func(o *Observed) { o.StateLeaving = true }},
	{Journaled, func(o *Observed) { o.Journaled, o.Claim = true, &Claim{Gone: true} }},
	{TargetTaken, func(o *Observed) { o.Publication = Taken }},
	{Unpublished, func(o *Observed) { o.Publication, o.Token = Outdated, healthy().Token }},
	{Suspended, func(o *Observed) { o.Suspended = true }},
	{InFlight, func(o *Observed) { o.Claim = &Claim{Until: in(time.Minute)} }},
	{Obstructed, func(o *Observed) { o.Obstacle = "CredentialsNotFound" }},
	{Refused, func(o *Observed) {
		o.Failure, o.Rotate = &Failure{RetryAt: in(time.Minute), Barred: true, Stalled: true}, false
	}},
	{NotDue, func(o *Observed) { *o = merged(*o, healthy()) }},
	{NoMeans, func(o *Observed) { o.Login, o.Chain = Login{}, Chain{} }},
	{BackingOff, func(o *Observed) { o.Failure, o.Chain = &Failure{RetryAt: in(time.Minute)}, Chain{Stored: true} }},
	{HostBusy, func(o *Observed) { o.HostFree, o.Chain = in(time.Minute), Chain{Stored: true} }},
	{Due, func(o *Observed) { o.Login.Password = true }},
}

// merged is seen with the token and the chain of a credential with nothing due, and nothing asked of it.
func merged(seen, from Observed) Observed {
	seen.Token, seen.Chain, seen.Failure, seen.Rotate, seen.Login.Seed = from.Token, from.Chain, nil, false, false
	return seen
}

func TestTheOrderIsThePolicy(t *testing.T) {
	for i, first := range precedence {
		for _, second := range precedence[i:] {
			seen := healthy()
			due(&seen)
			second.makes(&seen)
			first.makes(&seen)
			if got := Next(seen, now); got.Why != first.why {
				t.Errorf("%s and %s at once: the plan says %s, and %s comes first", first.why, second.why, got.Why, first.why)
			}
		}
	}
}
