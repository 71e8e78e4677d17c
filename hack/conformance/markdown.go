package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// The part of a document that a run writes.
const (
	beginMark = "<!-- begin: written by make conformance -->"
	endMark   = "<!-- end: written by make conformance -->"
)

// save replaces what is between the marks of a document.
func (t *table) save(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(text), beginMark)
	_, after, ends := strings.Cut(rest, endMark)
	if !begins || !ends {
		return errors.New(path + " has no place for the table: " + beginMark + " … " + endMark)
	}
	return os.WriteFile(path, []byte(before+beginMark+"\n\n"+t.markdown()+"\n"+endMark+after), 0o644)
}

// markdown is the table, what each scenario shows, and what was seen of each server.
func (t *table) markdown() string {
	var text strings.Builder
	t.writeResults(&text)
	fmt.Fprintln(&text)
	t.writeTotals(&text)
	fmt.Fprintln(&text)
	t.writeNotes(&text)
	return text.String()
}

// writeResults has the scenarios downwards: there are more of them than fit across a page.
func (t *table) writeResults(text *strings.Builder) {
	fmt.Fprintf(text, "| scenario | %s |\n|---|%s\n", t.across(" | ", func(r row) string { return r.server.name }), strings.Repeat("---|", len(t.rows)))
	for _, scenario := range t.scenarios {
		fmt.Fprintf(text, "| `%s` | %s |\n", scenario.name, t.across(" | ", func(r row) string { return r.of(scenario.name) }))
	}
}

// writeTotals is what each server has counted over all scenarios, without what the judge did itself.
func (t *table) writeTotals(text *strings.Builder) {
	fmt.Fprintln(text, "| server | version | presented again, it | granted | tokens presented | codes presented | reused | logins refused | clients refused | revoked | took |")
	fmt.Fprintln(text, "|---|---|---|---|---|---|---|---|---|---|---|")
	for _, row := range t.rows {
		if row.version == "" {
			fmt.Fprintf(text, "| %s | not installed | | | | | | | | | |\n", row.server.name)
			continue
		}
		told := row.total
		fmt.Fprintf(text, "| %s | %s | %s | %d | %d | %d | %d | %d | %d | %d | %s |\n", row.server.name, row.version, row.server.again,
			told.Granted, told.Presented, told.Codes, told.Reused, told.RefusedLogins, told.RefusedClients, told.Revoked,
			row.took.Round(time.Second))
	}
}

// writeNotes are the notes of the scenarios.
func (t *table) writeNotes(text *strings.Builder) {
	fmt.Fprintln(text, "| server | scenario | noted |\n|---|---|---|")
	for _, row := range t.rows {
		for _, scenario := range t.scenarios {
			if note := row.cells[scenario.name].note; note != "" {
				fmt.Fprintf(text, "| %s | `%s` | %s |\n", row.server.name, scenario.name, note)
			}
		}
	}
}
