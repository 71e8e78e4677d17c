package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// this is a metric of the credential that is chosen.
func this(metric string) string {
	return "max by (namespace, name) (fluent_credential_" + metric + `{namespace="$namespace", name="$name"})`
}

// credential is one credential in depth.
func credential() *dashboard.DashboardBuilder {
	board := newDashboard("FluentCredential: one in depth", credentialUID, "The life of one credential: what is wrong, since when, and until when.").
		WithVariable(choice("namespace", "label_values(fluent_credential_ready, namespace)")).
		WithVariable(choice("name", `label_values(fluent_credential_ready{namespace="$namespace"}, name)`)).
		WithRow(dashboard.NewRowBuilder("$namespace/$name now"))
	until := func(metric string) string { return this(metric) + " - time()" }
	for _, figure := range []cog.Builder[dashboard.Panel]{
		number("Ready", "Workloads have a token that is valid now.", this("ready"), steps(bad, from(1, good))).Mappings(yesNo(good, bad)),
		number("Renewable", "The next refresh is expected to work without a person.", this("renewable"), steps(warn, from(1, good))).
			Mappings(yesNo(good, warn)),
		number("Stalled", "Manual action is needed.", this("stalled"), steps(good, from(1, warn))).Mappings(yesNo(warn, good)),
		duration("Life left", "Of the published token.", until("token_expiration_timestamp_seconds"), steps(bad, from(1, warn), from(300, good))),
		duration("Refresh in", "Below zero: it is overdue.", until("token_next_refresh_timestamp_seconds"), steps(warn, from(0, good))),
		number("Failures in a row", "", this("failures"), steps(good, from(1, warn), from(3, bad))),
		duration("Tried again in", "The back-off; nothing where it is not backing off.", until("retry_timestamp_seconds"), steps("blue")),
		duration("Login held back for", "By the login guard; nothing where it is not.", until("login_barred_until_timestamp_seconds"), steps(warn)),
		duration("Reply lost ago", "Within the last ten exchanges.", "time() - "+this("reply_lost_timestamp_seconds"), steps(warn, from(3600, good))),
	} {
		board = board.WithPanel(figure)
	}
	return board.WithRow(dashboard.NewRowBuilder("Over time")).
		WithPanel(causes()).
		WithPanel(curve("Life left", "A saw with even teeth is a healthy credential.", units.Seconds, half,
			over(until("token_expiration_timestamp_seconds"), "life left")).ThresholdsStyle(zeroLine()).Thresholds(steps(bad, from(0, good)))).
		WithPanel(curve("Failures in a row", "", units.Short, half, over(this("failures"), "failures")))
}

// causes is what the condition said, and when.
func causes() *statetimeline.PanelBuilder {
	return statetimeline.NewPanelBuilder().Title("Why").Description("The reasons and the classes are explained in docs/troubleshooting.md.").
		Datasource(source).Height(8).Span(24).ShowValue(common.VisibilityModeNever).
		WithTarget(over(`max by (reason) (fluent_credential_reason{namespace="$namespace", name="$name"})`, "{{reason}}").RefId(refID(0))).
		WithTarget(over(`max by (class) (fluent_credential_failing{namespace="$namespace", name="$name"})`, "class {{class}}").RefId(refID(1))).
		WithTarget(over(this("ready"), "ready").RefId(refID(2))).
		WithTarget(over(this("renewable"), "renewable").RefId(refID(3))).
		Mappings(yesNo("blue", bad))
}

func choice(name, query string) *dashboard.QueryVariableBuilder {
	return dashboard.NewQueryVariableBuilder(name).Label(name).Datasource(source).Query(dashboard.StringOrMap{String: &query}).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc)
}
