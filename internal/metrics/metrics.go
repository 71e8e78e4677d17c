// Package metrics is every collector of the operator, in one place. No label holds a secret or takes values without bound, and the
// series of a credential go with its object. definition.go says what each is for.
package metrics

import (
	"math"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fluent-credential/operator/internal/token"
)

// Metrics are the collectors. The zero value is not ready; use New.
type Metrics struct {
	registry      prometheus.Registerer
	credentials   *credentials
	exchanges     *prometheus.CounterVec
	duration      *prometheus.HistogramVec
	published     *prometheus.HistogramVec
	lifeLeft      *prometheus.HistogramVec
	commits       *prometheus.CounterVec
	recovered     *prometheus.CounterVec
	journal       *prometheus.CounterVec
	guard         *prometheus.CounterVec
	revocations   *prometheus.CounterVec
	nudges        *prometheus.CounterVec
	restarts      *prometheus.CounterVec
	policies      *prometheus.GaugeVec
	build         *prometheus.GaugeVec
	consumers     *consumers
	distributions *prometheus.CounterVec
	distributed   *prometheus.HistogramVec
	expected      sync.Map // the APIs that were seen
}

// New makes the collectors and registers them.
func New(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		registry: registry, credentials: newCredentials(), exchanges: exchanges.counter(), duration: duration.histogram(),
		published: published.histogram(), lifeLeft: lifeLeft.histogram(), commits: commits.counter(), recovered: recovered.counter(),
		journal: journal.counter(), guard: guard.counter(), revocations: revocations.counter(),
		nudges: nudges.counter(), restarts: restarts.counter(), policies: policyEnforced.gauge(), build: build.gauge(),
		consumers: &consumers{ready: map[types.NamespacedName]bool{}}, distributions: distributions.counter(), distributed: distributed.histogram(),
	}
	registry.MustRegister(m.credentials, m.consumers)
	registry.MustRegister(m.exchanges, m.duration, m.published, m.lifeLeft, m.commits, m.recovered, m.journal, m.guard, m.revocations,
		m.nudges, m.restarts, m.policies, m.build, m.distributions, m.distributed)
	m.begin()
	return m
}

// begin makes the series whose labels are known beforehand: of a counter that is not there at 0, a rate does not see the first step.
func (m *Metrics) begin() {
	m.commits.WithLabelValues()
	m.published.WithLabelValues()
	m.lifeLeft.WithLabelValues()
	m.distributed.WithLabelValues()
	for vec, values := range map[*prometheus.CounterVec][]string{
		m.recovered:     {"journal", "unsent", "lost"},
		m.journal:       {"reserve", "write", "read", "remove", "quota", "dropped"},
		m.guard:         {Allowed, "Rejected", "Exhausted", "Paced", "InUse", "Spent", "Damaged"},
		m.nudges:        {"done", "gone", "forbidden", "failed", "dropped"},
		m.restarts:      {"done", "gone", "forbidden", "failed"},
		m.distributions: {"done", "failed"},
	} {
		for _, value := range values {
			vec.WithLabelValues(value)
		}
	}
}

// expect makes the counters of an API that a credential uses.
func (m *Metrics) expect(api string) {
	if _, known := m.expected.LoadOrStore(api, true); known || api == "" {
		return
	}
	for _, result := range []string{"revoked", "failed", "kept"} {
		m.revocations.WithLabelValues(api, result)
	}
	for _, grant := range []token.Grant{token.Password, token.RefreshToken, token.AuthorizationCode, token.ClientCredentials} {
		for _, verdict := range token.Verdicts() {
			m.exchanges.WithLabelValues(api, string(grant), string(verdict))
		}
	}
}

// Exchanged counts one exchange.
func (m *Metrics) Exchanged(api string, grant token.Grant, verdict token.Verdict, took time.Duration) {
	m.exchanges.WithLabelValues(api, string(grant), string(verdict)).Inc()
	if verdict != token.Unsent {
		m.duration.WithLabelValues(api, string(grant)).Observe(took.Seconds())
	}
}

// Published observes how long workloads waited for a token that the API had given already.
func (m *Metrics) Published(sinceReply time.Duration) {
	m.published.WithLabelValues().Observe(sinceReply.Seconds())
}

// Replaced observes how much life a token had left when its successor was published.
func (m *Metrics) Replaced(left time.Duration) {
	m.lifeLeft.WithLabelValues().Observe(max(left.Seconds(), 0))
}

// CommitRetried counts a write of a received token that did not succeed at once.
func (m *Metrics) CommitRetried() { m.commits.WithLabelValues().Inc() }

// Recovered counts a claim that was recovered.
func (m *Metrics) Recovered(how string) { m.recovered.WithLabelValues(how).Inc() }

// JournalFailed counts an operation of the journal that failed, or a file that cannot be used.
func (m *Metrics) JournalFailed(kind string) { m.journal.WithLabelValues(kind).Inc() }

// Allowed is the decision of the login guard that lets a login pass; the others are named in package loginguard.
const Allowed = "Allowed"

// Guarded counts a decision of the login guard.
func (m *Metrics) Guarded(decision string) { m.guard.WithLabelValues(decision).Inc() }

// Revoked counts the refresh token of a credential that goes: revoked, failed, or kept.
func (m *Metrics) Revoked(api, result string) { m.revocations.WithLabelValues(api, result).Inc() }

// Nudged counts a touch of a pod.
func (m *Metrics) Nudged(result string) { m.nudges.WithLabelValues(result).Inc() }

// Restarted counts a restart of a workload.
func (m *Metrics) Restarted(result string) { m.restarts.WithLabelValues(result).Inc() }

// CountJournal counts the files of the journal, and the kept ones of them, whenever it is scraped. It is called once.
func (m *Metrics) CountJournal(count func() (int, error), countKept func() int) {
	keptOptions := prometheus.GaugeOpts{Namespace: namespace, Name: kept.Name, Help: kept.Meaning}
	m.registry.MustRegister(prometheus.NewGaugeFunc(keptOptions, func() float64 { return float64(countKept()) }))
	options := prometheus.GaugeOpts{Namespace: namespace, Name: entries.Name, Help: entries.Meaning}
	m.registry.MustRegister(prometheus.NewGaugeFunc(options, func() float64 {
		found, err := count()
		if err != nil {
			return math.NaN()
		}
		return float64(found)
	}))
}

// PolicyEnforced sets whether an admission policy was in force at the start.
func (m *Metrics) PolicyEnforced(policy string, is bool) {
	m.policies.WithLabelValues(policy).Set(*truth(is))
}

// Build says which version of the operator runs.
func (m *Metrics) Build(version string) { m.build.WithLabelValues(version, runtime.Version()).Set(1) }
