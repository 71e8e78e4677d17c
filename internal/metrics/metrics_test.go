package metrics

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fluent-credential/operator/internal/token"
)

var (
	orders = types.NamespacedName{Namespace: "shop", Name: "orders"}
	stock  = types.NamespacedName{Namespace: "shop", Name: "stock"}
	expiry = time.Date(2026, 1, 5, 10, 30, 0, 500_000_000, time.UTC)
	due    = expiry.Add(-10 * time.Minute)
)

// scraped are the series that a scrape would see, each as a line: name{labels} value; of a histogram the count.
func scraped(t *testing.T, registry prometheus.Gatherer) []string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, label := range metric.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%s", label.GetName(), label.GetValue()))
			}
			value := fmt.Sprintf("%.3f", metric.GetGauge().GetValue()+metric.GetCounter().GetValue())
			if histogram := metric.GetHistogram(); histogram != nil {
				value = fmt.Sprint("count ", histogram.GetSampleCount())
			}
			name := strings.TrimPrefix(family.GetName(), "fluent_credential_")
			lines = append(lines, fmt.Sprintf("%s{%s} %s", name, strings.Join(labels, ","), value))
		}
	}
	slices.Sort(lines)
	return lines
}

// about are the lines that have a label of that value.
func about(lines []string, value string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !strings.Contains(line, "="+value) })
}

// healthy is a credential with a token; tokenless has none yet.
var (
	healthy = Credential{
		API: "fluent", Reason: "TokenPublished", Ready: true, Renewable: true, Expires: expiry, NextRefresh: due,
	}
	tokenless = Credential{API: "fluent", Reason: "LoginLocked", Stalled: true, Failures: 2, Class: "Input", RetryAt: due, BarredUntil: due, ReplyLost: due}
)

// ofOrders are the series of shop/orders with these values; their names come first.
func ofOrders(lines ...string) []string {
	var labeled []string
	for _, line := range lines {
		name, value, _ := strings.Cut(line, " ")
		name, third, _ := strings.Cut(name, "/")
		labels := []string{"name=orders", "namespace=shop"}
		switch {
		case name == "failing":
			labels = append([]string{"class=" + third}, labels...)
		case third != "":
			labels = append(labels, "reason="+third)
		}
		labeled = append(labeled, name+"{"+strings.Join(labels, ",")+"} "+value)
	}
	slices.Sort(labeled)
	return labeled
}

func TestSeriesOfACredential(t *testing.T) {
	expires, refresh := "token_expiration_timestamp_seconds 1767609000.500", "token_next_refresh_timestamp_seconds 1767608400.500"
	good := ofOrders("ready 1.000", "renewable 1.000", "stalled 0.000", "failures 0.000",
		"reason/TokenPublished 1.000", expires, refresh)
	none := ofOrders("ready 0.000", "renewable 0.000", "stalled 1.000", "failures 2.000", "reply_lost_timestamp_seconds 1767608400.500",
		"reason/LoginLocked 1.000", "failing/Input 1.000", "retry_timestamp_seconds 1767608400.500", "login_barred_until_timestamp_seconds 1767608400.500")
	expired := healthy
	expired.Ready, expired.Reason = false, "TokenExpired"
	tests := map[string]struct {
		why  string
		do   func(*Metrics)
		want []string
	}{
		"nothing yet":   {"a credential that was not looked at has no series", func(*Metrics) {}, nil},
		"with a token":  {"in seconds since 1970", func(m *Metrics) { m.Observe(orders, healthy) }, good},
		"without token": {"a time that is none would look like 1970, and alert", func(m *Metrics) { m.Observe(orders, tokenless) }, none},
		"expired": {
			"the expiry stays, so that it can be alerted on", func(m *Metrics) { m.Observe(orders, healthy); m.Observe(orders, expired) },
			ofOrders("ready 0.000", "renewable 1.000", "stalled 0.000", "failures 0.000",
				"reason/TokenExpired 1.000", expires, refresh),
		},
		"token lost":   {"the old times go", func(m *Metrics) { m.Observe(orders, healthy); m.Observe(orders, tokenless) }, none},
		"it recovered": {"so does the back-off", func(m *Metrics) { m.Observe(orders, tokenless); m.Observe(orders, healthy) }, good},
		"again and again": {
			"one series each, however often", func(m *Metrics) {
				for range 100 {
					m.Observe(orders, tokenless)
					m.Observe(orders, healthy)
				}
			}, good,
		},
		"gone":          {"the series go with their object", func(m *Metrics) { m.Observe(orders, healthy); m.Forget(orders) }, nil},
		"gone in need":  {"all of them", func(m *Metrics) { m.Observe(orders, tokenless); m.Forget(orders) }, nil},
		"gone twice":    {"there is nothing left to go", func(m *Metrics) { m.Forget(orders); m.Forget(orders) }, nil},
		"another's end": {"nobody else's go", func(m *Metrics) { m.Observe(orders, healthy); m.Forget(stock) }, good},
		"of a namesake": {"it is in another namespace", func(m *Metrics) {
			m.Observe(orders, healthy)
			m.Forget(types.NamespacedName{Namespace: "test", Name: "orders"})
		}, good},
		"created anew": {"as if it were the first", func(m *Metrics) {
			m.Observe(orders, healthy)
			m.Forget(orders)
			m.Observe(orders, tokenless)
		}, none},
		"beside another": {"each has its own", func(m *Metrics) { m.Observe(stock, tokenless); m.Observe(orders, healthy) }, good},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			registry := prometheus.NewRegistry()
			test.do(New(registry))
			if diff := cmp.Diff(test.want, about(scraped(t, registry), "orders"), cmpEmpty); diff != "" {
				t.Errorf("%s (-want +got)\n%s", test.why, diff)
			}
		})
	}
}

