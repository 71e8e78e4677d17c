package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/units"
)

const fleetUID, credentialUID = "fluent-credential-fleet", "fluent-credential-one"

// each is one value for each credential. While the lead changes two replicas may tell of one.
func each(metric string) string { return "max by (namespace, name) (fluent_credential_" + metric + ")" }

// left is the life that is left of each token.
var left = each("token_expiration_timestamp_seconds") + " - time()"

// fleet is all credentials at a glance.
func fleet() *dashboard.DashboardBuilder {
	board := newDashboard("FluentCredentials: the fleet", fleetUID, "Which credentials need somebody, the most urgent first; and how the APIs do.").
		WithRow(dashboard.NewRowBuilder("At a glance"))
	for _, figure := range []cog.Builder[dashboard.Panel]{
		number("Credentials", "All that the operator works on.", "count("+each("ready")+")", steps("blue")),
		number("Without a token", "Workloads have none that is valid now.", "sum(1 - "+each("ready")+")", steps(good, from(1, bad))),
		number("Not renewable", "The next refresh will not work without a person.", "sum(1 - "+each("renewable")+")", steps(good, from(1, warn))),
		number("Stalled", "Manual action is needed.", "sum("+each("stalled")+")", steps(good, from(1, warn))),
		duration("Next expiry", "Of the token that has the least life left.", "min("+left+")", steps(bad, from(1, warn), from(300, good))),
		number("Leading", "Replicas of the operator that lead, or work without leader election.",
			`count(count by (instance) (fluent_credential_ready)) or vector(0)`, steps(bad, from(1, good))),
	} {
		board = board.WithPanel(figure)
	}
	return apis(board.WithPanel(urgency()))
}

// urgency is the table of all credentials: first those without a token, then those that nobody can renew, then by the life left.
func urgency() *table.PanelBuilder {
	life := "(" + left + " or 0 * " + each("ready") + ")"
	columns := []struct{ name, expression string }{
		{"urgency", "2e9 * " + each("ready") + " + 1e9 * " + each("renewable") + " + " + life},
		{"cause", "max by (namespace, name, reason) (fluent_credential_reason)"},
		{"life left", life},
		{"refresh in", each("token_next_refresh_timestamp_seconds") + " - time()"},
		{"failures", each("failures")},
		{"ready", each("ready")},
		{"renewable", each("renewable")},
		{"stalled", each("stalled")},
	}
	renamed, hidden := map[string]string{}, map[string]bool{"Time": true, "Value #A": true, "Value #B": true}
	panel := table.NewPanelBuilder().Title("By urgency").Datasource(source).Height(12).Span(24).
		Description("First who has no token, then whose token nobody can renew, then by the life left. A name leads to the credential in depth.")
	for i, column := range columns {
		renamed["Value #"+refID(i)] = column.name
		panel = panel.WithTarget(latest(column.expression, "").Format(prometheus.PromQueryFormatTable).RefId(refID(i)))
	}
	return dressed(panel.
		WithTransformation(dashboard.DataTransformerConfig{Id: "merge", Options: map[string]any{}}).
		WithTransformation(dashboard.DataTransformerConfig{Id: "sortBy", Options: map[string]any{
			"sort": []map[string]any{{"field": "Value #A"}},
		}}).
		WithTransformation(dashboard.DataTransformerConfig{Id: "organize", Options: map[string]any{
			"renameByName": renamed, "excludeByName": hidden,
			"indexByName": map[string]int{"namespace": 0, "name": 1, "reason": 2, "Value #C": 3, "Value #D": 4},
		}}))
}

