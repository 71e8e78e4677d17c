package simulation

import (
	"flag"
	"fmt"
	"strings"
	"testing"
)

// rule is a promise that an excuse can suspend for some time.
type rule int

const (
	ruleExpiry        rule = iota // no expired token is published as good
	ruleNeedless                  // I8: nothing is spent before it is due
	rulePresentations             // a refresh token is presented no more often than the policy permits
	ruleBegun                     // I5: a new state goes on from the last serial
	ruleOwnClaim                  // I6: a claim is ended by its own result
	ruleBudget                    // I4: the login guard's budget
	ruleDurable                   // I3: a reply is durable before it is committed
	ruleKept                      // I3: a reply is kept until it is stored
	ruleBackup                    // F22: a token of a backup is not presented
	ruleLost                      // a reply is lost inside the documented window only
	ruleDead                      // a refresh token is refused only after such a loss
	rulePassword                  // a login is made only after such a loss
	ruleUnsent                    // F1: what was never sent is not lost
	ruleVanished                  // a state Secret does not vanish
	ruleWhole                     // what the log holds is not called lost
	rulePublished                 // what is stored is published
	ruleRest                      // it comes to rest
	ruleStop                      // a graceful stop loses nothing
	rules             = int(ruleStop) + 1
)

var ruleNames = [rules]string{
	"no expired token is published as good", "I8 nothing is spent for a repair", "presentations", "I5 a new state counts on",
	"I6 a claim is ended by its own result", "I4 the login guard's budget", "I3 a reply is durable before it is committed",
	"I3 a reply is kept until it is stored", "F22 a token of a backup is not presented", "a reply is lost inside the window only",
	"a family ends after a loss only", "a login is made after a loss only", "F1 what was never sent is not lost",
	"a state does not vanish", "what the log holds is not lost", "what is stored is published", "it comes to rest",
	"a graceful stop loses nothing while the Kubernetes API works",
}

// floors are the shares of its occasions in which each rule is checked at least, in percent.
var floors = [rules]float64{
	ruleExpiry: 90, ruleNeedless: 75, rulePresentations: 99, ruleBegun: 75, ruleOwnClaim: 85, ruleBudget: 65, ruleDurable: 90,
	ruleKept: 80, ruleBackup: 95, ruleLost: 75, ruleDead: 60, rulePassword: 40, ruleUnsent: 90, ruleVanished: 60, ruleWhole: 50,
	rulePublished: 75, ruleRest: 99, ruleStop: 50,
}

// tally counts how often a rule was checked, and how often an excuse kept it from that.
type tally struct{ checked, excused int }

type tallies [rules]tally

func (t *tallies) add(other tallies) {
	for i := range t {
		t[i].checked += other[i].checked
		t[i].excused += other[i].excused
	}
}

func (t tally) share() float64 {
	return 100 * float64(t.checked) / float64(max(1, t.checked+t.excused))
}

func (t tallies) String() string {
	var lines strings.Builder
	for i, counted := range t {
		fmt.Fprintf(&lines, "\n%8d checked %6d excused %5.1f %%  %s", counted.checked, counted.excused, counted.share(), ruleNames[i])
	}
	return lines.String()
}

// checks counts an occasion of a rule, and reports whether it is checked. An empty excuse is none.
func (o *oracle) checks(which rule, excuse string) bool {
	o.world.mu.Lock()
	defer o.world.mu.Unlock()
	if excuse != "" {
		o.tallies[which].excused++
		return false
	}
	o.tallies[which].checked++
	return true
}

// excuseIf is an excuse that holds under a condition.
func excuseIf(holds bool, because string) string {
	if holds {
		return because
	}
	return ""
}

var tallied = flag.Bool("tallies", false, "print how often each rule was checked and excused")

// fewestSeeds is from how many seeds on the floors hold.
const fewestSeeds = 2000

// mustBeChecked holds the tallies of so many seeds to the floors.
func (t tallies) mustBeChecked(test *testing.T, seeds int) {
	test.Helper()
	if seeds < fewestSeeds {
		return
	}
	for which, counted := range t {
		switch {
		case counted.checked == 0:
			test.Errorf("%s: never checked in %d seeds", ruleNames[which], seeds)
		case counted.checked+counted.excused >= 50 && counted.share() < floors[which]:
			test.Errorf("%s: checked in %.1f %% of %d occasions, want %.0f %%", ruleNames[which], counted.share(),
				counted.checked+counted.excused, floors[which])
		}
	}
}
