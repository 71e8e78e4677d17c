package controllers

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestLasting lets each failure last for ten minutes of the turned clock and end, and prints what was measured as a
// Markdown table.
func TestLasting(t *testing.T) {
	t.Parallel()
	var table lastingTable
	t.Cleanup(func() { t.Log(table.markdown()) })
	for group, failures := range lastingGroups(t) {
		for name, failure := range failures {
			if failure.starts == nil {
				failure.starts = lastingStarts
			}
			for _, from := range failure.starts {
				t.Run(group+"/"+name+"/"+from.name, func(t *testing.T) {
					t.Parallel()
					o := newOrdeal(t, failure, from)
					o.arrive()
					o.endure()
					o.recover()
					table.add(group, name, o)
					o.judge()
				})
			}
		}
	}
}

// lastingGroups are all failures, by where they are and by name.
func lastingGroups(t *testing.T) map[string]map[string]lastingFailure {
	t.Helper()
	return map[string]map[string]lastingFailure{
		"endpoint": lastingReplies(), "network": lastingNetwork(t), "process": lastingProcess(), "cluster": lastingCluster(),
		"disk": lastingDisk(), "credentials": lastingCredentials(),
	}
}

// lastingTable collects the figures of all failures.
type lastingTable struct {
	mu   sync.Mutex
	rows []lastingRow
}

type lastingRow struct {
	group, name, from string
	cells             []string
	said              []lastingWords
}

func (l *lastingTable) add(group, name string, o *ordeal) {
	steady, atLast := o.rates()
	_, presented := o.rogue.seen()
	ready := "was True all the time"
	if o.ready != 0 || slices.ContainsFunc(o.said, lastingWords.isUnready) {
		ready = seconds(o.ready)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows = append(l.rows, lastingRow{group: group, name: name, from: o.from.name, said: o.said, cells: []string{
		ready, seconds(o.after), fmt.Sprint(steady), fmt.Sprint(atLast), fmt.Sprint(o.kubernetesRate()), seconds(o.held),
		fmt.Sprint(presented),
	}})
}

func seconds(span time.Duration) string {
	if span < 0 {
		return "never"
	}
	return fmt.Sprintf("%.0f s", span.Seconds())
}

func (l *lastingTable) markdown() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.SortFunc(l.rows, func(a, b lastingRow) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.name, b.name), cmp.Compare(a.from, b.from))
	})
	var out strings.Builder
	fmt.Fprint(&out, "\n| failure, 10 minutes | begins | end to Ready | end to a new token | token host, requests a minute "+
		"| in the last minute before the expiry | Kubernetes API, requests a minute | longest pass "+
		"| a refresh token presented | conditions meanwhile |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, row := range l.rows {
		cells := strings.Join(row.cells, " | ")
		fmt.Fprintf(&out, "| %s: %s | %s | %s | %s |\n", row.group, row.name, row.from, cells, saidInCell(row.said))
	}
	return out.String()
}

// saidInCell is what the conditions said in one cell of a Markdown table: those that said the same at the same time
// together.
func saidInCell(said []lastingWords) string {
	var lines []string
	for i := 0; i < len(said); {
		first, kinds := said[i], ""
		for ; i < len(said) && said[i].after == first.after && said[i].because() == first.because(); i++ {
			kinds += fmt.Sprintf(" %s=%s", said[i].kind, said[i].status)
		}
		lines = append(lines, fmt.Sprintf("+%s%s %s", first.after.Round(time.Second), kinds, first.because()))
	}
	return strings.ReplaceAll(strings.Join(lines, "<br>"), "|", "\\|")
}

func TestUnitTally(t *testing.T) {
	every := func(pace time.Duration, count int) []time.Time {
		var at []time.Time
		for i := range count {
			at = append(at, start.Add(time.Duration(i)*pace))
		}
		return at
	}
	for name, test := range map[string]struct {
		at   []time.Time
		want int
		why  string
	}{
		"nothing":            {nil, 0, "nothing happened"},
		"every 15 s":         {every(15*time.Second, 9), 4, "a minute ends before the fifth"},
		"every 14 s":         {every(14*time.Second, 9), 5, "the fifth is in the minute of the first"},
		"a burst":            {every(time.Millisecond, 7), 7, "all are in one minute"},
		"after the span":     {[]time.Time{start.Add(time.Hour)}, 0, "it is not looked at"},
		"cut off at its end": {every(20*time.Minute-time.Second, 2), 1, "they are far apart"},
		"before the span":    {[]time.Time{start.Add(-time.Second)}, 0, "it came before"},
	} {
		counting := tally{at: test.at}
		if got := counting.most(start, start.Add(30*time.Minute), func(time.Time) bool { return true }); got != test.want {
			t.Errorf("%s: %d a minute, want %d: %s", name, got, test.want, test.why)
		}
	}
}
