// Command proportions measures the lengths of the project's functions and files, and fails where they leave the limits
// that the project has set itself. Tests and generated code are not measured. "make proportions" calls it.
package main

import (
	"fmt"
	"io"
	"os"
)

// limits are the most lines of each. A function counts from its func to its closing brace.
type limits struct {
	median, ninetieth, function, reconcile, file int
}

var house = limits{median: 10, ninetieth: 30, function: 50, reconcile: 25, file: 300}

// trees are the directories that hold the project's own code.
var trees = []string{"api", "controllers", "internal", "cmd", "hack"}

// listed is how many of the longest functions a report shows.
const listed = 10

func main() {
	measured, err := measure(os.DirFS("."), trees)
	if err != nil {
		fmt.Fprintln(os.Stderr, "proportions:", err)
		os.Exit(1)
	}
	report(os.Stdout, measured)
	excesses := house.excesses(measured)
	for _, excess := range excesses {
		fmt.Fprintln(os.Stderr, "proportions:", excess)
	}
	if len(excesses) > 0 {
		os.Exit(1)
	}
}

// report prints the figures beside their limits, and the longest functions.
func report(out io.Writer, code code) {
	fmt.Fprintf(out, "%d functions in %d files\n", len(code.functions), len(code.files))
	fmt.Fprintf(out, "  median       %3d lines, at most %d\n", code.percentile(50), house.median)
	fmt.Fprintf(out, "  nine in ten  %3d lines, at most %d\n", code.percentile(90), house.ninetieth)
	fmt.Fprintf(out, "  longest      %3d lines, at most %d\n", code.percentile(100), house.function)
	fmt.Fprintln(out, "the longest:")
	for _, function := range code.functions[:min(listed, len(code.functions))] {
		fmt.Fprintf(out, "  %3d  %s\n", function.lines, function)
	}
}

// excesses says what is longer than it may be.
func (l limits) excesses(code code) []string {
	var excesses []string
	add := func(format string, args ...any) { excesses = append(excesses, fmt.Sprintf(format, args...)) }
	if median := code.percentile(50); median > l.median {
		add("the median function has %d lines, more than %d", median, l.median)
	}
	if ninetieth := code.percentile(90); ninetieth > l.ninetieth {
		add("one function in ten has %d lines or more, the limit is %d", ninetieth, l.ninetieth)
	}
	for _, function := range code.functions {
		limit := l.function
		if function.name == "Reconcile" {
			limit = l.reconcile
		}
		if function.lines > limit {
			add("%s has %d lines, more than %d", function, function.lines, limit)
		}
	}
	for _, file := range code.files {
		if file.lines > l.file {
			add("%s has %d lines, more than %d", file.name, file.lines, l.file)
		}
	}
	return excesses
}
