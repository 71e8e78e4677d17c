package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// table is what came out: a row for each server, a cell for each scenario.
type table struct {
	scenarios []scenario
	rotations int
	rows      []row
	took      time.Duration
}

type row struct {
	server  server
	version string
	missing bool  // this machine lacks something; err says what
	err     error // why there are no cells, or fewer
	cells   map[string]cell
	total   counts
	took    time.Duration
}

type cell struct {
	counts        counts // the server's own
	note          string
	notApplicable bool
	err           error
}

// short is the cell in a table: how it went, and what the server has counted.
func (c cell) short() string {
	switch {
	case c.err != nil:
		return "RED"
	case c.notApplicable:
		return "–"
	}
	return "ok " + c.counts.brief()
}

// long is the cell in a line of its own.
func (c cell) long() string {
	switch {
	case c.err != nil:
		return "RED: " + c.err.Error()
	case c.notApplicable:
		return "not applicable: the server has no such thing"
	}
	text := fmt.Sprintf("ok; the server counts %s %s", c.counts.brief(), briefly)
	if c.note != "" {
		text += "; " + c.note
	}
	return text
}

// of is the cell of a scenario, as a table has it.
func (r row) of(name string) string {
	if played, ok := r.cells[name]; ok {
		return played.short()
	}
	if r.missing {
		return "not installed"
	}
	return "RED"
}

// print prints the table for people at a terminal.
func (t *table) print(out io.Writer) {
	columns := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(columns, "\nscenario\t"+t.across("\t", func(r row) string { return r.server.name }))
	for _, scenario := range t.scenarios {
		fmt.Fprintln(columns, scenario.name+"\t"+t.across("\t", func(r row) string { return r.of(scenario.name) }))
	}
	fmt.Fprintln(columns, "version\t"+t.across("\t", func(r row) string { return r.version }))
	_ = columns.Flush() // where a terminal fails there is nobody left to tell
	for _, row := range t.rows {
		if row.err != nil {
			fmt.Fprintf(out, "%s: %v\n", row.server.name, row.err)
		}
	}
	fmt.Fprintf(out, "after «ok»: %s, as the server itself counts, which is what the scenario permits; %d rotations; %s\n",
		briefly, t.rotations, t.took.Round(time.Second))
}

// across is a cell of each server.
func (t *table) across(between string, of func(row) string) string {
	var cells []string
	for _, row := range t.rows {
		cells = append(cells, of(row))
	}
	return strings.Join(cells, between)
}

// verdict is an error where anything is red, or missing although it is required.
func (t *table) verdict(required []string) error {
	var errs []error
	for _, row := range t.rows {
		if row.missing && slices.Contains(required, row.server.name) {
			errs = append(errs, fmt.Errorf("%s is required and not installed: %w", row.server.name, row.err))
		}
		if row.err != nil && !row.missing {
			errs = append(errs, fmt.Errorf("%s: %w", row.server.name, row.err))
		}
		for _, scenario := range t.scenarios {
			if played := row.cells[scenario.name]; played.err != nil {
				errs = append(errs, fmt.Errorf("%s: %s: %w", row.server.name, scenario.name, played.err))
			}
		}
	}
	return errors.Join(errs...)
}
