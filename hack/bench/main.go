// Command bench measures the operator's own binary against a simulated authorization server on a control plane of this machine,
// and prints one table: requests to the Kubernetes API per rotation, at rest and at a restart, the time from a reply to the
// published Secret, rotations per second beside those of a bare client that makes the same writes, and memory per credential.
// "make bench" calls it, in the root of the repository; bench.go says in which order.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/fluent-credential/operator/hack/localcluster"
)

// options is what the command line says.
type options struct {
	credentials int
	consumers   int  // of one credential, in a phase of its own
	only        bool // that phase and no other
	quick       bool
	json        string

	scale              bool // the scenarios at scale instead
	scenarios, out     string
	sizes              []int
	saturated, limited int
	foreign            int
}

func main() { localcluster.Main("bench", run) }

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
	if options.scale {
		return scale(ctx, options)
	}
	results, err := measureAll(ctx, options)
	if err != nil {
		return err
	}
	results.print(os.Stdout)
	if options.json != "" {
		if err := results.save(options.json); err != nil {
			return err
		}
	}
	return results.verdict()
}

// measureAll measures many credentials, then one credential with many consumers.
func measureAll(ctx context.Context, options options) (*results, error) {
	measured := &results{}
	*measured = newResults(options)
	var err error
	if !options.only {
		if measured, err = measure(ctx, options); err != nil {
			return nil, err
		}
	}
	if options.consumers > 0 {
		measured.Distribution, err = measureDistribution(ctx, options)
	}
	return measured, err
}

func parse(args []string) (options, error) {
	var chosen options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&chosen.credentials, "credentials", 1000, "how many FluentCredentials")
	flags.IntVar(&chosen.consumers, "consumers", 1000, "how many FluentTokens, each in a namespace of its own; 0 leaves them out")
	flags.BoolVar(&chosen.only, "only-distribution", false, "measure FluentTokens only")
	flags.BoolVar(&chosen.quick, "quick", false, "shorter windows and one round: figures to look at, not to quote")
	flags.StringVar(&chosen.json, "json", "", "a file to write the figures to as well")
	flags.BoolVar(&chosen.scale, "scale", false, "the scenarios at scale: sizes, rate, limited, foreign, failover")
	flags.StringVar(&chosen.scenarios, "only", "", "of the scenarios at scale only these, a comma list; \"report\": none, only the report anew")
	flags.StringVar(&chosen.out, "out", "docs/benchmark", "the directory of their figures")
	sizes := flags.String("sizes", "100,1000,10000,50000", "numbers of credentials whose cost is measured")
	flags.IntVar(&chosen.saturated, "saturated", 10000, "credentials that are due at once, and then always")
	flags.IntVar(&chosen.limited, "limited", 600, "credentials that are due at once where the host is held to a rate")
	flags.IntVar(&chosen.foreign, "foreign", 30000, "Secrets that are none of the operator's business")
	if err := flags.Parse(args); err != nil {
		return chosen, err
	}
	if flags.NArg() > 0 {
		return chosen, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if chosen.credentials < 10 || chosen.credentials > 9999 {
		return chosen, errors.New("--credentials must be from 10 to 9999")
	}
	var err error
	chosen.sizes, err = parseSizes(*sizes)
	return chosen, err
}

// pace is how long and how hard is measured.
type pace struct {
	idle, steady, round time.Duration // windows
	rounds, timed       int           // rotations whose steps are timed
	rate                int           // rotations a second while steady
	distributions       int           // rotations of one credential with many consumers

	calm     time.Duration // window at calmRate rotations a second
	calmRate int
	handings int // how often a leader goes, in each way
	between  time.Duration
}

func (o options) pace() pace {
	if o.quick {
		return pace{
			idle: 15 * time.Second, steady: 20 * time.Second, round: 10 * time.Second, rounds: 1, timed: 100, rate: 20, distributions: 20,
			calm: 20 * time.Second, calmRate: 10, handings: 1, between: 5 * time.Second,
		}
	}
	return pace{
		idle: 30 * time.Second, steady: time.Minute, round: 20 * time.Second, rounds: 2, timed: 500, rate: 20, distributions: 100,
		calm: 45 * time.Second, calmRate: 10, handings: 2, between: 8 * time.Second,
	}
}

// Lives of the tokens of the three servers. A token is refreshed after 45 to 50 % of its life, because the lead of 90 s is cut to
// half of it.
const (
	meanRefresh  = 0.475
	restfulLife  = 24 * time.Hour
	pressingRate = 400 // rotations a second that are due while saturated: more than any client makes here
)

// lifeFor is the life at which so many credentials make for so many rotations a second; expires_in counts whole seconds.
func lifeFor(credentials, rate int) time.Duration {
	life := time.Duration(float64(credentials) / float64(rate) / meanRefresh * float64(time.Second))
	return max(life.Round(time.Second), time.Second)
}
