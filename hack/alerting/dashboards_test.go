package alerting

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// query is one query of a dashboard.
type query struct{ dashboard, panel, expression string }

// readDashboards reads every query of config/grafana.
func readDashboards(t *testing.T) []query {
	t.Helper()
	paths, err := filepath.Glob(root + "/config/grafana/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("there are no dashboards: %v", err)
	}
	var found []query
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var board struct {
			Title  string `json:"title"`
			Panels []struct {
				Title   string `json:"title"`
				Type    string `json:"type"`
				Targets []struct {
					Expr string `json:"expr"`
				} `json:"targets"`
			} `json:"panels"`
		}
		if err := json.Unmarshal(text, &board); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, panel := range board.Panels {
			if panel.Type != "row" && len(panel.Targets) == 0 {
				t.Errorf("%s: the panel %q asks for nothing", path, panel.Title)
			}
			for _, target := range panel.Targets {
				found = append(found, query{board.Title, panel.Title, target.Expr})
			}
		}
	}
	return found
}

func TestDashboardsReadWhatIsThere(t *testing.T) {
	for _, query := range readDashboards(t) {
		if unknown := unknownMetrics(query.expression); len(unknown) > 0 {
			t.Errorf("%s, %s reads %v, which the operator does not expose", query.dashboard, query.panel, unknown)
		}
	}
}

// onStage are the credentials of the staged outage; each of them is looked at in depth.
var onStage = []string{"orders", "carts", "lost", "mistyped", "paused", "locked", "foreign"}

// queryDashboards runs every query of the dashboards on what has happened so far. Each has to return something; of the dashboard of
// one credential, for one of those on the stage at least, because only some are in each kind of trouble.
func (s *stage) queryDashboards() {
	s.t.Helper()
	queries, unanswered := readDashboards(s.t), 0
	for _, query := range queries {
		answered := slices.IndexFunc(onStage, func(name string) bool {
			expression := strings.NewReplacer("$__rate_interval", "40s", "$__range", "2m", "$namespace", namespace, "$name", name).
				Replace(query.expression)
			return slices.ContainsFunc(now(s.t, s.prometheus, expression), func(one series) bool { return !math.IsNaN(one.Last.Value) })
		})
		if answered < 0 {
			unanswered++
			s.t.Errorf("%s, %s: nothing for %s", query.dashboard, query.panel, query.expression)
		}
	}
	s.say("the dashboards have %d queries; %d were not answered", len(queries), unanswered)
}
