package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// The report is docs/benchmark/figures.md and its plots, made of the figures of all scenarios that were run.

func saveJSON(path string, value any) error {
	encoded, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(encoded, '\n'), 0o644)
}

// figures of a scenario; false where it was not run.
func figuresOf[T any](dir, scenario string) (T, outcome, bool, error) {
	var figures T
	stored := outcome{Figures: &figures}
	encoded, err := os.ReadFile(filepath.Join(dir, scenario+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return figures, stored, false, nil
	}
	if err == nil {
		err = json.Unmarshal(encoded, &stored)
	}
	return figures, stored, err == nil, err
}

// part of the report.
type part func(dir string, out io.Writer) error

// writeReport writes the table and the plots.
func writeReport(dir string) error {
	var text bytes.Buffer
	text.WriteString("# The figures\n\nMade by `make bench-scale`; [benchmark.md](../benchmark.md) says what they mean.\n")
	for _, part := range []part{reportSizes, reportRate, reportLimited, reportForeign, reportFailover} {
		if err := part(dir, &text); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "figures.md"), text.Bytes(), 0o644)
}

func heading(out io.Writer, title string, told outcome) {
	machine := told.Machine
	fmt.Fprintf(out, "\n## %s\n\n%d CPUs, %.0f GiB, shared with etcd, kube-apiserver and the token server; %s, %s, %s; load before %s; took %.0f s.\n\n",
		title, machine.CPUs, machine.Memory, machine.System, machine.Go, machine.Time.Format("2006-01-02"), machine.LoadBefore, told.Took)
}

const (
	kibi = 1 << 10
	mebi = 1 << 20
)

// perOne is how much one credential more costs.
func perOne(of, without int64, count int) float64 { return float64(of-without) / float64(count) / kibi }

func reportSizes(dir string, out io.Writer) error {
	figures, told, ok, err := figuresOf[sizesFigures](dir, "sizes")
	if !ok {
		return err
	}
	heading(out, "Growth with size", told)
	fmt.Fprintln(out, "| credentials | live heap, MiB | KiB per credential | resident, MiB | KiB per credential | requests while idle | restart: caches filled, s "+
		"| all looked at, s | requests per credential | token calls |\n|---|---|---|---|---|---|---|---|---|---|")
	empty := figures.Empty
	fmt.Fprintf(out, "| 1 | %.1f | | %.1f | | | | | | |\n", float64(empty.Live)/mebi, float64(empty.Resident)/mebi)
	for _, s := range figures.Sizes {
		fmt.Fprintf(out, "| %d | %.1f | %.2f | %.1f | %.2f | %d in %.0f s | %.1f | %.1f | %.2f | %d |\n", s.Credentials,
			float64(s.Memory.Live)/mebi, perOne(s.Memory.Live, empty.Live, s.Credentials),
			float64(s.Memory.Resident)/mebi, perOne(s.Memory.Resident, empty.Resident, s.Credentials),
			s.Idle.all(), s.IdleSeconds, s.Synced, s.Ready, float64(s.Restart.all())/float64(s.Credentials), s.TokenCalls)
	}
	reportCalm(figures, out)
	fmt.Fprint(out, "\n![memory](memory.svg)\n\n![restart](restart.svg)\n")
	return plotSizes(dir, figures)
}

// reportCalm tells of a rate that leaves room.
func reportCalm(figures sizesFigures, out io.Writer) {
	fmt.Fprint(out, "\nAt about a tenth of the highest rate:\n\n| credentials | rotations/s | reply to published p50, ms | p99, ms | requests per rotation |\n|---|---|---|---|---|\n")
	for _, s := range figures.Sizes {
		if s.Calm != nil {
			fmt.Fprintf(out, "| %d | %.1f | %.1f | %.1f | %s |\n", s.Credentials, s.Calm.Rate, s.Calm.P50, s.Calm.P99, perRotation(*s.Calm.Requests, s.Calm.Rotations))
		}
	}
}

// perRotation lists the requests by verb and resource.
func perRotation(requests requests, rotations int) string {
	text := fmt.Sprintf("%.2f", float64(requests.all())/float64(rotations))
	for _, kind := range slices.Sorted(maps.Keys(requests.ByKind)) {
		text += fmt.Sprintf("; %s %.2f", kind, float64(requests.ByKind[kind])/float64(rotations))
	}
	return text
}

func plotSizes(dir string, figures sizesFigures) error {
	live, resident, synced, looked := line{name: "live heap"}, line{name: "resident"}, line{name: "caches filled"}, line{name: "all looked at"}
	for _, s := range figures.Sizes {
		x := float64(s.Credentials)
		live.points = append(live.points, point{x, float64(s.Memory.Live) / mebi})
		resident.points = append(resident.points, point{x, float64(s.Memory.Resident) / mebi})
		synced.points, looked.points = append(synced.points, point{x, s.Synced}), append(looked.points, point{x, s.Ready})
	}
	return errors.Join(
		plot(dir, "memory", chart{title: "Memory of the operator", x: "credentials", y: "MiB", isLog: true, lines: []line{live, resident}}),
		plot(dir, "restart", chart{title: "A restart with nothing due", x: "credentials", y: "seconds", isLog: true, lines: []line{synced, looked}}),
	)
}

