package authsim_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fluent-credential/operator/hack/authsim"
)

// strikes sends logins and refreshes, p and r, and returns the status of each.
func strikes(tenant *tenant, requests string) []int {
	tenant.t.Helper()
	var statuses []int
	for _, request := range requests {
		asked := passwordOf("orders", "password-1")
		if request == 'r' {
			asked = refreshOf(tenant.Seed("orders", "fluent-api"))
		}
		statuses = append(statuses, tenant.ask(asked).status)
	}
	return statuses
}

func TestWhichRequestsAreStruck(t *testing.T) {
	tests := map[string]struct {
		why      string
		faults   []string
		requests string
		want     []int
	}{
		"ordinal": {
			"only the n-th", []string{"2nd: html 502"}, "ppp", []int{200, 502, 200},
		},
		"ordinal and times": {
			"the n-th and those that follow", []string{"2nd x2: html 502"}, "pppp", []int{200, 502, 502, 200},
		},
		"every": {
			"all of them, without end", []string{"every: html 502"}, "ppp", []int{502, 502, 502},
		},
		"every so often": {
			"all of them until the times run out", []string{"every x2: html 502"}, "ppp", []int{502, 502, 200},
		},
		"one grant": {
			"requests of the other grant do not count", []string{"2nd refresh_token: html 502"}, "prpprp",
			[]int{200, 200, 200, 200, 502, 200},
		},
		"two faults": {
			"of two that are due the first added strikes, and both count", []string{"1st x2: html 502", "2nd x2: html 503"}, "pppp",
			[]int{502, 502, 503, 200},
		},
		"a fault passed over": {
			"a number of times counts strikes, not chances", []string{"1st: html 502", "every x2: html 503"}, "pppp",
			[]int{502, 503, 503, 200},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tenant := newTenant(t, authsim.Config{})
			for _, fault := range test.faults {
				tenant.AddFault(parse(t, fault))
			}
			if diff := cmp.Diff(test.want, strikes(tenant, test.requests)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.why, diff)
			}
		})
	}
}

func TestFaultsCountFromWhenTheyAreAdded(t *testing.T) {
	tenant := newTenant(t, authsim.Config{})
	strikes(tenant, "pp")
	tenant.AddFault(parse(t, "2nd: html 502"))
	if diff := cmp.Diff([]int{200, 502, 200}, strikes(tenant, "ppp")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	tenant.AddFault(parse(t, "every: html 502"))
	tenant.ClearFaults()
	if diff := cmp.Diff([]int{200}, strikes(tenant, "p")); diff != "" {
		t.Errorf("a cleared fault strikes no more (-want +got):\n%s", diff)
	}
}

func TestAddFaultPanicsOnNonsense(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a fault of no kind was accepted")
		}
	}()
	authsim.New(authsim.Config{Faults: []authsim.Fault{{At: 1}}})
}
