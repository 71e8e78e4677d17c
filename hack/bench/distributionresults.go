package main

import (
	"errors"
	"fmt"
	"io"
	"math"
)

// distribution is one credential whose token goes to many namespaces, with one FluentToken in each.
type distribution struct {
	Levels []level `json:"levels"`
	Memory struct {
		Without memory `json:"noConsumer"`
		With    memory `json:"allConsumers"`
	} `json:"memory"`
}

// level is one number of consumers.
type level struct {
	Consumers int       `json:"consumers"`
	Refusing  int       `json:"namespacesThatRefuse"`
	Rotations int       `json:"rotations"`
	Exchanges int       `json:"exchanges"`                    // the token server's own count
	Seconds   []float64 `json:"secondsFromReplyToLastSecret"` // of each rotation, sorted
	Behind    int       `json:"secretsWithoutTheNewestToken"`
	*requests `json:"requests"`

	windows []*window
}

// allTurns are the requests of all turns together.
func (l level) allTurns() *requests {
	total := &requests{ByKind: map[string]int{}}
	for _, turn := range l.windows {
		total.Watches, total.Refused = total.Watches+turn.requests.Watches, total.Refused+turn.requests.Refused
		for kind, count := range turn.requests.ByKind {
			total.ByKind[kind] += count
		}
	}
	return total
}

// refusal is how many times as long the others wait when one of the namespaces refuses; zero where that was not measured.
func (d *distribution) refusal(q float64) float64 {
	for i := 1; i < len(d.Levels); i++ {
		if without, with := d.Levels[i-1], d.Levels[i]; with.Refusing > 0 && without.Refusing == 0 && with.Consumers == without.Consumers {
			return with.quantile(q) / without.quantile(q)
		}
	}
	return 0
}

// perConsumer is how much each consumer adds.
func (d *distribution) perConsumer(of func(memory) int64) float64 {
	return float64(of(d.Memory.With)-of(d.Memory.Without)) / float64(d.Levels[len(d.Levels)-1].Consumers)
}

// quantile of the rotations that were measured one by one: the smallest that so many of them do not exceed.
func (l level) quantile(q float64) float64 {
	return l.Seconds[int(math.Ceil(q*float64(len(l.Seconds))))-1]
}

func (d *distribution) print(out io.Writer) {
	fmt.Fprintf(out, "\nOne credential, one FluentToken in each of many namespaces\n  %9s %9s %10s %10s %10s %10s %11s %10s\n",
		"consumers", "refusing", "rotations", "exchanges", "p50", "p99", "requests", "behind")
	for _, at := range d.Levels {
		fmt.Fprintf(out, "  %9d %9d %10d %10d %7.0f ms %7.0f ms %11.1f %10d\n", at.Consumers, at.Refusing, at.Rotations, at.Exchanges,
			1000*at.quantile(0.50), 1000*at.quantile(0.99), float64(at.all())/float64(at.Rotations), at.Behind)
	}
	fmt.Fprintln(out, "  p50, p99: from the reply to the last Secret; requests: to the Kubernetes API per rotation, statuses included;")
	fmt.Fprintln(out, "  behind: Secrets of consumers that lack the newest token in the end")
	if ratio := d.refusal(0.50); ratio > 0 {
		fmt.Fprintf(out, "  with a namespace that refuses, against without, %d rotations of the one and the other in turn: p50 x %.2f, p99 x %.2f\n",
			turnLength, ratio, d.refusal(0.99))
	}
	if d.Memory.With.Live > 0 {
		fmt.Fprintf(out, "  memory per consumer: %.1f KiB resident, %.1f KiB of live heap\n",
			d.perConsumer(func(m memory) int64 { return m.Resident })/1024, d.perConsumer(func(m memory) int64 { return m.Live })/1024)
		printUnsettled(out, d.Memory.Without, d.Memory.With)
	}
}

// verdict is an error where something happened that must never happen.
func (d *distribution) verdict() error {
	var errs []error
	for _, at := range d.Levels {
		if at.Exchanges != at.Rotations {
			errs = append(errs, fmt.Errorf("%d exchanges for %d rotations with %d consumers", at.Exchanges, at.Rotations, at.Consumers))
		}
		if at.Behind != at.Refusing {
			errs = append(errs, fmt.Errorf("%d of %d consumers lack the newest token, and %d refuse it", at.Behind, at.Consumers, at.Refusing))
		}
	}
	return errors.Join(errs...)
}