// cmpEmpty takes no lines for the same as none.
var cmpEmpty = cmp.Transformer("lines", func(lines []string) string { return strings.Join(lines, "\n") })

func TestCountsOfExchanges(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := New(registry)
	m.Exchanged("fluent", token.RefreshToken, token.Granted, 50*time.Millisecond)
	m.Exchanged("fluent", token.RefreshToken, token.Granted, 70*time.Millisecond)
	m.Exchanged("fluent", token.RefreshToken, token.Unsent, 0)
	m.Exchanged("oauth2", token.Password, token.LoginRefused, time.Second)
	m.Published(20 * time.Millisecond)
	m.Replaced(10 * time.Minute)
	m.Replaced(-time.Minute)
	m.CommitRetried()
	m.CommitRetried()
	m.Recovered("journal")
	m.JournalFailed("write")
	m.Guarded(Allowed)
	m.CountJournal(func() (int, error) { return 3, nil }, func() int { return 2 })
	m.PolicyEnforced("authors", true)
	m.PolicyEnforced("other", false)
	m.Build("v1.2.3")
	m.Forget(orders)
	m.Distributed(true)
	m.Distributed(false)
	m.AllDistributed(20 * time.Millisecond)
	m.ObserveConsumer(orders, true)
	m.ForgetConsumer(orders)
	want := []string{
		"admission_policy_enforced{policy=authors} 1.000",
		"admission_policy_enforced{policy=other} 0.000",
		"build_info{goversion=" + runtime.Version() + ",version=v1.2.3} 1.000",
		"claims_recovered_total{how=journal} 1.000",
		"claims_recovered_total{how=lost} 0.000",
		"claims_recovered_total{how=unsent} 0.000",
		"commit_retries_total{} 2.000",
		"distributions_total{result=done} 1.000",
		"distributions_total{result=failed} 1.000",
		"exchange_duration_seconds{api=fluent,grant=refresh_token} count 2",
		"exchange_duration_seconds{api=oauth2,grant=password} count 1",
		"exchanges_total{api=fluent,grant=refresh_token,verdict=Granted} 2.000",
		"exchanges_total{api=fluent,grant=refresh_token,verdict=Unsent} 1.000",
		"exchanges_total{api=oauth2,grant=password,verdict=LoginRefused} 1.000",
		"journal_entries{} 3.000",
		"journal_errors_total{kind=dropped} 0.000",
		"journal_errors_total{kind=quota} 0.000",
		"journal_errors_total{kind=read} 0.000",
		"journal_errors_total{kind=remove} 0.000",
		"journal_errors_total{kind=reserve} 0.000",
		"journal_errors_total{kind=write} 1.000",
		"journal_kept_entries{} 2.000",
		"life_left_at_publication_seconds{} count 2",
		"login_guard_decisions_total{decision=Allowed} 1.000",
		"login_guard_decisions_total{decision=Damaged} 0.000",
		"login_guard_decisions_total{decision=Exhausted} 0.000",
		"login_guard_decisions_total{decision=InUse} 0.000",
		"login_guard_decisions_total{decision=Paced} 0.000",
		"login_guard_decisions_total{decision=Rejected} 0.000",
		"login_guard_decisions_total{decision=Spent} 0.000",
		"nudges_total{result=done} 0.000",
		"nudges_total{result=dropped} 0.000",
		"nudges_total{result=failed} 0.000",
		"nudges_total{result=forbidden} 0.000",
		"nudges_total{result=gone} 0.000",
		"reply_to_distributed_seconds{} count 1",
		"reply_to_published_seconds{} count 1",
		"restarts_total{result=done} 0.000",
		"restarts_total{result=failed} 0.000",
		"restarts_total{result=forbidden} 0.000",
		"restarts_total{result=gone} 0.000",
	}
	if diff := cmp.Diff(want, scraped(t, registry)); diff != "" {
		t.Errorf("what was never sent took no time, and what was counted is not forgotten (-want +got)\n%s", diff)
	}
}

