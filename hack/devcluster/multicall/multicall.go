// Package multicall makes one binary of several programs: it is installed under the name of each, and dispatches on the name it is
// called by, so that what they share links once.
package multicall

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Main runs the program that the binary is called as, and ends the process with its exit code; with 2 where there is none of that
// name.
func Main(binary string, programs map[string]func() int) {
	called := filepath.Base(os.Args[0])
	run, ok := programs[called]
	if !ok {
		names := strings.Join(slices.Sorted(maps.Keys(programs)), ", ")
		fmt.Fprintf(os.Stderr, "%s: called as %q; link it under one of: %s\n", binary, called, names)
		os.Exit(2)
	}
	os.Exit(run())
}
