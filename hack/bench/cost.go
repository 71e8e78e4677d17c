package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/journal"
)

// The steps of a rotation, in their order. The journal's are made where the operator makes them.
const (
	stepRead     = "live read"
	stepReserve  = "journal: room for the reply"
	stepClaim    = "claim"
	stepExchange = "exchange"
	stepSeal     = "journal: the reply, synced"
	stepCommit   = "commit"
	stepPublish  = "publish"
	stepRemove   = "journal: removed"
	stepStatus   = "status"
)

var steps = []string{
	stepRead, stepReserve, stepClaim, stepExchange, stepSeal, stepCommit, stepPublish, stepRemove, stepStatus,
}

// replySize is what a reply of the simulated server has, header included, and a little more.
const replySize = 1 << 10

// cost is what safety costs of a rotation, on a machine that does nothing else: the median time of each step.
type cost struct {
	Rotations int                `json:"rotations"`
	Steps     map[string]float64 `json:"medianMilliseconds"`
}

// share is a part of the whole, of the steps whose names begin so.
func (c cost) share(prefix string) float64 {
	whole, part := 0.0, 0.0
	for step, took := range c.Steps {
		whole += took
		if strings.HasPrefix(step, prefix) {
			part += took
		}
	}
	return part / whole
}

func (c cost) print(out io.Writer) {
	fmt.Fprintf(out, "\nWhat each step of a rotation takes, one at a time (median of %d)\n", c.Rotations)
	for _, step := range steps {
		fmt.Fprintf(out, "  %-32s %7.2f ms   %4.1f %%\n", step, c.Steps[step], 100*c.share(step))
	}
	fmt.Fprintf(out, "  so the journal is %.1f %% of a rotation, and the claim %.1f %%\n", 100*c.share("journal"), 100*c.share(stepClaim))
}

// stopwatch collects how long the steps take.
type stopwatch struct {
	last  time.Time
	times map[string][]float64
}

func (s *stopwatch) start() { s.last = time.Now() }

func (s *stopwatch) lap(step string) {
	now := time.Now()
	s.times[step] = append(s.times[step], 1000*now.Sub(s.last).Seconds())
	s.last = now
}

func (s *stopwatch) medians() map[string]float64 {
	medians := map[string]float64{}
	for step, times := range s.times {
		slices.Sort(times)
		medians[step] = times[len(times)/2]
	}
	return medians
}

// measureCost makes rotations one at a time: those of the bare client, with the journal's own code in between.
func (b *bench) measureCost(ctx context.Context, client *bareClient) (err error) {
	b.say("timing the steps of %d rotations", b.pace.timed)
	dir, err := os.MkdirTemp(b.cluster.Dir, "journal-")
	if err != nil {
		return err
	}
	opened, err := journal.Open(dir, make([]byte, journal.KeySize))
	if err != nil {
		return err
	}
	watch := &stopwatch{times: map[string][]float64{}}
	for range b.pace.timed {
		next := <-client.idle
		err := timed(ctx, client, next, opened, watch)
		client.idle <- next
		if err != nil {
			return err
		}
	}
	b.results.Cost = cost{Rotations: b.pace.timed, Steps: watch.medians()}
	return nil
}

// timed is one rotation with a journal.
func timed(ctx context.Context, client *bareClient, cred *bareCredential, into *journal.Journal, watch *stopwatch) error {
	var slot *journal.Slot
	var errs []error
	must := func(err error) { errs = append(errs, err) }
	watch.start()
	err := client.rotate(ctx, cred, func(step string) {
		watch.lap(step)
		switch step {
		case stepRead:
			var err error
			slot, err = into.Reserve(journal.Head{ID: custody.NewID(), Claim: json.RawMessage(`{}`)})
			must(err)
			watch.lap(stepReserve)
		case stepExchange:
			must(slot.Sending())
			_, err := slot.Write(noise(replySize))
			must(errors.Join(err, slot.Seal()))
			watch.lap(stepSeal)
		case stepPublish:
			must(slot.Discard())
			watch.lap(stepRemove)
		}
	})
	return errors.Join(append(errs, err)...)
}
