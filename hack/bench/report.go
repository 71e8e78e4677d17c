package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
)

// print writes the tables.
func (r *results) print(out io.Writer) {
	if len(r.Rounds) > 0 {
		r.printCredentials(out)
	}
	if r.Distribution != nil {
		r.Distribution.print(out)
	}
}

func (r *results) printCredentials(out io.Writer) {
	machine := r.Machine
	fmt.Fprintf(out, "\n%d credentials in %d namespaces; %d CPUs shared with the control plane and the token servers, %s, %s, load %s before\n",
		r.Credentials, namespaces, machine.CPUs, machine.System, machine.Go, machine.LoadBefore)
	if r.Quick {
		fmt.Fprintln(out, "--quick: figures to look at, not to quote")
	}
	r.printRequests(out)
	r.printPublished(out)
	fmt.Fprintf(out, "\nAllocations of the operator per rotation, at the same rate\n  %.0f objects, %.0f KiB\n",
		r.Steady.allocations.Objects, r.Steady.allocations.Bytes/kibi)
	r.printThroughput(out)
	r.Cost.print(out)
	r.printMemory(out)
	r.printIdle(out)
	r.printRestart(out)
	fmt.Fprintf(out, "\nRefresh tokens used twice: %d; given up, for a login instead: %d; calls to the token servers refused: %d\n",
		r.Reuses, r.LoginsAgain, r.TokenCallsRefused)
}

func (r *results) printRequests(out io.Writer) {
	saturated := r.saturated()
	columns := []work{r.Steady.work, saturated.Operator, saturated.Bare}
	fmt.Fprintf(out, "\nRequests to the Kubernetes API per rotation\n  %-32s %9s %9s %9s\n", "", "steady", "saturated", "bare")
	kinds := map[string]bool{}
	for _, column := range columns {
		for kind := range column.ByKind {
			kinds[kind] = true
		}
	}
	row := func(name string, of func(work) int) {
		fmt.Fprintf(out, "  %-32s", name)
		for _, column := range columns {
			fmt.Fprintf(out, " %9.2f", float64(of(column))/float64(column.Rotations))
		}
		fmt.Fprintln(out)
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		row(kind, func(w work) int { return w.ByKind[kind] })
	}
	row("all", func(w work) int { return w.all() })
	row("of these, refused", func(w work) int { return w.Refused })
}

func (r *results) printPublished(out io.Writer) {
	observed := 0.0
	if count := len(r.Steady.published); count > 0 {
		observed = r.Steady.published[count-1].count
	}
	fmt.Fprintf(out, "\nFrom reply to published, at %.1f rotations/s\n  p50 %.1f ms   p99 %.1f ms   (%.0f observations, interpolated in the histogram)\n",
		r.Steady.rate(), r.Steady.milliseconds(0.50), r.Steady.milliseconds(0.99), observed)
}

func (r *results) printThroughput(out io.Writer) {
	fmt.Fprintf(out, "\nRotations per second, %d at a time\n  %-9s %9s %9s %9s\n", workers, "", "operator", "bare", "ratio")
	row := func(name string, round round) {
		operator, bare := round.Operator.rate(), round.Bare.rate()
		fmt.Fprintf(out, "  %-9s %9.1f %9.1f %9.2f\n", name, operator, bare, operator/bare)
	}
	for i, round := range r.Rounds {
		row(fmt.Sprintf("round %d", i+1), round)
	}
	row("all", r.saturated())
	for i, round := range r.Rounds {
		if round.Operator.Waiting == 0 {
			fmt.Fprintf(out, "  in round %d the operator had no work left in the end, so its limit is higher than this\n", i+1)
		}
		if unserved := r.Credentials - round.Operator.Users; unserved > 0 {
			fmt.Fprintf(out, "  in round %d the operator came round to %d of the %d credentials\n", i+1, round.Operator.Users, r.Credentials)
		}
	}
}

func (r *results) printMemory(out io.Writer) {
	empty, full := r.Memory.Empty, r.Memory.Full
	fmt.Fprintln(out, "\nMemory of the operator")
	fmt.Fprintf(out, "  resident    %6.1f MiB with none, %6.1f MiB with all: %5.1f KiB per credential\n",
		float64(empty.Resident)/mebi, float64(full.Resident)/mebi, r.perCredential(func(m memory) int64 { return m.Resident })/kibi)
	fmt.Fprintf(out, "  live heap   %6.1f MiB with none, %6.1f MiB with all: %5.1f KiB per credential\n",
		float64(empty.Live)/mebi, float64(full.Live)/mebi, r.perCredential(func(m memory) int64 { return m.Live })/kibi)
	printUnsettled(out, empty, full)
}

// printUnsettled adds a remark where a figure is not one of a process at rest.
func printUnsettled(out io.Writer, without, with memory) {
	if without.Unsettled || with.Unsettled {
		fmt.Fprintf(out, "  the memory did not settle within %s (with none: %s; with all: %s), so these are its last values\n",
			settleLimit, without.settledOrNot(), with.settledOrNot())
	}
}

func (m memory) settledOrNot() string {
	if m.Unsettled {
		return "not settled"
	}
	return "settled"
}

func (r *results) printIdle(out io.Writer) {
	fmt.Fprintf(out, "\nIdle for %.0f s with nothing due\n  requests %d, besides watches begun anew %d (leader election is off, so there is no lease)\n",
		r.Idle.Seconds, r.Idle.all(), r.Idle.Watches)
	printKinds(out, *r.Idle.requests)
}

func (r *results) printRestart(out io.Writer) {
	fmt.Fprintf(out, "\nRestart with nothing due: every credential ready after %.1f s\n  calls to the token server %d\n",
		r.Restart.ReadyAfter, r.Restart.TokenCalls)
	fmt.Fprintf(out, "  requests to the Kubernetes API %d (%.2f per credential), besides watches begun %d\n",
		r.Restart.all(), float64(r.Restart.all())/float64(r.Credentials), r.Restart.Watches)
	printKinds(out, *r.Restart.requests)
}

func printKinds(out io.Writer, requests requests) {
	for _, kind := range slices.Sorted(maps.Keys(requests.ByKind)) {
		fmt.Fprintf(out, "    %-32s %6d\n", kind, requests.ByKind[kind])
	}
}