// TestCountersOfAnAPIBeginAtZero: a rate does not see the step to 1 of a counter that was not there before.
func TestCountersOfAnAPIBeginAtZero(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := New(registry)
	m.Observe(orders, healthy)
	m.Exchanged("fluent", token.RefreshToken, token.Unknown, time.Second)
	m.Observe(orders, healthy)
	lines := scraped(t, registry)
	for _, want := range []string{
		"exchanges_total{api=fluent,grant=refresh_token,verdict=Unknown} 1.000",
		"exchanges_total{api=fluent,grant=password,verdict=LoginRefused} 0.000",
		"revocations_total{api=fluent,result=kept} 0.000",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("there is no %s in\n%s", want, strings.Join(lines, "\n"))
		}
	}
}

func TestAJournalThatCannotBeReadHasNoCount(t *testing.T) {
	registry := prometheus.NewRegistry()
	New(registry).CountJournal(func() (int, error) { return 0, errors.New("no such directory") }, func() int { return 0 })
	if lines := scraped(t, registry); !slices.Contains(lines, "journal_entries{} NaN") {
		t.Errorf("0 would say that all is well:\n%s", strings.Join(lines, "\n"))
	}
}

// TestNoLabelIsUnbounded: a scrape must not grow with time. Only the names of objects are many, and they go with their objects; every
// other label takes few values, whatever is counted.
func TestNoLabelIsUnbounded(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := New(registry)
	for _, api := range []string{"fluent", "commerceLayer", "nordea", "oauth2"} {
		for _, grant := range []token.Grant{token.Password, token.RefreshToken, token.AuthorizationCode, token.ClientCredentials} {
			for _, verdict := range token.Verdicts() {
				for i := range 20 {
					m.Exchanged(api, grant, verdict, time.Duration(i)*time.Second)
				}
			}
		}
	}
	m.Observe(orders, healthy)
	m.Forget(orders)
	most := len(scraped(t, registry))
	for i := range 1000 {
		object := types.NamespacedName{Namespace: "shop", Name: fmt.Sprint("orders-", i)}
		m.Observe(object, []Credential{healthy, tokenless}[i%2])
		m.Published(time.Duration(i) * time.Millisecond)
		m.CommitRetried()
		m.Forget(object)
	}
	if got := len(scraped(t, registry)); got != most {
		t.Errorf("%d series, and %d after a thousand credentials came and went", most, got)
	}
	if limit := 4*4*len(token.Verdicts()) + 4*4 + 40; most > limit {
		t.Errorf("%d series for every api, grant and verdict, want %d at most", most, limit)
	}
	allowed := []string{
		"api", "class", "decision", "goversion", "grant", "how", "kind", "name", "namespace", "policy", "reason", "result",
		"verdict", "version",
	}
	for name, family := range everything(t) {
		for _, label := range family.labels {
			if !slices.Contains(allowed, label) {
				t.Errorf("%s has the label %s: is it bound?", name, label)
			}
		}
	}
}

