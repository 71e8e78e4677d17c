package metrics

import (
	"maps"
	"math"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
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
	Class       string // the obstacle's class; empty if there is none
	RetryAt     time.Time
	BarredUntil time.Time // of its login
	ReplyLost   time.Time // the last one, as far as it is known
}

// compact is what is kept of a Credential: ten thousand credentials have a hundred thousand series, which are made when somebody
// asks for them.
type compact struct {
	reason, class                             string
	expires, nextRefresh, retry, barred, lost moment
	failures                                  int32
	ready, renewable, stalled                 bool
}

// moment is a time in nanoseconds since 1970; zero: none.
type moment int64

func momentOf(at time.Time) moment {
	if at.IsZero() {
		return 0
	}
	return moment(at.UnixNano())
}

// credentials are the series that belong to FluentCredentials.
type credentials struct {
	mu    sync.Mutex
	known map[types.NamespacedName]compact
}

func newCredentials() *credentials { return &credentials{known: map[types.NamespacedName]compact{}} }

// ofCredential are the definitions with their descriptions, in the order in which series makes the values.
var ofCredential = describe(ready, renewable, stalled, failures, expiration, nextRefresh, retry, barred, replyLost)

var (
	reasonDesc = describe(reason)[0]
	classDesc  = describe(class)[0]
)

func describe(definitions ...Definition) []*prometheus.Desc {
	described := make([]*prometheus.Desc, len(definitions))
	for i, d := range definitions {
		described[i] = prometheus.NewDesc(prometheus.BuildFQName(namespace, "", d.Name), d.Meaning, d.Labels, nil)
	}
	return described
}

// Describe sends what the series are.
func (c *credentials) Describe(into chan<- *prometheus.Desc) {
	into <- reasonDesc
	into <- classDesc
	for _, desc := range ofCredential {
		into <- desc
	}
}

// Collect sends the series of every credential.
func (c *credentials) Collect(into chan<- prometheus.Metric) {
	for object, seen := range c.copied() {
		for i, value := range seen.values() {
			if value != nil {
				into <- prometheus.MustNewConstMetric(ofCredential[i], prometheus.GaugeValue, *value, object.Namespace, object.Name)
			}
		}
		if seen.reason != "" {
			into <- prometheus.MustNewConstMetric(reasonDesc, prometheus.GaugeValue, 1, object.Namespace, object.Name, seen.reason)
		}
		if seen.class != "" {
			into <- prometheus.MustNewConstMetric(
				classDesc, prometheus.GaugeValue, 1, object.Namespace, object.Name, seen.class)
		}
	}
}

// copied lets the passes go on while somebody who reads slowly is answered.
func (c *credentials) copied() map[types.NamespacedName]compact {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.known)
}

// values are in the order of ofCredential; nil: no series.
func (c compact) values() []*float64 {
	return []*float64{
		truth(c.ready), truth(c.renewable), truth(c.stalled), ptr.To(float64(c.failures)),
		c.expires.seconds(), c.nextRefresh.seconds(), c.retry.seconds(), c.barred.seconds(), c.lost.seconds(),
	}
}

func truth(is bool) *float64 {
	if is {
		return ptr.To(1.0)
	}
	return ptr.To(0.0)
}

func (m moment) seconds() *float64 {
	if m == 0 {
		return nil
	}
	return ptr.To(float64(m) / 1e9)
}

// Observe sets the series of one credential.
func (m *Metrics) Observe(object types.NamespacedName, seen Credential) {
	m.credentials.set(object, compact{
		reason: seen.Reason, class: seen.Class, ready: seen.Ready, renewable: seen.Renewable, stalled: seen.Stalled,
		failures: int32(min(seen.Failures, math.MaxInt32)), expires: momentOf(seen.Expires), nextRefresh: momentOf(seen.NextRefresh),
		retry: momentOf(seen.RetryAt), barred: momentOf(seen.BarredUntil), lost: momentOf(seen.ReplyLost),
	})
	m.expect(seen.API)
}

func (c *credentials) set(object types.NamespacedName, seen compact) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[object] = seen
}

// Forget removes the series of a credential that is gone.
func (m *Metrics) Forget(object types.NamespacedName) {
	m.credentials.mu.Lock()
	defer m.credentials.mu.Unlock()
	delete(m.credentials.known, object)
}
