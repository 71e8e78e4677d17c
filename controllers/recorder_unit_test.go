package controllers

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	testclock "k8s.io/utils/clock/testing"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// TestUnitEventsOfANamespaceAreBounded: an author causes an event with every edit.
func TestUnitEventsOfANamespaceAreBounded(t *testing.T) {
	clock, sink := testclock.NewFakePassiveClock(start), events.NewFakeRecorder(100_000)
	recorder := newBoundedRecorder(sink, clock)
	record := func(namespace string, count int) int {
		before := len(sink.Events)
		for range count {
			token := &v1alpha1.FluentToken{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "orders"}}
			recorder.Eventf(token, nil, "Warning", "NotAllowed", "Observe", "%s", "it is not allowed")
		}
		return len(sink.Events) - before
	}
	if got := record("greedy", 5000); got != eventBurst {
		t.Errorf("%d events at once, want %d", got, eventBurst)
	}
	if got := record("shop", 100); got != 100 {
		t.Errorf("another namespace has %d of 100", got)
	}
	clock.SetTime(start.Add(time.Minute))
	if got := record("greedy", 5000); got != 60*eventPace {
		t.Errorf("%d events after a minute, want %d", got, 60*eventPace)
	}
	clock.SetTime(start.Add(-time.Hour))
	if got := record("greedy", 10); got != 0 {
		t.Errorf("%d events after the clock was set back", got)
	}
	clock.SetTime(start.Add(24 * time.Hour))
	for i := range 2 * mostBuckets {
		record(fmt.Sprint("namespace-", i), 1)
		clock.SetTime(clock.Now().Add(time.Second))
	}
	if len(recorder.buckets) > mostBuckets {
		t.Errorf("%d namespaces are remembered", len(recorder.buckets))
	}
}
