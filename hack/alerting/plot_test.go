package alerting

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPlotIsAPicture(t *testing.T) {
	from := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	at := func(second int, value float64) point {
		return point{At: from.Add(time.Duration(second) * time.Second), Value: value}
	}
	sawtooth := plot{
		Title: "life <left>", Unit: "s", From: from, To: from.Add(time.Minute), Marks: []mark{{At: from.Add(time.Second), Text: "now"}},
		Curves: []curve{{Name: "orders & stock", Points: []point{at(0, 20), at(1, 19), at(9, -3), at(10, 20)}}},
	}
	bars := sawtooth
	bars.Bars = []bar{{Name: "alert", Spans: spans([]point{at(1, 1), at(2, 1), at(3, 1), at(20, 1)})}}
	for name, drawn := range map[string]string{"curves": sawtooth.svg(), "bars": bars.svg()} {
		decoder := xml.NewDecoder(strings.NewReader(drawn))
		var err error
		for err == nil {
			_, err = decoder.Token()
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: no XML: %v\n%s", name, err, drawn)
		}
		if strings.Contains(drawn, "NaN") || strings.Contains(drawn, "Inf") {
			t.Errorf("%s: a point is nowhere\n%s", name, drawn)
		}
	}
	if gaps := strings.Count(sawtooth.path(sawtooth.Curves[0].Points, func(float64) float64 { return 0 }), "M"); gaps != 2 {
		t.Errorf("the curve has %d parts, want 2: nothing was measured in between", gaps)
	}
	if count := len(bars.Bars[0].Spans); count != 2 {
		t.Errorf("the bar has %d spans, want 2", count)
	}
}

// plot draws what Prometheus has seen, and holds that there is something to draw.
func (s *stage) plot() {
	s.t.Helper()
	begin := s.turns[0].At.Add(-3 * time.Second)
	frame := plot{From: begin, To: time.Now(), Marks: s.turns}
	lives, alerts, verdicts := frame, frame, frame
	lives.Title, lives.Unit = "Life left of each token (panel «Life left» of the fleet)", "s"
	lives.Curves = s.curves(`bottomk(20, max by (namespace, name) (fluent_credential_token_expiration_timestamp_seconds{name!="paused"}) - time())`,
		"name", begin)
	verdicts.Title, verdicts.Unit = "Exchanges by verdict (panel «Exchanges by verdict» of the fleet)", "/s"
	verdicts.Curves = s.curves(`sum by (verdict) (rate(fluent_credential_exchanges_total[10s])) > 0`, "verdict", begin)
	alerts.Title = "Alerts that fire, with their times cut short for this test"
	for _, one := range byName(s.curves(`max by (alertname) (ALERTS{alertstate="firing"})`, "alertname", begin)) {
		alerts.Bars = append(alerts.Bars, bar{Name: strings.TrimPrefix(one.Name, "FluentCredential"), Spans: spans(one.Points)})
	}
	for name, drawn := range map[string]plot{"life-left": lives, "alerts": alerts, "verdicts": verdicts} {
		if len(drawn.Curves)+len(drawn.Bars) == 0 {
			s.t.Errorf("there is nothing to plot for %s", name)
		}
		if !*recording {
			continue
		}
		if err := os.WriteFile(filepath.Join(root, "docs", "img", "outage-"+name+".svg"), []byte(drawn.svg()), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
}

// curves are the series of a query since then, named by a label.
func (s *stage) curves(query, label string, then time.Time) []curve {
	s.t.Helper()
	var found []curve
	for _, one := range since(s.t, s.prometheus, query, then) {
		points := slices.DeleteFunc(one.Points, func(p point) bool { return math.IsNaN(p.Value) })
		found = append(found, curve{Name: one.Labels[label], Points: points})
	}
	return byName(found)
}
