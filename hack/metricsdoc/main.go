// Command metricsdoc writes the table of all metrics into docs/metrics.md, between the lines that mark its place. "make generate"
// calls it, in the root of the repository.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/fluent-credential/operator/internal/metrics"
)

// The lines that mark the place of the table.
const (
	begin = "<!-- begin of the generated table -->\n"
	end   = "<!-- end of the generated table -->\n"
)

const page = "docs/metrics.md"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "metricsdoc:", err)
		os.Exit(1)
	}
}

func run() error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(text), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return fmt.Errorf("%s has no place for the table: the lines %q and %q", page, begin, end)
	}
	return os.WriteFile(page, []byte(before+begin+"\n"+metrics.Table()+"\n"+end+after), 0o644)
}
