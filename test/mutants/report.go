package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
)

// least is the share of the mutations that the simulation has to kill: 36 of 40.
const leastOf, least = 40, 36

// words says which test killed the mutation.
func (r result) words() string {
	switch {
	case r.wrong != nil:
		return "cannot be judged: " + r.wrong.Error()
	case !r.isKilled():
		return "SURVIVES"
	}
	parts := []string{"simulation: " + cmp.Or(r.simulation, "survives")}
	if r.unit != "" {
		parts = append(parts, "unit: "+r.unit)
	}
	if r.suite != "" {
		parts = append(parts, "suite: "+r.suite)
	}
	return strings.Join(parts, "; ")
}

// table is the outcome of all mutations.
func table(results []result) string {
	var text strings.Builder
	out := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "mutation\tsimulation\tunit tests\tsuite")
	for _, r := range results {
		suite := cmp.Or(r.suite, "-")
		if r.wrong != nil {
			suite = "cannot be judged"
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", r.name, cmp.Or(r.simulation, "-"), cmp.Or(r.unit, "-"), suite)
	}
	_ = out.Flush() // a strings.Builder takes everything
	return text.String()
}

func count(results []result, is func(result) bool) int {
	found := 0
	for _, r := range results {
		if is(r) {
			found++
		}
	}
	return found
}

func bySimulation(r result) bool { return r.simulation != "" }

// lastLine is what others look for.
func lastLine(results []result) string {
	return fmt.Sprintf("mutants: %d, simulation %d, all %d",
		len(results), count(results, bySimulation), count(results, result.isKilled))
}

// verdict is an error if a mutation survives, or if the simulation alone finds too few.
func verdict(results []result, judgesSimulation bool) error {
	var wrong []error
	for _, r := range results {
		switch {
		case r.wrong != nil:
			wrong = append(wrong, fmt.Errorf("%s: %s: %w", r.at, r.name, r.wrong))
		case !r.isKilled():
			wrong = append(wrong, fmt.Errorf("%s: %s: no test finds it", r.at, r.name))
		}
	}
	if killed := count(results, bySimulation); judgesSimulation && killed*leastOf < len(results)*least {
		wrong = append(wrong, fmt.Errorf("the simulation finds %d of %d, and has to find %d of %d", killed, len(results), least, leastOf))
	}
	return errors.Join(wrong...)
}

// The marks between which a document has the table.
const (
	tableBegins = "<!-- mutants: written by make mutants -->\n"
	tableEnds   = "<!-- mutants: end -->"
)

// writeMarkdown writes the table of mutations into a document.
func writeMarkdown(file string, results []result) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	head, rest, begins := strings.Cut(string(content), tableBegins)
	_, tail, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		return fmt.Errorf("%s has no place for the table: %q and %q", file, tableBegins, tableEnds)
	}
	var text strings.Builder
	text.WriteString(head + tableBegins + "| mutation | what it breaks | simulation | other tests |\n|---|---|---|---|\n")
	for _, r := range results {
		others := strings.TrimPrefix(r.unit, "controllers/")
		fmt.Fprintf(&text, "| %s | %s | %s | %s |\n", r.name, cell(r.breaks), cell(r.simulation), cell(cmp.Or(others, r.suite)))
	}
	fmt.Fprintf(&text, "\n`%s`\n%s%s", lastLine(results), tableEnds, tail)
	return os.WriteFile(file, []byte(text.String()), 0o644) //nolint:gosec // a document
}

func cell(text string) string { return strings.ReplaceAll(cmp.Or(text, "–"), "|", `\|`) }
