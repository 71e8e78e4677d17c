package simulation

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// shrunk leaves out of a failing run all that it fails without: whole stretches first, then choice by choice.
func shrunk(t *testing.T, f failure) []choice {
	kept, tries := f.made, 0
	for size := len(kept); size > 0 && tries < 1500; {
		before := len(kept)
		for from := 0; from < len(kept); {
			less := slices.Concat(kept[:from], kept[min(from+size, len(kept)):])
			if tries++; stillFails(t, f, less) {
				kept = less
			} else {
				from += size
			}
		}
		if size == 1 && len(kept) == before {
			break
		}
		size = max(1, min(size/2, len(kept)))
	}
	return kept
}

func stillFails(t *testing.T, f failure, script []choice) bool {
	w := simulate(t, f.seed, options{script: append([]choice{}, script...)})
	return w.oracle.violation != nil && w.oracle.violation.rule == f.violation.rule
}

// report is what somebody needs who has to understand a failure.
func report(t *testing.T, f failure) string {
	kept := shrunk(t, f)
	w := simulate(t, f.seed, options{script: append([]choice{}, kept...), verbose: true})
	return fmt.Sprintf("seed %d: %s\nreplay: go test ./controllers/simulation -run TestSeeds -args -seed=%d -seeds=1%s\n"+
		"shrunk from %d to %d choices: %s\n%s", f.seed, f.violation.String(), f.seed, lengthFlag(), len(f.made), len(kept), listed(kept),
		strings.Join(w.transcript, "\n"))
}

// lengthFlag is what replays a long seed as such.
func lengthFlag() string {
	if *long {
		return " -long"
	}
	return ""
}
