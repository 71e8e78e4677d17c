//go:build e2e

package e2e

import (
	"flag"
	"testing"
)

// rotations is how many rotations the measurements wait for.
var rotations = flag.Int("rotations", 3, "how many rotations to measure")

// scenarios run in this order, one at a time. "go test -run TestE2E/journal" runs one of them.
var scenarios = []struct {
	name string
	run  func(t *testing.T, c *cluster)
}{
	{"installed", installed},
	{"kubelet", kubeletFollows},
	{"killed-tokens", killedTokens},
	{"distributed", distributed},
	{"journal", journalOutlivesContainer},
	{"operator-killed", operatorKilled},
	{"rolling-update", rollingUpdate},
	{"evicted", evicted},
	{"steady", steadyVerdict}, // the last that the steady workloads live through
	{"uninstall", uninstall},  // there is no operator after it
}

func TestE2E(t *testing.T) {
	c := newCluster(t)
	for _, scenario := range scenarios {
		t.Run(scenario.name, func(t *testing.T) {
			scenario.run(t, c)
			if t.Failed() {
				c.tell(t)
			}
		})
	}
}
