// Package metrics is every collector of the operator, in one place. No label holds a secret, and the series of a credential go
// with its object.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fluent-credential/operator/internal/token"
)

const namespace = "fluent_credential"

// Metrics are the collectors. The zero value is not ready; use New.
type Metrics struct {
	expiration  *prometheus.GaugeVec
	nextRefresh *prometheus.GaugeVec
	ready       *prometheus.GaugeVec
	exchanges   *prometheus.CounterVec
	duration    *prometheus.HistogramVec
	published   prometheus.Histogram
	commits     prometheus.Counter
	recovered   *prometheus.CounterVec
	journal     *prometheus.CounterVec
	nudges      *prometheus.CounterVec
	restarts    *prometheus.CounterVec
}

// New makes the collectors and registers them.
func New(registry prometheus.Registerer) *Metrics {
	object := []string{"namespace", "name"}
	m := &Metrics{
		expiration:  gauge("token_expiration_timestamp_seconds", "When the newest access token expires, in seconds since 1970.", object),
		nextRefresh: gauge("token_next_refresh_timestamp_seconds", "When the token is due for a refresh, in seconds since 1970.", object),
		ready:       gauge("ready", "Whether workloads have a token that is valid now (condition Ready): 1 or 0.", object),
		exchanges: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "exchanges_total",
			Help: "Exchanges with the token endpoint, by API, grant and verdict."}, []string{"api", "grant", "verdict"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: "exchange_duration_seconds",
			Help:    "From before the request was sent to the whole reply read, by API and grant.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 13)}, []string{"api", "grant"}),
		published: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: "reply_to_published_seconds",
			Help:    "From the reply read to the workload Secret written; an API that kills the old token at refresh makes this an outage.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2, 14)}),
		commits: prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: "commit_retries_total",
			Help: "Writes of a received token to its state Secret that had to be made again."}),
		recovered: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "claims_recovered_total",
			Help: "Claims whose process was gone, by how they were recovered: journal, or lost."}, []string{"how"}),
		journal: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "journal_errors_total",
			Help: "Operations of the journal that failed, and files of it that cannot be used, by kind."}, []string{"kind"}),
		nudges: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "nudges_total",
			Help: "Touches of pods that mount a workload Secret, by result: done, gone, forbidden, failed, dropped."}, []string{"result"}),
		restarts: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "restarts_total",
			Help: "Restarts of workloads because their token changed, by result: done, gone, forbidden, failed."}, []string{"result"}),
	}
	registry.MustRegister(m.expiration, m.nextRefresh, m.ready, m.exchanges, m.duration, m.published, m.commits, m.recovered, m.journal,
		m.nudges, m.restarts)
	return m
}

func gauge(name, help string, labels []string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

// Exchanged counts one exchange.
func (m *Metrics) Exchanged(api string, grant token.Grant, verdict token.Verdict, took time.Duration) {
	m.exchanges.WithLabelValues(api, string(grant), string(verdict)).Inc()
	if verdict != token.Unsent {
		m.duration.WithLabelValues(api, string(grant)).Observe(took.Seconds())
	}
}

// Published observes how long workloads waited for a token that the API had given already.
func (m *Metrics) Published(sinceReply time.Duration) { m.published.Observe(sinceReply.Seconds()) }

// CommitRetried counts a write of a received token that did not succeed at once.
func (m *Metrics) CommitRetried() { m.commits.Inc() }

// Recovered counts a claim that was recovered.
func (m *Metrics) Recovered(how string) { m.recovered.WithLabelValues(how).Inc() }

// JournalFailed counts an operation of the journal that failed, or a file that cannot be used.
func (m *Metrics) JournalFailed(kind string) { m.journal.WithLabelValues(kind).Inc() }

// Nudged counts a touch of a pod.
func (m *Metrics) Nudged(result string) { m.nudges.WithLabelValues(result).Inc() }

// Restarted counts a restart of a workload.
func (m *Metrics) Restarted(result string) { m.restarts.WithLabelValues(result).Inc() }

// Observe sets the gauges of one credential; a zero time removes its series.
func (m *Metrics) Observe(object types.NamespacedName, expires, nextRefresh time.Time, ready bool) {
	setTime(m.expiration, object, expires)
	setTime(m.nextRefresh, object, nextRefresh)
	value := 0.0
	if ready {
		value = 1
	}
	m.ready.WithLabelValues(object.Namespace, object.Name).Set(value)
}

func setTime(vec *prometheus.GaugeVec, object types.NamespacedName, at time.Time) {
	if at.IsZero() {
		vec.DeleteLabelValues(object.Namespace, object.Name)
		return
	}
	vec.WithLabelValues(object.Namespace, object.Name).Set(float64(at.UnixNano()) / 1e9)
}

// Forget removes the series of a credential that is gone.
func (m *Metrics) Forget(object types.NamespacedName) {
	for _, vec := range []*prometheus.GaugeVec{m.expiration, m.nextRefresh, m.ready} {
		vec.DeleteLabelValues(object.Namespace, object.Name)
	}
}
