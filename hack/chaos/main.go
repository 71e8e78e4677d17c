// Command chaos plays every fault of docs/chaos.md against the operator's own binary: on a real control plane, with a simulated
// authorization server that keeps account of every token, and with a proxy on either way that can hold, cut, delay or double what
// passes. It ends with a table, and with a failure where a promise was broken. "make chaos" calls it, in the root of the
// repository; catalogue.go lists the faults.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fluent-credential/operator/hack/localcluster"
)

// options is what the command line says.
type options struct {
	pass
	list           bool
	json, markdown string
}

func main() {
	localcluster.Main("chaos", func(args []string) error {
		traceIfAsked()
		return run(args)
	})
}

func run(args []string) error {
	chosen, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	faults := catalogue(chosen.pass)
	if err := known(append(chosen.only, chosen.except...), faults); err != nil {
		return err
	}
	if chosen.list {
		list(faults)
		return nil
	}
	// Not SIGPIPE: it comes with every connection that a proxy breaks.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	return play(ctx, chosen, faults)
}

func play(ctx context.Context, chosen options, faults []fault) (err error) {
	r := &runner{pass: chosen.pass, out: os.Stderr, began: time.Now()}
	r.say("starting a control plane")
	if r.plant, err = newPlant(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.plant.cluster.Stop()) }()
	rows := r.run(ctx, faults)
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	result := newOutcome(chosen.quick, rows, time.Since(r.began))
	result.print(os.Stdout)
	if err := result.save(chosen.json, chosen.markdown); err != nil {
		return err
	}
	if broken := result.broken(); broken > 0 {
		return fmt.Errorf("%d of %d faults broke a promise", broken, len(rows))
	}
	return nil
}

func parse(args []string) (options, error) {
	var chosen options
	var only, except string
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.StringVar(&only, "only", "", "comma list of faults, such as F5,F7; all by default")
	flags.StringVar(&except, "except", "", "comma list of faults to leave out")
	flags.StringVar(&chosen.part, "case", "", "play the scenarios whose name has this in it; all by default")
	flags.BoolVar(&chosen.quick, "quick", false, "the short pass: some minutes, not every variant of every fault")
	flags.IntVar(&chosen.rounds, "rounds", 1, "how often each scenario is played")
	flags.IntVar(&chosen.parallel, "parallel", 3, "how many scenarios are played at a time, beside those that only wait")
	flags.BoolVar(&chosen.list, "list", false, "list the scenarios and end")
	flags.StringVar(&chosen.json, "json", "", "a file to write the table to as well, as JSON")
	flags.StringVar(&chosen.markdown, "markdown", "", "a file to write the table to as well, as Markdown")
	if err := flags.Parse(args); err != nil {
		return chosen, err
	}
	chosen.only, chosen.except = names(only), names(except)
	switch {
	case flags.NArg() > 0:
		return chosen, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case chosen.rounds < 1 || chosen.parallel < 1:
		return chosen, errors.New("--rounds and --parallel must be 1 or more")
	}
	return chosen, nil
}

// names splits a comma list of faults.
func names(text string) []string {
	return strings.FieldsFunc(strings.ToUpper(text), func(r rune) bool { return r == ',' || r == ' ' })
}

// known refuses the name of a fault that there is not.
func known(named []string, faults []fault) error {
	for _, name := range named {
		if !slices.ContainsFunc(faults, func(f fault) bool { return f.name == name }) {
			return fmt.Errorf("there is no fault %q", name)
		}
	}
	return nil
}

func list(faults []fault) {
	for _, each := range faults {
		fmt.Printf("%-4s %s\n", each.name, each.title)
		for _, scenario := range each.cases {
			mark := " "
			switch {
			case scenario.onDemand:
				mark = "-"
			case scenario.quick:
				mark = "*"
			}
			fmt.Printf("     %s %s\n", mark, scenario.name)
		}
	}
	fmt.Println("* is a part of --quick, - is played where --case names it")
}
