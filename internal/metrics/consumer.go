package metrics

import (
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
)

// consumers are the series that belong to FluentTokens; they are made when somebody asks for them.
type consumers struct {
	mu    sync.Mutex
	ready map[types.NamespacedName]bool
}

var consumerDesc = describe(consumerReady)[0]

// Describe sends what the series are.
func (c *consumers) Describe(into chan<- *prometheus.Desc) { into <- consumerDesc }

// Collect sends the series of every FluentToken.
func (c *consumers) Collect(into chan<- prometheus.Metric) {
	c.mu.Lock()
	known := maps.Clone(c.ready)
	c.mu.Unlock()
	for object, is := range known {
		into <- prometheus.MustNewConstMetric(consumerDesc, prometheus.GaugeValue, *truth(is), object.Namespace, object.Name)
	}
}

// ObserveConsumer sets the series of one FluentToken.
func (m *Metrics) ObserveConsumer(object types.NamespacedName, ready bool) {
	m.consumers.mu.Lock()
	defer m.consumers.mu.Unlock()
	m.consumers.ready[object] = ready
}

// ForgetConsumer removes the series of a FluentToken that is gone.
func (m *Metrics) ForgetConsumer(object types.NamespacedName) {
	m.consumers.mu.Lock()
	defer m.consumers.mu.Unlock()
	delete(m.consumers.ready, object)
}

// Distributed counts a publication for a FluentToken.
func (m *Metrics) Distributed(done bool) {
	result := "failed"
	if done {
		result = "done"
	}
	m.distributions.WithLabelValues(result).Inc()
}

// AllDistributed observes how long the last of the consumers waited for a token that the API had given already.
func (m *Metrics) AllDistributed(sinceReply time.Duration) {
	m.distributed.WithLabelValues().Observe(sinceReply.Seconds())
}
