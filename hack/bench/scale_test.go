package main

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fluent-credential/operator/hack/authsim"
)

func TestRankCorrelation(t *testing.T) {
	for why, test := range map[string]struct {
		places []float64
		want   float64
	}{
		"in order":                  {[]float64{0, 1, 2, 3, 4}, 1},
		"the other way round":       {[]float64{4, 3, 2, 1, 0}, -1},
		"two neighbours changed":    {[]float64{1, 0, 2, 3, 4}, 0.9},
		"one alone is in its order": {[]float64{0}, 1},
	} {
		if got := rankCorrelation(test.places); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", why, got, test.want)
		}
	}
}

func TestMostInAMinute(t *testing.T) {
	start := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	var served []service
	for _, seconds := range []int{0, 30, 59, 60, 89, 200} {
		served = append(served, service{at: start.Add(time.Duration(seconds) * time.Second)})
	}
	if got := mostInAMinute(served); got != 4 {
		t.Errorf("%d, want the 4 from 30 to 89 s", got)
	}
}

func TestTimesAfterASignal(t *testing.T) {
	start := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	var ledger authsim.Ledger
	for _, milliseconds := range []int{-500, 1200, 1300, 1999, 2100, 20000} {
		ledger.TokenRequests = append(ledger.TokenRequests, authsim.TokenRequest{Time: start.Add(time.Duration(milliseconds) * time.Millisecond)})
	}
	if first, ok := firstAfter(ledger, start); !ok || first.Sub(start) != 1200*time.Millisecond {
		t.Errorf("the first after it came after %s, %t", first.Sub(start), ok)
	}
	if most := mostInASecond(ledger, start); most != 3 {
		t.Errorf("%d in one second, want 3", most)
	}
	if _, ok := firstAfter(ledger, start.Add(time.Hour)); ok {
		t.Error("one came after the last")
	}
}

// TestDeadlines: every credential has a deadline of its own, and the order is none that a list has.
func TestDeadlines(t *testing.T) {
	due := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	when := newDeadlines(1000, due, time.Minute, 20*time.Millisecond)
	places := make([]float64, 1000)
	for i := range places {
		places[i] = float64(when.order[i])
		if life := when.span(i); life.expires.Before(due.Add(time.Minute-time.Second)) || life.refresh != due {
			t.Errorf("credential %d: %+v", i, life)
		}
	}
	if rank := rankCorrelation(places); math.Abs(rank) > 0.1 {
		t.Errorf("the deadlines are in the order of the names: %v", rank)
	}
}

func TestRecast(t *testing.T) {
	now := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	data := map[string][]byte{"state.json": []byte(`{"version":1,"serial":1,"token":{"type":"Bearer"},"refreshToken":"old"}`)}
	got, err := recast(data, "new", span{now, now.Add(time.Minute), now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"refreshToken":"new"`, `"refresh":"2026-01-05T10:01:00Z"`, `"type":"Bearer"`} {
		if !strings.Contains(string(got["state.json"]), part) {
			t.Errorf("no %s in %s", part, got["state.json"])
		}
	}
	if len(got["checksum"]) != 64 {
		t.Errorf("the checksum is %q", got["checksum"])
	}
	if _, err := recast(map[string][]byte{"state.json": []byte(`{}`)}, "new", span{}); err == nil {
		t.Error("a state without a token is recast")
	}
}

func TestPlotIsWellFormed(t *testing.T) {
	for _, drawn := range []chart{
		{title: "a line", isLog: true, lines: []line{{"one", []point{{100, 3}, {50000, 700}}}, {"two", []point{{100, 5}}}}},
		{title: "dots", isDots: true, lines: []line{{"", []point{{0, 0}, {9999, 9998}}}}},
	} {
		svg := drawn.svg()
		decoder := xml.NewDecoder(strings.NewReader(svg))
		for {
			_, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", drawn.title, err)
			}
		}
		if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
			t.Errorf("%s has points that are nowhere", drawn.title)
		}
	}
}

// TestReport: the report is made of what is there, and says nothing of what is not.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	counted := &requests{ByKind: map[string]int{"get secrets": 10}}
	rate := rateFigures{
		Overdue:  overdue{Credentials: 10, Seconds: 1, Rank: 1, Places: []place{{0, 0}, {9, 9}}},
		Operator: turn{Rotations: 80, Seconds: 1, Requests: counted},
		Bare:     []turn{{Rotations: 90, Seconds: 1, Requests: counted}, {Rotations: 110, Seconds: 1, Requests: counted}},
	}
	if err := saveJSON(filepath.Join(dir, "rate.json"), outcome{Figures: rate}); err != nil {
		t.Fatal(err)
	}
	if err := writeReport(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "figures.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "| ratio | 0.80 |") || strings.Contains(string(text), "Fail-over") {
		t.Errorf("the report is\n%s", text)
	}
	if _, err := os.Stat(filepath.Join(dir, "order.svg")); err != nil {
		t.Error(err)
	}
}

// TestFollowAudit: a word that is torn between two looks is counted once.
func TestFollowAudit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	follower := &auditFollower{File: reader}
	line := `{"objectRef":{"resource":"fluentcredentials","subresource":"status"}}` + "\n"
	for cut := range line {
		for _, part := range []string{line[:cut], line[cut:]} {
			if _, err := file.WriteString(part); err != nil {
				t.Fatal(err)
			}
			if _, err := follower.statuses(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got, _ := follower.statuses(); got != len(line) {
		t.Errorf("%d statuses, want %d", got, len(line))
	}
}