// TestNamesFollowTheRules of Prometheus: base units, _total on counters only, a help text.
func TestNamesFollowTheRules(t *testing.T) {
	families := everything(t)
	valid := regexp.MustCompile(`^fluent_credential_[a-z_]+$`)
	for name, family := range families {
		if !valid.MatchString(name) || len(family.help) < 20 {
			t.Errorf("%s: %q", name, family.help)
		}
		if (family.kind == "COUNTER") != strings.HasSuffix(name, "_total") {
			t.Errorf("%s is a %s", name, family.kind)
		}
		if family.kind == "HISTOGRAM" && !strings.HasSuffix(name, "_seconds") {
			t.Errorf("%s has no unit", name)
		}
	}
}

// TestTwoOperatorsInOneProcess have a registry each.
func TestTwoOperatorsInOneProcess(t *testing.T) {
	one, other := prometheus.NewRegistry(), prometheus.NewRegistry()
	New(one).CommitRetried()
	New(other)
	if diff := cmp.Diff(scraped(t, one), scraped(t, other)); diff == "" {
		t.Error("they count together")
	}
}

// TestEveryMetricIsDefined: what is exposed is what Definitions tell of, and docs/metrics.md is made of these.
func TestEveryMetricIsDefined(t *testing.T) {
	exposed := everything(t)
	for _, definition := range Definitions() {
		family, found := exposed[definition.Name]
		if !found {
			t.Errorf("%s is defined and not exposed", definition.Name)
			continue
		}
		delete(exposed, definition.Name)
		slices.Sort(definition.Labels)
		got := Definition{
			Name: definition.Name, Kind: Kind(strings.ToLower(family.kind)), Labels: slices.Compact(slices.Sorted(slices.Values(family.labels))),
			Meaning: family.help, Question: definition.Question, Buckets: definition.Buckets,
		}
		if diff := cmp.Diff(definition, got, cmpEmpty); diff != "" {
			t.Errorf("%s is exposed otherwise (-defined +exposed)\n%s", definition.Name, diff)
		}
		if !strings.HasSuffix(definition.Question, "?") {
			t.Errorf("%s: %q is no question", definition.Name, definition.Question)
		}
	}
	if len(exposed) > 0 {
		t.Errorf("exposed and not defined: %v", slices.Sorted(maps.Keys(exposed)))
	}
}

// TestTheDocumentationIsUpToDate: docs/metrics.md is what people write their alerts from.
func TestTheDocumentationIsUpToDate(t *testing.T) {
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), Table()) {
		t.Errorf("docs/metrics.md does not have the table of the definitions: run \"make generate\"")
	}
}

// everything is every metric, with a series in each.
func everything(t *testing.T) map[string]*family {
	t.Helper()
	registry := prometheus.NewRegistry()
	m := New(registry)
	both := tokenless
	both.Expires, both.NextRefresh = expiry, due
	m.Observe(orders, both)
	m.Exchanged("fluent", token.Password, token.Granted, time.Second)
	m.CountJournal(func() (int, error) { return 0, nil }, func() int { return 0 })
	m.Revoked("fluent", "revoked")
	m.Nudged("done")
	m.Restarted("done")
	m.ObserveConsumer(orders, true)
	m.PolicyEnforced("authors", true)
	m.Build("v1.2.3")
	gathered, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*family{}
	for _, one := range gathered {
		all[one.GetName()] = &family{kind: one.GetType().String(), help: one.GetHelp()}
		for _, metric := range one.GetMetric() {
			for _, label := range metric.GetLabel() {
				all[one.GetName()].labels = append(all[one.GetName()].labels, label.GetName())
			}
		}
	}
	return all
}

type family struct {
	kind, help string
	labels     []string
}
