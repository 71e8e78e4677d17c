package controllers

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// Passes are scheduled with timers, which follow the monotonic clock. When the wall clock is set, or a virtual machine
// was paused, a pass that is due at an expiry comes too late, and Ready would be True until then.

const (
	clockLook = 10 * time.Second // the interval between two comparisons of the clocks
	clockStep = 5 * time.Second  // the smallest difference that is acted on; NTP corrects smaller ones gradually
)

// clockWatch compares the wall clock with the monotonic clock.
type clockWatch struct {
	clock clock.PassiveClock
	began time.Time
	drift time.Duration // of the wall clock, at the last look
}

func newClockWatch(by clock.PassiveClock) *clockWatch { return &clockWatch{clock: by, began: by.Now()} }

// hasStepped reports whether the wall clock was set since the last look.
func (c *clockWatch) hasStepped() bool {
	drift := c.clock.Now().Round(0).Sub(c.began.Round(0)) - c.clock.Since(c.began)
	step := (drift - c.drift).Abs()
	c.drift = drift
	return step >= clockStep
}

// clockSteps is a source that enqueues all objects of a kind when the wall clock was set.
func clockSteps(reader client.Reader, by clock.PassiveClock, list client.ObjectList) source.Source {
	start := func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		watch := newClockWatch(by)
		ticker := time.NewTicker(clockLook)
		go func() {
			defer ticker.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
				}
				if watch.hasStepped() {
					enqueueListed(ctx, reader, list, queue.Add)
				}
			}
		}()
		return nil
	}
	return source.Func(start)
}

// enqueueListed enqueues all objects that the cache has.
func enqueueListed(ctx context.Context, reader client.Reader, list client.ObjectList, add func(reconcile.Request)) {
	ctrl.LoggerFrom(ctx).Info("The wall clock was set, or the machine was paused: all objects are examined")
	if err := reader.List(ctx, list); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "The objects could not be listed after the wall clock was set")
		return
	}
	_ = meta.EachListItem(list, func(object runtime.Object) error { // a list of ours always has items
		if listed, ok := object.(client.Object); ok {
			add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(listed)})
		}
		return nil
	})
}
