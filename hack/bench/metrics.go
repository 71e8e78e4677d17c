package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fluent-credential/operator/hack/localcluster"
)

// sample is one line of the metrics that the operator serves.
type sample struct {
	name   string
	labels string // as they are written, without the braces
	value  float64
}

// metrics are what the operator served at one time.
type metrics []sample

func (b *bench) scrape(ctx context.Context) (metrics, error) {
	text, err := localcluster.Get(ctx, b.operator.MetricsURL)
	if err != nil {
		return nil, fmt.Errorf("the operator's metrics: %w", err)
	}
	return parseMetrics(text)
}

// parseMetrics reads the text format of Prometheus, without timestamps, which the operator does not write.
func parseMetrics(text []byte) (metrics, error) {
	var found metrics
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		cut := strings.LastIndexByte(line, ' ')
		if cut < 0 || strings.HasPrefix(line, "#") {
			continue
		}
		value, err := strconv.ParseFloat(line[cut+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("metrics: %q: %w", line, err)
		}
		name, labels, _ := strings.Cut(line[:cut], "{")
		found = append(found, sample{name: name, labels: strings.TrimSuffix(labels, "}"), value: value})
	}
	return found, lines.Err()
}

// sum adds up the samples of a name that have all of the labels, each as name="value".
func (m metrics) sum(name string, labels ...string) float64 {
	total := 0.0
	for _, value := range m.values(name, labels...) {
		total += value
	}
	return total
}

// values are those of the samples of a name that have all of the labels, each as name="value".
func (m metrics) values(name string, labels ...string) []float64 {
	var all []float64
	for _, sample := range m {
		if sample.name == name && sample.has(labels) {
			all = append(all, sample.value)
		}
	}
	return all
}

func (s sample) has(labels []string) bool {
	for _, label := range labels {
		if !strings.Contains(s.labels, label) {
			return false
		}
	}
	return true
}

// refreshed counts the refreshes that brought a token.
func (m metrics) refreshed() int {
	return int(m.sum("fluent_credential_exchanges_total", `grant="refresh_token"`, `verdict="Granted"`))
}

// bucket counts the observations up to a bound.
type bucket struct{ bound, count float64 }

// histogram is what was observed between two scrapes.
func histogram(before, after metrics, name string) []bucket {
	var buckets []bucket
	for _, sample := range after {
		if sample.name != name+"_bucket" {
			continue
		}
		_, rest, _ := strings.Cut(sample.labels, `le="`)
		text, _, _ := strings.Cut(rest, `"`)
		bound, err := strconv.ParseFloat(text, 64) // +Inf, too
		if err != nil {
			continue
		}
		buckets = append(buckets, bucket{bound, sample.value - before.sum(sample.name, `le="`+text+`"`)})
	}
	slices.SortFunc(buckets, func(a, b bucket) int { return int(math.Copysign(1, a.bound-b.bound)) })
	return buckets
}

// quantile is interpolated within its bucket, as histogram_quantile of Prometheus does; NaN where nothing was observed.
func quantile(buckets []bucket, q float64) float64 {
	if len(buckets) == 0 || buckets[len(buckets)-1].count == 0 {
		return math.NaN()
	}
	rank := q * buckets[len(buckets)-1].count
	below := bucket{}
	for _, bucket := range buckets {
		if bucket.count >= rank && !math.IsInf(bucket.bound, 1) {
			return below.bound + (bucket.bound-below.bound)*(rank-below.count)/(bucket.count-below.count)
		}
		if !math.IsInf(bucket.bound, 1) {
			below = bucket
		}
	}
	return below.bound
}

// calm is how long no request may have been made for the operator to count as quiet.
const calm = 3 * time.Second

// untilQuiet waits until the operator makes no more requests to the Kubernetes API.
func (b *bench) untilQuiet(ctx context.Context) error {
	last, since := -1.0, time.Now()
	return b.until(ctx, "the operator is quiet", b.patience(), func() (bool, error) {
		now, err := b.scrape(ctx)
		if err != nil {
			return false, err
		}
		if requests := now.sum("rest_client_requests_total"); requests != last {
			last, since = requests, time.Now()
		}
		return time.Since(since) >= calm, nil
	})
}

// untilReady waits until the operator reports every credential as ready.
func (b *bench) untilReady(ctx context.Context) error {
	return b.untilReadyAre(ctx, b.options.credentials)
}

func (b *bench) untilReadyAre(ctx context.Context, count int) error {
	return b.until(ctx, "every credential is ready", b.patience(), func() (bool, error) {
		now, err := b.scrape(ctx)
		return int(now.sum("fluent_credential_ready")) == count, err
	})
}