// dressed gives the columns their units and colours.
func dressed(panel *table.PanelBuilder) *table.PanelBuilder {
	is := func(column, yes, no string) {
		panel = panel.OverrideByName(column, []dashboard.DynamicConfigValue{
			{Id: "mappings", Value: yesNo(yes, no)}, {Id: "custom.cellOptions", Value: map[string]string{"type": "color-text"}},
		})
	}
	is("ready", good, bad)
	is("renewable", good, warn)
	is("stalled", warn, good)
	for _, column := range []string{"life left", "refresh in"} {
		panel = panel.OverrideByName(column, []dashboard.DynamicConfigValue{{Id: "unit", Value: units.Seconds}})
	}
	return panel.OverrideByName("name", []dashboard.DynamicConfigValue{{Id: "links", Value: []map[string]string{{
		"title": "In depth",
		"url":   "/d/" + credentialUID + "?var-datasource=${datasource}&var-namespace=${__data.fields.namespace}&var-name=${__data.fields.name}",
	}}}})
}

// apis is how the exchanges go, and the operator itself.
func apis(board *dashboard.DashboardBuilder) *dashboard.DashboardBuilder {
	quantile := func(metric, by string) string {
		return "histogram_quantile(0.95, sum by (" + by + "le) (rate(fluent_credential_" + metric + "_bucket[$__rate_interval])))"
	}
	perSecond := func(by, metric string) string {
		return "sum by (" + by + ") (rate(fluent_credential_" + metric + "[$__rate_interval]))"
	}
	return board.WithRow(dashboard.NewRowBuilder("Exchanges")).
		WithPanel(curve("Life left", "Of the twenty tokens that expire first.", units.Seconds, half,
			over("bottomk(20, "+left+")", "{{namespace}}/{{name}}")).ThresholdsStyle(zeroLine()).Thresholds(steps(bad, from(0, good)))).
		WithPanel(curve("Exchanges by verdict", "Everything but Granted is explained in docs/guarantees.md.", units.RequestsPerSecond, half,
			over(perSecond("api, verdict", "exchanges_total")+" > 0", "{{api}} {{verdict}}"))).
		WithPanel(curve("Duration of an exchange, 95 %", "", units.Seconds, third, over(quantile("exchange_duration_seconds", "api, "), "{{api}}"))).
		WithPanel(curve("Reply to published, 95 %", "Where an API kills the old token at refresh, this is an outage.", units.Seconds, third,
			over(quantile("reply_to_published_seconds", ""), "published after"))).
		WithPanel(curve("Life left at publication, median", "How close to expiry the next token comes.", units.Seconds, third,
			over("histogram_quantile(0.5, sum by (le) (rate(fluent_credential_life_left_at_publication_seconds_bucket[$__rate_interval])))", "left"))).
		WithRow(dashboard.NewRowBuilder("The operator")).
		WithPanel(curve("Journal", "Replies that are not in the cluster yet; errors of the disk.", units.Short, third,
			over("sum by (instance) (fluent_credential_journal_entries)", "entries {{instance}}"),
			over(perSecond("kind", "journal_errors_total"), "errors/s: {{kind}}"))).
		WithPanel(curve("Login guard", "Logins that were asked for, and what it decided.", units.RequestsPerSecond, third,
			over(perSecond("decision", "login_guard_decisions_total"), "{{decision}}"))).
		WithPanel(curve("Recovered and retried", "Claims whose process was gone; stores of a token that had to be tried again.", units.Short, third,
			over("sum by (how) (increase(fluent_credential_claims_recovered_total[$__range]))", "recovered: {{how}}"),
			over("sum(increase(fluent_credential_commit_retries_total[$__range]))", "stored late"))).
		WithPanel(curve("Delivery", "Pods that were nudged to read their volumes, workloads that were restarted.", units.RequestsPerSecond, half,
			over(perSecond("result", "nudges_total"), "nudged: {{result}}"), over(perSecond("result", "restarts_total"), "restarted: {{result}}"))).
		WithPanel(curve("Revocations", "Refresh tokens of credentials that were deleted.", units.Short, half,
			over("sum by (api, result) (increase(fluent_credential_revocations_total[$__range]))", "{{api}} {{result}}")))
}

func zeroLine() cog.Builder[common.GraphThresholdsStyleConfig] {
	return common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeLine)
}
