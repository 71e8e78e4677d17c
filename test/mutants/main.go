// Command mutants applies deliberate mistakes to the source of the product, one at a time, and reports which test finds
// each. The tables in mutations hold the mistakes. The work tree stays as it is: "go test -overlay" compiles the mutated
// files in place of the real ones. "make mutants" calls it, in the root of the repository.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The parts of the tests, in the order in which a mutation meets them.
const (
	partSimulation = "simulation"
	partUnit       = "unit"
	partSuite      = "suite"
)

// options is what the command line says.
type options struct {
	only     []string
	seeds    int
	jobs     int
	quick    bool
	list     bool
	parts    []string // of the tests
	markdown string
	limit    time.Duration // of one part of the tests; zero: measured with the unmutated source
}

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(args []string, out, progress io.Writer) error {
	chosen, err := parseOptions(args, progress)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	all, err := loadMutations(tables)
	if err != nil {
		return err
	}
	selected, err := chosen.among(all)
	if err != nil {
		return err
	}
	if chosen.list {
		for _, m := range selected {
			fmt.Fprintf(out, "%-45s %s\n", m.name, m.breaks)
		}
		return nil
	}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	return judge(ctx, root, chosen, selected, out, progress)
}

func judge(ctx context.Context, root string, chosen options, selected []mutation, out, progress io.Writer) (err error) {
	r, err := newRunner(root, chosen, progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.dir)) }()
	results, err := r.run(ctx, selected)
	if err != nil {
		return err
	}
	fmt.Fprint(out, table(results))
	if chosen.markdown != "" {
		if err := writeMarkdown(chosen.markdown, results); err != nil {
			return err
		}
	}
	fmt.Fprintln(out, lastLine(results))
	return verdict(results, chosen.judgesSimulation())
}

func parseOptions(args []string, usage io.Writer) (options, error) {
	var chosen options
	var only, parts string
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.StringVar(&only, "only", "", "comma list of mutations, or of parts of their names; all by default")
	flags.IntVar(&chosen.seeds, "seeds", 0, "how many seeds the simulation runs; 2000 by default, 500 with --quick")
	flags.IntVar(&chosen.jobs, "jobs", max(1, runtime.NumCPU()/2), "how many mutations are judged at a time")
	flags.BoolVar(&chosen.quick, "quick", false, "a short pass: a sample of the mutations, fewer seeds, no API server")
	flags.BoolVar(&chosen.list, "list", false, "list the mutations and end")
	flags.StringVar(&parts, "parts", "", "comma list of the parts to run, of simulation, unit and suite; all by default, without the suite with --quick")
	flags.DurationVar(&chosen.limit, "limit", 0, "the time limit of each part; by default three times what the unmutated source takes, and two minutes")
	flags.StringVar(&chosen.markdown, "markdown", "", "a file whose table of mutations is written again")
	if err := flags.Parse(args); err != nil {
		return chosen, err
	}
	chosen.only = commaList(only)
	if chosen.parts = commaList(parts); parts == "" {
		chosen.parts = []string{partSimulation, partUnit}
		if !chosen.quick {
			chosen.parts = append(chosen.parts, partSuite)
		}
	}
	switch {
	case flags.NArg() > 0:
		return chosen, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case chosen.seeds < 0 || chosen.jobs < 1:
		return chosen, errors.New("--seeds and --jobs must be 1 or more")
	case chosen.markdown != "" && (chosen.quick || only != "" || parts != ""):
		return chosen, errors.New("--markdown writes the table of all mutations: leave out --quick, --only and --parts")
	}
	for _, part := range chosen.parts {
		if !slices.Contains([]string{partSimulation, partUnit, partSuite}, part) {
			return chosen, fmt.Errorf("there is no part %q of the tests", part)
		}
	}
	if chosen.seeds == 0 {
		chosen.seeds = 2000
		if chosen.quick {
			chosen.seeds = 500
		}
	}
	return chosen, nil
}

func commaList(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
}

func (o options) has(part string) bool { return slices.Contains(o.parts, part) }

// judgesSimulation reports whether the share of the simulation means something: all mutations and all seeds.
func (o options) judgesSimulation() bool {
	return o.has(partSimulation) && !o.quick && len(o.only) == 0
}

// among returns the mutations that the command line asks for.
func (o options) among(all []mutation) ([]mutation, error) {
	if len(o.only) == 0 {
		if o.quick {
			return slices.DeleteFunc(slices.Clone(all), func(m mutation) bool { return !m.quick }), nil
		}
		return all, nil
	}
	var selected []mutation
	for _, m := range all {
		isMeant := func(part string) bool { return strings.Contains(m.name, strings.TrimSpace(part)) }
		if slices.ContainsFunc(o.only, isMeant) {
			selected = append(selected, m)
		}
	}
	if len(selected) == 0 {
		return nil, fmt.Errorf("no mutation has %q in its name", strings.Join(o.only, ","))
	}
	return selected, nil
}
