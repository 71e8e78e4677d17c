package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fluent-credential/operator/hack/localcluster"
)

// clockVariable makes of this test's binary a program that tells the time when it is asked.
const clockVariable = "CHAOS_TEST_CLOCK"

func TestMain(m *testing.M) {
	localcluster.Tether()
	traceIfAsked()
	if os.Getenv(clockVariable) != "" {
		tellTime()
	}
	os.Exit(m.Run())
}

// tellTime prints the wall clock, and how far the monotonic one has come, over and over.
func tellTime() {
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		fmt.Println(time.Now().Unix(), time.Since(began).Milliseconds())
	}
}

func TestCatalogueIsTheWholeTable(t *testing.T) {
	for _, quick := range []bool{false, true} {
		var names, cases []string
		for _, each := range catalogue(pass{quick: quick}) {
			names = append(names, each.name)
			atAll := 0
			for _, scenario := range each.cases {
				cases = append(cases, each.name+scenario.name)
				if scenario.quick || !quick {
					atAll++
				}
			}
			if atAll == 0 {
				t.Errorf("quick=%t: %s is not played at all", quick, each.name)
			}
		}
		for number := range 25 {
			if want := fmt.Sprintf("F%d", number+1); names[number] != want {
				t.Errorf("row %d is %s", number+1, names[number])
			}
		}
		slices.Sort(cases)
		if len(slices.Compact(slices.Clone(cases))) != len(cases) {
			t.Errorf("two scenarios have one name: %q", cases)
		}
	}
}

func TestParse(t *testing.T) {
	for why, test := range map[string]struct {
		args string
		want string // a part of the error; empty: none
	}{
		"everything by default":       {"", ""},
		"faults by name, in any case": {"--only f5,F7 --rounds 3 --quick", ""},
		"no arguments":                {"F5", "unexpected argument"},
		"no rounds":                   {"--rounds 0", "1 or more"},
		"nobody to play":              {"--parallel 0", "1 or more"},
		"a fault that there is not":   {"--only F26", `no fault "F26"`},
		"nor one to leave out":        {"--except F5,F0", `no fault "F0"`},
	} {
		chosen, err := parse(strings.Fields(test.args))
		if err == nil {
			err = known(append(chosen.only, chosen.except...), catalogue(chosen.pass))
		}
		if got := fmt.Sprint(err); test.want == "" && err != nil || !strings.Contains(got, test.want) {
			t.Errorf("%s: %s gives %v, want %q", why, test.args, err, test.want)
		}
	}
}

func TestPassesOfOnePass(t *testing.T) {
	if p := (pass{only: []string{"F5"}}); !p.includes("F5") || p.includes("F50") || p.includes("F1") {
		t.Error("--only F5 is not F5 alone")
	}
	if p := (pass{except: []string{"F5"}}); p.includes("F5") || !p.includes("F1") {
		t.Error("--except F5 is not all but F5")
	}
	r := &runner{pass: pass{quick: true, rounds: 3}}
	if r.roundsOf(scenario{quick: true}) != 3 || r.roundsOf(scenario{}) != 0 {
		t.Error("--quick --rounds 3 is not three rounds of what is quick")
	}
	r = &runner{pass: pass{rounds: 1, part: "seed"}}
	if r.roundsOf(scenario{name: "only a seed"}) != 1 || r.roundsOf(scenario{name: "a password"}) != 0 {
		t.Error("--case does not choose by name")
	}
}
