package metrics

import (
	"fmt"
	"os"
	"regexp"
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

func TestSeriesOfACredential(t *testing.T) {
	expires, refresh := "token_expiration_timestamp_seconds{name=orders,namespace=shop} 1767609000.500",
		"token_next_refresh_timestamp_seconds{name=orders,namespace=shop} 1767608400.500"
	ready, notReady := "ready{name=orders,namespace=shop} 1.000", "ready{name=orders,namespace=shop} 0.000"
	tests := map[string]struct {
		why  string
		do   func(*Metrics)
		want []string
	}{
		"nothing yet":   {"a credential that was not looked at has no series", func(*Metrics) {}, nil},
		"with a token":  {"in seconds since 1970", func(m *Metrics) { m.Observe(orders, expiry, due, true) }, []string{ready, expires, refresh}},
		"without token": {"a time that is none would look like 1970, and alert", func(m *Metrics) { m.Observe(orders, time.Time{}, time.Time{}, false) }, []string{notReady}},
		"expired": {
			"the expiry stays, so that it can be alerted on", func(m *Metrics) { m.Observe(orders, expiry, due, true); m.Observe(orders, expiry, due, false) },
			[]string{notReady, expires, refresh},
		},
		"token lost": {
			"the old times go", func(m *Metrics) {
				m.Observe(orders, expiry, due, true)
				m.Observe(orders, time.Time{}, time.Time{}, false)
			}, []string{notReady},
		},
		"again and again": {
			"one series each, however often", func(m *Metrics) {
				for range 100 {
					m.Observe(orders, expiry, due, true)
				}
			}, []string{ready, expires, refresh},
		},
		"gone":          {"the series go with their object", func(m *Metrics) { m.Observe(orders, expiry, due, true); m.Forget(orders) }, nil},
		"gone twice":    {"there is nothing left to go", func(m *Metrics) { m.Forget(orders); m.Forget(orders) }, nil},
		"another's end": {"nobody else's go", func(m *Metrics) { m.Observe(orders, expiry, due, true); m.Forget(stock) }, []string{ready, expires, refresh}},
		"of a namesake": {"it is in another namespace", func(m *Metrics) {
			m.Observe(orders, expiry, due, true)
			m.Forget(types.NamespacedName{Namespace: "test", Name: "orders"})
		}, []string{ready, expires, refresh}},
		"created anew": {"as if it were the first", func(m *Metrics) {
			m.Observe(orders, expiry, due, true)
			m.Forget(orders)
			m.Observe(orders, time.Time{}, time.Time{}, false)
		}, []string{notReady}},
		"beside another": {"each has its own", func(m *Metrics) { m.Observe(stock, due, due, false); m.Observe(orders, expiry, due, true) }, []string{ready, expires, refresh}},
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
	m.CommitRetried()
	m.CommitRetried()
	m.Recovered("journal")
	m.JournalFailed("write")
	m.Forget(orders)
	want := []string{
		"claims_recovered_total{how=journal} 1.000",
		"commit_retries_total{} 2.000",
		"exchange_duration_seconds{api=fluent,grant=refresh_token} count 2",
		"exchange_duration_seconds{api=oauth2,grant=password} count 1",
		"exchanges_total{api=fluent,grant=refresh_token,verdict=Granted} 2.000",
		"exchanges_total{api=fluent,grant=refresh_token,verdict=Unsent} 1.000",
		"exchanges_total{api=oauth2,grant=password,verdict=LoginRefused} 1.000",
		"journal_errors_total{kind=write} 1.000",
		"reply_to_published_seconds{} count 1",
	}
	if diff := cmp.Diff(want, scraped(t, registry)); diff != "" {
		t.Errorf("what was never sent took no time, and what was counted is not forgotten (-want +got)\n%s", diff)
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
	most := len(scraped(t, registry))
	for i := range 1000 {
		object := types.NamespacedName{Namespace: "shop", Name: fmt.Sprint("orders-", i)}
		m.Observe(object, expiry.Add(time.Duration(i)*time.Second), due, i%2 == 0)
		m.Published(time.Duration(i) * time.Millisecond)
		m.CommitRetried()
		m.Forget(object)
	}
	if got := len(scraped(t, registry)); got != most {
		t.Errorf("%d series, and %d after a thousand credentials came and went", most, got)
	}
	if limit := 4*4*len(token.Verdicts()) + 4*4 + 10; most > limit {
		t.Errorf("%d series for every api, grant and verdict, want %d at most", most, limit)
	}
	allowed := []string{"api", "grant", "how", "kind", "name", "namespace", "verdict"}
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
	if len(families) < 9 {
		t.Errorf("%d metrics, want all of them", len(families))
	}
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

// TestEveryMetricIsDocumented: docs/metrics.md is what people write their alerts from.
func TestEveryMetricIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range everything(t) {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/metrics.md does not tell of %s", name)
		}
	}
}

// everything is every metric, with a series in each.
func everything(t *testing.T) map[string]*family {
	t.Helper()
	registry := prometheus.NewRegistry()
	m := New(registry)
	m.Observe(orders, expiry, due, true)
	m.Exchanged("fluent", token.Password, token.Granted, time.Second)
	m.Recovered("lost")
	m.JournalFailed("read")
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
