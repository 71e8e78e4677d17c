//go:build e2e

package e2e

import (
	"flag"
	"testing"
)

// How much the measurements measure.
var (
	rotations   = flag.Int("rotations", 3, "how many rotations to measure")
	credentials = flag.Int("credentials", 3, "how many logins rotate at the same time where tokens are killed, nudged and as many not")
)

// scenarios run in this order, one at a time. "go test -run TestE2E/journal" runs one of them.
var scenarios = []struct {
	name string
	run  func(t *testing.T, c *cluster)
}{
	{"installed", installed},
	{"rights", rightsByDefault},
	{"kubelet", kubeletFollows},
	{"killed-tokens", killedTokens},
	{"distributed", distributed},
	{"journal", journalOutlivesContainer},
	{"operator-killed", operatorKilled},
	{"rolling-update", rollingUpdate},
	{"evicted", evicted},
	{"steady", steadyVerdict}, // the last that the steady workloads live through
	{"upgrade", upgrade},      // from another installation
	{"uninstall", uninstall},  // there is no operator after it
	{"helm", chart},           // from nothing to nothing
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
