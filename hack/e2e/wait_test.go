//go:build e2e

package e2e

import (
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
	for deadline := time.Now().Add(patience); ; {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s still not: %s: %v", patience, what, err)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(pause):
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