func plot(dir, name string, drawn chart) error {
	return os.WriteFile(filepath.Join(dir, name+".svg"), []byte(drawn.svg()), 0o644)
}

func reportRate(dir string, out io.Writer) error {
	figures, told, ok, err := figuresOf[rateFigures](dir, "rate")
	if !ok {
		return err
	}
	heading(out, "The highest rate", told)
	fmt.Fprintf(out, "| | rotations/s | requests per rotation |\n|---|---|---|\n| bare client, before | %.1f | %s |\n", figures.Bare[0].rate(),
		perRotation(*figures.Bare[0].Requests, figures.Bare[0].Rotations))
	fmt.Fprintf(out, "| operator, %d credentials, always due | %.1f | %s |\n| bare client, after | %.1f | |\n| ratio | %.2f | |\n", figures.Overdue.Credentials,
		figures.Operator.rate(), perRotation(*figures.Operator.Requests, figures.Operator.Rotations), figures.Bare[1].rate(), figures.ratio())
	fmt.Fprint(out, "\n## All overdue after a stop\n\n")
	return reportOverdue(dir, "order", figures.Overdue, out)
}

func reportLimited(dir string, out io.Writer) error {
	figures, told, ok, err := figuresOf[overdue](dir, "limited")
	if !ok {
		return err
	}
	heading(out, "All overdue after a stop, with `--host-rate`", told)
	return reportOverdue(dir, "order-limited", figures, out)
}

func reportOverdue(dir, name string, found overdue, out io.Writer) error {
	limit := "none"
	if found.HostRate > 0 {
		limit = fmt.Sprintf("%d a minute, the most in one minute was %d", found.HostRate, found.Fastest)
	}
	fmt.Fprintf(out, "| credentials | limit of the host | all served after, s | expired before their turn | rank correlation with the deadlines |\n|---|---|---|---|---|\n"+
		"| %d | %s | %.1f | %d | %.4f |\n\n![order](%s.svg)\n", found.Credentials, limit, found.Seconds, found.Expired, found.Rank, name)
	var dots line
	for _, place := range found.Places {
		dots.points = append(dots.points, point{float64(place.Served), float64(place.Deadline)})
	}
	return plot(dir, name, chart{title: "The order in which overdue credentials were served", x: "place in the order of service", y: "place in the order of deadlines", isDots: true, lines: []line{dots}})
}

func reportForeign(dir string, out io.Writer) error {
	figures, told, ok, err := figuresOf[foreignFigures](dir, "foreign")
	if !ok {
		return err
	}
	heading(out, "Secrets of others", told)
	fmt.Fprintf(out, "| | live heap, MiB | KiB per Secret | resident, MiB | KiB per Secret |\n|---|---|---|---|---|\n| before | %.1f | | %.1f | |\n",
		float64(figures.Before.Live)/mebi, float64(figures.Before.Resident)/mebi)
	for _, row := range []struct {
		name string
		at   footprint
	}{{"%d more of %d KiB, watched", figures.Watched}, {"%d more of %d KiB, after a restart", figures.Listed}} {
		fmt.Fprintf(out, "| "+row.name+" | %.1f | %.2f | %.1f | %.2f |\n", figures.Secrets, figures.Bytes/kibi, float64(row.at.Live)/mebi,
			perOne(row.at.Live, figures.Before.Live, figures.Secrets), float64(row.at.Resident)/mebi, perOne(row.at.Resident, figures.Before.Resident, figures.Secrets))
	}
	fmt.Fprintf(out, "\nThe caches were filled %.1f s after the restart.\n", figures.Synced)
	return nil
}

func reportFailover(dir string, out io.Writer) error {
	figures, told, ok, err := figuresOf[failoverFigures](dir, "failover")
	if !ok {
		return err
	}
	heading(out, "Fail-over", told)
	fmt.Fprintf(out, "%d credentials, %.0f rotations a second, one standby.\n\n| the leader got | its process ended after, s | the other's first rotation after, s | most rotations in one of the next 10 s |\n|---|---|---|---|\n",
		figures.Credentials, figures.Rate)
	for _, row := range []struct {
		signal string
		times  []handing
	}{{"SIGTERM", figures.Terminated}, {"SIGKILL", figures.Killed}} {
		for _, handed := range row.times {
			fmt.Fprintf(out, "| %s | %.2f | %.2f | %d |\n", row.signal, handed.Ended, handed.Next, handed.Storm)
		}
	}
	fmt.Fprintf(out, "\nRefresh tokens used twice: %d; logins instead of a refresh: %d.\n", figures.Reuses, figures.LoginsAgain)
	return nil
}
