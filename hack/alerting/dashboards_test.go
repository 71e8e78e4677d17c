package alerting

import (
	"encoding/json"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// query is one query of a dashboard.
type query struct{ dashboard, panel, expression string }

// variable is a choice at the top of a dashboard, which Grafana fills with the values of a label.
type variable struct{ dashboard, series, label string }

// board is what is read of a dashboard.
type board struct {
	Title      string `json:"title"`
	Templating struct {
		List []struct {
			Type  string `json:"type"`
			Query string `json:"query"`
		} `json:"list"`
	} `json:"templating"`
	Panels []struct {
		Title   string `json:"title"`
		Type    string `json:"type"`
		Targets []struct {
			Expr string `json:"expr"`
		} `json:"targets"`
		Panels []any `json:"panels"`
	} `json:"panels"`
}

// readBoards reads config/grafana.
func readBoards(t *testing.T) []board {
	t.Helper()
	paths, err := filepath.Glob(root + "/config/grafana/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("there are no dashboards: %v", err)
	}
	boards := make([]board, len(paths))
	for i, path := range paths {
		text, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(text, &boards[i])
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	return boards
}

// queries are those of every panel.
func queries(t *testing.T) []query {
	t.Helper()
	var found []query
	for _, board := range readBoards(t) {
		for _, panel := range board.Panels {
			if panel.Type != "row" && len(panel.Targets) == 0 || len(panel.Panels) > 0 {
				t.Errorf("%s: the panel %q asks for nothing, or hides others, which are not read here", board.Title, panel.Title)
			}
			for _, target := range panel.Targets {
				found = append(found, query{board.Title, panel.Title, target.Expr})
			}
		}
	}
	return found
}

var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

// variables are those that are filled by a query.
func variables(t *testing.T) []variable {
	t.Helper()
	var found []variable
	for _, board := range readBoards(t) {
		for _, one := range board.Templating.List {
			if one.Type != "query" {
				continue
			}
			parts := labelValues.FindStringSubmatch(one.Query)
			if parts == nil {
				t.Fatalf("%s: the variable asks for %s, which is not understood here", board.Title, one.Query)
			}
			found = append(found, variable{board.Title, parts[1], parts[2]})
		}
	}
	return found
}

func TestDashboardsReadWhatIsThere(t *testing.T) {
	for _, query := range queries(t) {
		if unknown := unknownMetrics(query.expression); len(unknown) > 0 {
			t.Errorf("%s, %s reads %v, which the operator does not expose", query.dashboard, query.panel, unknown)
		}
	}
	for _, variable := range variables(t) {
		if unknown := unknownMetrics(variable.series); len(unknown) > 0 {
			t.Errorf("%s chooses from %v, which the operator does not expose", variable.dashboard, unknown)
		}
	}
}

// onStage are the credentials of the staged outage; each of them is looked at in depth.
var onStage = []string{"orders", "carts", "lost", "mistyped", "paused", "locked", "foreign"}

// queryDashboards runs every query of the dashboards on what has happened so far. Each has to return something; of the dashboard of
// one credential, for one of those on the stage at least, because only some are in each kind of trouble.
func (s *stage) queryDashboards() {
	s.t.Helper()
	all, unanswered := queries(s.t), 0
	for _, query := range all {
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
	s.say("the dashboards have %d queries; %d were not answered", len(all), unanswered)
	s.chooseOnDashboards()
}

// chooseOnDashboards holds that every credential on the stage can be chosen.
func (s *stage) chooseOnDashboards() {
	s.t.Helper()
	for _, variable := range variables(s.t) {
		wanted := onStage
		if variable.label == "namespace" {
			wanted = []string{namespace}
		}
		match := strings.ReplaceAll(variable.series, "$namespace", namespace)
		offered := ask[[]string](s.t, s.prometheus, "label/"+variable.label+"/values", url.Values{"match[]": {match}})
		for _, name := range wanted {
			if !slices.Contains(offered, name) {
				s.t.Errorf("%s does not offer %s, but %v, for %s", variable.dashboard, name, offered, variable.label)
			}
		}
	}
}
