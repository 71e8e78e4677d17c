package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// row is the outcome of one fault.
type row struct {
	Fault string `json:"fault"`
	Title string `json:"title"`
	tally
	Seconds float64  `json:"seconds"`         // of wall clock, all runs together
	Notes   []string `json:"notes,omitempty"` // what a reader has to know of the figures
}

// verdict is what the last column says.
func (r row) verdict() string {
	switch {
	case r.Runs == 0:
		return "not run"
	case len(r.Findings) > 0:
		return "BROKEN"
	}
	return "held"
}

// remarks are what a reader has to know of the figures, and the fault's own figures.
func (r row) remarks() []string {
	remarks := slices.Clone(r.Notes)
	for _, what := range slices.Sorted(maps.Keys(r.Counts)) {
		remarks = append(remarks, fmt.Sprintf("%s: %d", what, r.Counts[what]))
	}
	return remarks
}

// outcome is the whole table, and the machine that it was made on.
type outcome struct {
	Date    string  `json:"date"`
	Machine string  `json:"machine"`
	Quick   bool    `json:"quick"`
	Minutes float64 `json:"minutes"`
	Rows    []row   `json:"rows"`
}

func newOutcome(quick bool, rows []row, took time.Duration) outcome {
	machine := fmt.Sprintf("%d CPUs, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	return outcome{Date: time.Now().UTC().Format(time.DateOnly), Machine: machine, Quick: quick, Minutes: took.Minutes(), Rows: rows}
}

var columns = []string{
	"fault", "what happens", "runs", "rotations", "presentations per refresh token", "unpermitted", "chains lost (permitted)", "passwords used",
	"seconds without a valid published token", "verdict",
}

func (r row) cells() []string {
	return []string{
		r.Fault, r.Title, fmt.Sprint(r.Runs), fmt.Sprint(r.Rotations), fmt.Sprint(r.Presented), fmt.Sprint(r.Unpermitted),
		fmt.Sprintf("%d (%d)", r.Lost, r.Permitted), fmt.Sprint(r.Passwords), fmt.Sprintf("%.1f", r.Without), r.verdict(),
	}
}

// print writes the table for a terminal.
func (o outcome) print(out io.Writer) {
	fmt.Fprintf(out, "\n%s; %.0f minutes; %s\n\n", o.Machine, o.Minutes, o.Date)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join(columns, "\t"))
	for _, each := range o.Rows {
		fmt.Fprintln(table, strings.Join(each.cells(), "\t"))
	}
	_ = table.Flush()
	for _, each := range o.Rows {
		for _, note := range each.remarks() {
			fmt.Fprintf(out, "%s: %s\n", each.Fault, note)
		}
		for _, finding := range each.Findings {
			fmt.Fprintf(out, "%s BROKEN: %s\n", each.Fault, finding)
		}
	}
}

// markdown writes the table for a page of documentation.
func (o outcome) markdown(out io.Writer) {
	fmt.Fprintf(out, "%s; %.0f minutes; %s.\n\n", o.Machine, o.Minutes, o.Date)
	fmt.Fprintf(out, "| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for _, each := range o.Rows {
		fmt.Fprintf(out, "| %s |\n", strings.Join(each.cells(), " | "))
	}
	for _, each := range o.Rows {
		for _, note := range append(each.remarks(), each.Findings...) {
			fmt.Fprintf(out, "\n* %s: %s", each.Fault, note)
		}
	}
	fmt.Fprintln(out)
}

// save writes the table to the files that were asked for.
func (o outcome) save(jsonPath, markdownPath string) error {
	if jsonPath != "" {
		encoded, err := json.MarshalIndent(o, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(jsonPath, append(encoded, '\n'), 0o644); err != nil {
			return err
		}
	}
	if markdownPath == "" {
		return nil
	}
	var text strings.Builder
	o.markdown(&text)
	return os.WriteFile(markdownPath, []byte(text.String()), 0o644)
}

// broken counts the faults whose verdict is broken.
func (o outcome) broken() (count int) {
	for _, each := range o.Rows {
		if len(each.Findings) > 0 {
			count++
		}
	}
	return count
}
