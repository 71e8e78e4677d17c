package controllers

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
)

// The events of a namespace are bounded: each is a request to the Kubernetes API, and client-go keeps it for some
// minutes. An author causes one with every edit that changes what is wrong. What an event reports is in the status,
// too.
const (
	eventBurst  = 1000 // events at once
	eventPace   = 10   // events a second after that
	mostBuckets = 1024 // namespaces that are remembered before full buckets are looked for
)

// boundedRecorder drops events of a namespace that has too many.
type boundedRecorder struct {
	events.EventRecorder
	clock clock.PassiveClock

	mu      sync.Mutex
	buckets map[string]*bucket // by namespace
}

// bucket is a token bucket.
type bucket struct {
	left    float64
	counted time.Time
}

func newBoundedRecorder(recorder events.EventRecorder, clock clock.PassiveClock) *boundedRecorder {
	return &boundedRecorder{EventRecorder: recorder, clock: clock, buckets: map[string]*bucket{}}
}

// Eventf records an event unless its namespace has had too many.
func (r *boundedRecorder) Eventf(
	regarding, related runtime.Object, kind, reason, action, note string, args ...any,
) {
	if object, err := meta.Accessor(regarding); err == nil && !r.take(object.GetNamespace()) {
		return
	}
	r.EventRecorder.Eventf(regarding, related, kind, reason, action, note, args...)
}

func (r *boundedRecorder) take(namespace string) bool {
	now := r.clock.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.buckets[namespace] == nil {
		r.sweep(now)
		r.buckets[namespace] = &bucket{left: eventBurst, counted: now}
	}
	return r.buckets[namespace].take(now)
}

// sweep forgets full buckets: namespaces come and go.
func (r *boundedRecorder) sweep(now time.Time) {
	if len(r.buckets) < mostBuckets {
		return
	}
	for namespace, bucket := range r.buckets {
		if bucket.fill(now); bucket.left >= eventBurst {
			delete(r.buckets, namespace)
		}
	}
}

// fill adds what has come since the last look. A clock that was set back adds nothing.
func (b *bucket) fill(now time.Time) {
	b.left = min(eventBurst, b.left+max(0, now.Sub(b.counted).Seconds())*eventPace)
	b.counted = now
}

func (b *bucket) take(now time.Time) bool {
	b.fill(now)
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
