//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// How long a condition may take on a machine that is busy with something else, and how often to look.
const (
	patience = 4 * time.Minute
	pause    = 50 * time.Millisecond
)

var getOptions = metav1.GetOptions{}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until the condition holds; in the end, its last error says why it does not.
func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	within(t, patience, pause, what, condition)
}

// within waits for so long, and looks every so often.
func within(t *testing.T, limit, every time.Duration, what string, condition func() error) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s still not: %s: %v", limit, what, err)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(every):
		}
	}
}

// spread is the smallest, the median and the largest of some durations.
func spread(durations []time.Duration) (least, median, most time.Duration) {
	if len(durations) == 0 {
		return 0, 0, 0
	}
	sorted := slices.Sorted(slices.Values(durations))
	return sorted[0], sorted[len(sorted)/2], sorted[len(sorted)-1]
}

// percentile is the smallest of some durations that so many percent of them do not exceed.
func percentile(durations []time.Duration, percent int) time.Duration {
	if len(durations) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(durations))
	return sorted[max(0, (len(sorted)*percent+99)/100-1)]
}

// percentiles are the ones that are told.
func percentiles(durations []time.Duration) string {
	least, _, most := spread(durations)
	return fmt.Sprintf("%s at least, p50 %s, p90 %s, p99 %s, %s at most, of %d",
		least, percentile(durations, 50), percentile(durations, 90), percentile(durations, 99), most, len(durations))
}
