// Command conformance holds the operator's own binary against authorization servers that this project did not write, on a control
// plane of this machine: the same scenarios against each, and one table. What it judges by is what each server itself counts, and
// what a proxy between the two sees. "make conformance" calls it, in the root of the repository; docs/conformance.md has more.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/fluent-credential/operator/hack/localcluster"
)

func main() { localcluster.Main("conformance", run) }

func run(args []string) error {
	options, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, stop := localcluster.UntilInterrupted()
	defer stop()
	table, err := judge(ctx, options)
	if err != nil || options.mutants {
		return err
	}
	table.print(os.Stdout)
	if options.markdown != "" {
		if err := table.save(options.markdown); err != nil {
			return err
		}
	}
	return table.verdict(options.require)
}

// options is what the command line says.
type options struct {
	servers   []server
	scenarios []scenario
	rotations int
	require   []string // servers that must not be missing
	markdown  string
	mutants   bool
}

// Rotations of the scenario "rotate".
const (
	manyRotations = 50
	fewRotations  = 5
)

func parse(args []string) (options, error) {
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	only := flags.String("only", "", "comma list of servers; all: "+strings.Join(namesOf(servers, server.called), ","))
	plays := flags.String("scenario", "", "comma list of scenarios; all: "+strings.Join(namesOf(scenarios, scenario.called), ","))
	quick := flags.Bool("quick", false, fmt.Sprintf("%d rotations instead of %d", fewRotations, manyRotations))
	require := flags.String("require", "", "comma list of servers, or all, that must not be missing")
	markdown := flags.String("markdown", "", "a file in which the table between its markers is replaced")
	mutants := flags.Bool("mutants", false, "make mistakes between the operator and the server instead; a scenario has to find each")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	chosen := options{rotations: manyRotations, markdown: *markdown, mutants: *mutants}
	if *quick || *mutants {
		chosen.rotations = fewRotations
	}
	var wrong [3]error
	chosen.servers, wrong[0] = pick("--only", *only, servers, server.called)
	chosen.scenarios, wrong[1] = pick("--scenario", *plays, scenarios, scenario.called)
	chosen.require, wrong[2] = required(*require)
	return chosen, errors.Join(wrong[:]...)
}

// required are the names of the servers that must not be missing.
func required(list string) ([]string, error) {
	if list == "" {
		return nil, nil
	}
	if list == "all" {
		list = ""
	}
	found, err := pick("--require", list, servers, server.called)
	return namesOf(found, server.called), err
}

// pick returns those that a comma list names, in their own order; all where it is empty.
func pick[T any](option, list string, all []T, name func(T) string) ([]T, error) {
	if list == "" {
		return all, nil
	}
	wanted := strings.Split(list, ",")
	for _, one := range wanted {
		if !slices.Contains(namesOf(all, name), one) {
			return nil, fmt.Errorf("%s: there is no %q, but %s", option, one, strings.Join(namesOf(all, name), ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(one T) bool { return !slices.Contains(wanted, name(one)) }), nil
}

func namesOf[T any](all []T, name func(T) string) []string {
	var names []string
	for _, one := range all {
		names = append(names, name(one))
	}
	return names
}

func (s server) called() string   { return s.name }
func (s scenario) called() string { return s.name }
