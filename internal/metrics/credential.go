package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
)

// Credential is what one pass has found out of a FluentCredential. A zero time has no series: it would look like 1970, and alert.
type Credential struct {
	API         string // empty where the spec names none
	Reason      string // why it is as it is, out of the closed set of reasons
	Ready       bool
	Renewable   bool
	Stalled     bool
	Expires     time.Time
	NextRefresh time.Time
	Failures    int
	RetryAt     time.Time
	BarredUntil time.Time // of its login
	ReplyLost   time.Time // the last one, as far as it is known
}

// credentials are the series that belong to a FluentCredential.
type credentials struct {
	ready, renewable, stalled, reason      *prometheus.GaugeVec
	expiration, nextRefresh, retry, barred *prometheus.GaugeVec
	failures, lost                         *prometheus.GaugeVec

	mu      sync.Mutex
	reasons map[types.NamespacedName]string // the one that has a series
}

func newCredentials() *credentials {
	return &credentials{
		ready: ready.gauge(), renewable: renewable.gauge(), stalled: stalled.gauge(), reason: reason.gauge(),
		expiration: expiration.gauge(), nextRefresh: nextRefresh.gauge(), retry: retry.gauge(), barred: barred.gauge(),
		failures: failures.gauge(), lost: replyLost.gauge(), reasons: map[types.NamespacedName]string{},
	}
}

func (c *credentials) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		c.ready, c.renewable, c.stalled, c.reason, c.expiration, c.nextRefresh, c.retry, c.barred, c.failures, c.lost,
	}
}

// Observe sets the series of one credential.
func (m *Metrics) Observe(object types.NamespacedName, seen Credential) {
	c := m.credentials
	setBool(c.ready, object, seen.Ready)
	setBool(c.renewable, object, seen.Renewable)
	setBool(c.stalled, object, seen.Stalled)
	setTime(c.expiration, object, seen.Expires)
	setTime(c.nextRefresh, object, seen.NextRefresh)
	setTime(c.retry, object, seen.RetryAt)
	setTime(c.barred, object, seen.BarredUntil)
	c.failures.WithLabelValues(object.Namespace, object.Name).Set(float64(seen.Failures))
	setTime(c.lost, object, seen.ReplyLost)
	c.setReason(object, seen.Reason)
	m.expect(seen.API)
}

// Forget removes the series of a credential that is gone.
func (m *Metrics) Forget(object types.NamespacedName) {
	c := m.credentials
	c.setReason(object, "")
	for _, vec := range []*prometheus.GaugeVec{
		c.ready, c.renewable, c.stalled, c.expiration, c.nextRefresh, c.retry, c.barred, c.failures, c.lost,
	} {
		vec.DeleteLabelValues(object.Namespace, object.Name)
	}
}

// setReason replaces the one reason; empty: none.
func (c *credentials) setReason(object types.NamespacedName, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if before := c.reasons[object]; before != reason && before != "" {
		c.reason.DeleteLabelValues(object.Namespace, object.Name, before)
		delete(c.reasons, object)
	}
	if reason != "" {
		c.reasons[object] = reason
		c.reason.WithLabelValues(object.Namespace, object.Name, reason).Set(1)
	}
}

func setBool(vec *prometheus.GaugeVec, object types.NamespacedName, is bool) {
	value := 0.0
	if is {
		value = 1
	}
	vec.WithLabelValues(object.Namespace, object.Name).Set(value)
}

func setTime(vec *prometheus.GaugeVec, object types.NamespacedName, at time.Time) {
	if at.IsZero() {
		vec.DeleteLabelValues(object.Namespace, object.Name)
		return
	}
	vec.WithLabelValues(object.Namespace, object.Name).Set(float64(at.UnixNano()) / 1e9)
}
