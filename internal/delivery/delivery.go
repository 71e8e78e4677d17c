// Package delivery brings a published token to its consumers sooner than they would find it by themselves: it nudges the pods that
// mount the workload Secret, and rolls the workloads that read it from an environment variable.
//
// All of it is best effort and happens after the fact: a publication is put into a queue, and whatever becomes of it there delays no
// rotation and fails none. What is in the queue when the process ends is lost; the kubelet finds the Secret by itself, within a minute
// or so.
package delivery

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// Publication is a workload Secret that was written a moment ago.
type Publication struct {
	// Owner is the object that the Secret was written for; events are told of it.
	Owner    client.Object
	Delivery v1alpha1.DeliverySpec
	Secret   string
	Serial   int64
	// Changed says that consumers had another token before: not at the first publication, nor after a repair.
	Changed bool
}

// Metrics count what was done, by result: one of the Result constants.
type Metrics interface {
	// Nudged counts a touch of a pod.
	Nudged(result string)
	// Restarted counts a restart of a workload.
	Restarted(result string)
}

// What becomes of a nudge or a restart.
const (
	ResultDone      = "done"
	ResultGone      = "gone"      // there is no such pod or workload
	ResultForbidden = "forbidden" // the operator lacks the permission, or a policy is against it
	ResultFailed    = "failed"
	ResultDropped   = "dropped" // too much was waiting already
)

// Options are what a Deliverer works with.
type Options struct {
	Client   client.Client
	Core     cache.Getter // of the group "" and the version v1
	Recorder events.EventRecorder
	Metrics  Metrics
	// Namespaces are the ones in which pods are looked for; none means all.
	Namespaces []string
	// Clock is the real one where it is nil.
	Clock clock.WithTicker
	// Recheck is how often the permission is looked up; zero means every five minutes.
	Recheck time.Duration
}

// Deliverer delivers. Only the leader's runs.
type Deliverer struct {
	Options

	scopes   map[string]*scope
	nudges   workqueue.TypedDelayingInterface[touch]
	restarts workqueue.TypedDelayingInterface[workload]
	limit    flowcontrol.RateLimiter

	mu      sync.Mutex
	rolls   map[workload]*roll
	newest  map[types.NamespacedName]int64 // the serial that a Secret's pods are being touched for
	refused map[types.UID]bool             // who was told that nudging is not permitted
}

// New makes a Deliverer.
func New(options Options) *Deliverer {
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	if options.Recheck == 0 {
		options.Recheck = recheck
	}
	d := &Deliverer{
		Options: options, scopes: map[string]*scope{},
		nudges:   workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[touch]{Clock: options.Clock}),
		restarts: workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[workload]{Clock: options.Clock}),
		limit:    flowcontrol.NewTokenBucketRateLimiterWithClock(touchRate, touchBurst, options.Clock),
		rolls:    map[workload]*roll{}, newest: map[types.NamespacedName]int64{}, refused: map[types.UID]bool{},
	}
	for _, namespace := range options.Namespaces {
		d.scopes[namespace] = newScope(namespace)
	}
	if len(d.scopes) == 0 {
		d.scopes[""] = newScope("")
	}
	return d
}

// recheck is how often the permission to nudge is looked up.
const recheck = 5 * time.Minute

// most is how many nudges may wait. More than that are dropped: their pods find the token by themselves.
const most = 10000

// Deliver takes a publication and returns at once.
func (d *Deliverer) Deliver(p Publication) {
	if p.Delivery.WantsNudge() {
		d.nudge(p)
	}
	if !p.Changed {
		return
	}
	for _, reference := range p.Delivery.Restart {
		d.restart(p, reference)
	}
}

// NeedLeaderElection says that only the leader delivers: nobody else publishes.
func (d *Deliverer) NeedLeaderElection() bool { return true }

// Start delivers until the context ends.
func (d *Deliverer) Start(ctx context.Context) error {
	var running wait.Group
	for _, scope := range d.scopes {
		running.StartWithContext(ctx, func(ctx context.Context) {
			wait.UntilWithContext(ctx, func(ctx context.Context) { d.check(ctx, scope) }, d.Recheck)
			scope.halt()
		})
	}
	for range workers {
		running.StartWithContext(ctx, func(ctx context.Context) { work(ctx, d.nudges, d.touch) })
	}
	running.StartWithContext(ctx, func(ctx context.Context) { work(ctx, d.restarts, d.roll) })
	<-ctx.Done()
	d.nudges.ShutDown()
	d.restarts.ShutDown()
	running.Wait()
	return nil
}

// workers is how many nudges are made at a time: a Secret that many pods mount does not hold up the others.
const workers = 4

// work takes from a queue until it is shut down.
func work[T comparable](ctx context.Context, queue workqueue.TypedInterface[T], do func(context.Context, T)) {
	for {
		item, shutdown := queue.Get()
		if shutdown {
			return
		}
		if ctx.Err() == nil {
			do(ctx, item)
		}
		queue.Done(item)
	}
}

// scope is where the pods of a namespace are looked for; nil: nowhere.
func (d *Deliverer) scope(namespace string) *scope {
	if all, ok := d.scopes[""]; ok {
		return all
	}
	return d.scopes[namespace]
}

func resultOf(err error) string {
	switch {
	case err == nil:
		return ResultDone
	case apierrors.IsNotFound(err):
		return ResultGone
	case apierrors.IsForbidden(err):
		return ResultForbidden
	}
	return ResultFailed
}

// warn tells the people who look at the owner of a Secret.
func (d *Deliverer) warn(about client.Object, reason, action, format string, values ...any) {
	d.Recorder.Eventf(about, nil, corev1.EventTypeWarning, reason, action, format, values...)
}
