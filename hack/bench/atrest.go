package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// measureEmpty measures the memory of an operator that has nothing to do.
func (b *bench) measureEmpty(ctx context.Context) error {
	b.say("memory with no credential")
	if err := b.startOperator(ctx); err != nil {
		return err
	}
	empty, err := b.settledMemory(ctx)
	b.results.Memory.Empty = empty
	return err
}

// populate creates the credentials, whose first tokens live for a day.
func (b *bench) populate(ctx context.Context) error {
	b.say("creating %d credentials", b.options.credentials)
	began := time.Now()
	if err := each(ctx, b.options.credentials, b.createCredential); err != nil {
		return err
	}
	if err := b.untilReady(ctx); err != nil {
		return err
	}
	b.results.ReadyAfter = time.Since(began).Seconds()
	return b.untilQuiet(ctx)
}

// measureIdle counts requests while nothing is due, and then measures memory.
func (b *bench) measureIdle(ctx context.Context) error {
	b.say("idle for %s: nothing is due", b.pace.idle)
	window := b.open(operatorName)
	if err := b.pass(ctx, b.pace.idle); err != nil {
		return err
	}
	window.close()
	b.results.Idle = idle{Seconds: window.seconds(), requests: &window.requests}
	b.say("memory with %d credentials", b.options.credentials)
	full, err := b.settledMemory(ctx)
	b.results.Memory.Full = full
	return err
}

// measureRestart counts the calls to the token server of a restart with nothing due, which have to be none.
func (b *bench) measureRestart(ctx context.Context) error {
	b.say("a restart with nothing due")
	before, err := b.restful.Ledger(ctx)
	if err != nil {
		return err
	}
	if err := b.operator.Stop(); err != nil {
		return err
	}
	window := b.open(operatorName)
	if err := b.startOperator(ctx, "--pprof-bind-address="+pprofAddress); err != nil { // it works on in the next phase
		return err
	}
	if err := b.untilReady(ctx); err != nil {
		return err
	}
	ready := time.Since(window.from).Seconds()
	if err := b.untilQuiet(ctx); err != nil {
		return err
	}
	window.close()
	after, err := b.restful.Ledger(ctx)
	b.results.Restart = restart{TokenCalls: after.Requests - before.Requests, ReadyAfter: ready, requests: &window.requests}
	return err
}

// memory of the operator's process, in bytes.
type memory struct {
	Resident  int64 `json:"residentBytes"` // VmRSS
	Live      int64 `json:"liveHeapBytes"` // of the Go heap, after the last collection
	Unsettled bool  `json:"unsettled,omitempty"`
}

// What counts as settled: some collections, and a resident size that has come to rest.
const (
	collections = 3
	restFor     = 10 * time.Second
	restWithin  = 0.01
	// settleLimit bounds the wait. The last values are reported then, and are marked as unsettled.
	settleLimit = 3 * time.Minute
)

// settledMemory waits until the Go runtime has collected what is not used any more and given back what it wants to give back. The
// operator is idle; what it collects is what answering our own look at its metrics leaves behind. Where the resident size
// never comes to rest, the last one is reported, with a remark.
func (b *bench) settledMemory(ctx context.Context) (memory, error) {
	var settling settling
	err := b.until(ctx, "the memory is measured", settleLimit+time.Minute, func() (bool, error) {
		seen, err := b.scrape(ctx)
		if err != nil {
			return false, err
		}
		resident, err := residentMemory(b.operator.PID())
		if err != nil {
			return false, err
		}
		now := memory{Resident: resident, Live: int64(seen.sum("go_gc_heap_live_bytes"))}
		return settling.add(now, seen.sum("go_gc_cycles_total_gc_cycles_total"), time.Now()), nil
	})
	if settling.last.Unsettled {
		b.say("the memory did not settle within %s; its last value is reported", settleLimit)
	}
	return settling.last, err
}

// settling follows the memory of a process until it has settled, or until settleLimit.
type settling struct {
	last memory

	began   time.Time
	cycles  float64 // collections before the first look
	resting restingValue
}

// add takes what is measured now, and reports whether the measurement is over.
func (s *settling) add(measured memory, cycles float64, now time.Time) bool {
	if s.began.IsZero() {
		s.began = now
		s.cycles = cycles
	}
	s.last = measured
	rests := s.resting.since(float64(measured.Resident), now)
	settled := cycles-s.cycles >= collections && rests >= restFor
	s.last.Unsettled = !settled
	return settled || now.Sub(s.began) >= settleLimit
}

// restingValue knows since when a value has not moved by more than restWithin.
type restingValue struct {
	value float64
	from  time.Time
}

func (r *restingValue) since(value float64, now time.Time) time.Duration {
	if moved := value - r.value; moved > r.value*restWithin || moved < -r.value*restWithin {
		r.value, r.from = value, now
	}
	return now.Sub(r.from)
}

// residentMemory is VmRSS of proc(5).
func residentMemory(pid int) (int64, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, fmt.Errorf("the resident memory is read from /proc, as Linux has it: %w", err)
	}
	return parseResident(string(text))
}

func parseResident(status string) (int64, error) {
	_, rest, found := strings.Cut(status, "VmRSS:")
	fields := strings.Fields(rest)
	if !found || len(fields) < 2 || fields[1] != "kB" {
		return 0, fmt.Errorf("no VmRSS in /proc")
	}
	kilobytes, err := strconv.ParseInt(fields[0], 10, 64)
	return kilobytes << 10, err
}
