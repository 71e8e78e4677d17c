package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// source is the data source that is chosen at the top of the dashboard.
var source = common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}

const (
	good, warn, bad = "green", "orange", "red"
	third, half     = 8, 12 // of the 24 columns
)

// newDashboard is what both dashboards begin with.
func newDashboard(title, uid, description string) *dashboard.DashboardBuilder {
	return dashboard.NewDashboardBuilder(title).Uid(uid).Description(description).
		Tags([]string{"fluent-credential-operator"}).Readonly().Refresh("30s").Time("now-6h", "now").
		Timezone(common.TimeZoneBrowser).Tooltip(dashboard.DashboardCursorSyncCrosshair).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus"))
}

// latest is a query for the value of this moment.
func latest(expression, legend string) *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().Datasource(source).Expr(expression).LegendFormat(legend).Instant()
}

// over is a query for a course in time.
func over(expression, legend string) *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().Datasource(source).Expr(expression).LegendFormat(legend).Range()
}

// refID names the queries of a panel: A, B, C …
func refID(i int) string { return string(rune('A' + i)) }

// steps are the colours of a value: the first below every limit.
func steps(first string, limits ...dashboard.Threshold) cog.Builder[dashboard.ThresholdsConfig] {
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).
		Steps(append([]dashboard.Threshold{{Color: first}}, limits...))
}

func from(value float64, color string) dashboard.Threshold {
	return dashboard.Threshold{Value: &value, Color: color}
}

// number is one figure of now.
func number(title, description, expression string, colors cog.Builder[dashboard.ThresholdsConfig]) *stat.PanelBuilder {
	return stat.NewPanelBuilder().Title(title).Description(description).Datasource(source).Height(4).Span(4).
		WithTarget(latest(expression, "").RefId(refID(0))).Thresholds(colors).ColorMode(common.BigValueColorModeBackground).
		GraphMode(common.BigValueGraphModeNone).NoValue("–")
}

// duration is a figure in seconds.
func duration(title, description, expression string, colors cog.Builder[dashboard.ThresholdsConfig]) *stat.PanelBuilder {
	return number(title, description, expression, colors).Unit(units.Seconds)
}

// curve is a plot of a course in time.
func curve(title, description, unit string, span uint32, queries ...*prometheus.DataqueryBuilder) *timeseries.PanelBuilder {
	panel := timeseries.NewPanelBuilder().Title(title).Description(description).Datasource(source).Unit(unit).Height(8).Span(span).
		LineWidth(1).FillOpacity(8).ShowPoints(common.VisibilityModeNever)
	for i, query := range queries {
		panel = panel.WithTarget(query.RefId(refID(i)))
	}
	return panel
}

// yesNo shows 1 and 0 as words in their colours.
func yesNo(yes, no string) []dashboard.ValueMapping {
	result := func(text, color string) dashboard.ValueMappingResult {
		return dashboard.ValueMappingResult{Text: &text, Color: &color}
	}
	return []dashboard.ValueMapping{{ValueMap: &dashboard.ValueMap{
		Type:    dashboard.MappingTypeValueToText,
		Options: map[string]dashboard.ValueMappingResult{"1": result("yes", yes), "0": result("no", no)},
	}}}
}
