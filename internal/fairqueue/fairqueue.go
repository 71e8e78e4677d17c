// Package fairqueue keeps one namespace from using all workers of a controller. A pass holds its worker for as long as
// the token host, an admission webhook or a slow write takes, and the authors of objects in a namespace can make its
// passes slow. The workqueue of this package hands out the keys of a namespace only while it is within its share; the
// others wait beside the queue, and are queued again as passes of the namespace end. A key that was handed out is never
// taken back: a pass that has made a claim never waits.
//
// The share of a namespace that is alone is all workers but a reserve. While other namespaces have passes in progress,
// it is half of the workers that these leave, and one at least: the first takes half, the second a quarter, and so on,
// so that it takes many namespaces to use up all.
package fairqueue

import (
	"maps"
	"slices"
	"sync"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Queue is a priority queue that divides the workers among namespaces.
type Queue struct {
	priorityqueue.PriorityQueue[reconcile.Request]

	workers int
	reserve int

	mu      sync.Mutex
	running map[string]int                 // passes in progress, by namespace
	total   int                            // passes in progress
	waiting map[string]*line               // keys beside the queue, by namespace
	called  map[reconcile.Request]struct{} // keys that were put back into the queue
	calls   map[string]int                 // the same, counted by namespace
}

var _ priorityqueue.PriorityQueue[reconcile.Request] = &Queue{}

// New returns a constructor for the queue of a controller with that many workers. Reserve is how many of them a
// namespace leaves that is alone.
func New(workers, reserve int) func(
	string, workqueue.TypedRateLimiter[reconcile.Request],
) workqueue.TypedRateLimitingInterface[reconcile.Request] {
	return func(
		controller string, limiter workqueue.TypedRateLimiter[reconcile.Request],
	) workqueue.TypedRateLimitingInterface[reconcile.Request] {
		inner := priorityqueue.New(controller, func(o *priorityqueue.Opts[reconcile.Request]) { o.RateLimiter = limiter })
		return Wrap(inner, workers, reserve)
	}
}

// Wrap divides the workers that read from a queue.
func Wrap(inner priorityqueue.PriorityQueue[reconcile.Request], workers, reserve int) *Queue {
	return &Queue{
		PriorityQueue: inner, workers: workers, reserve: reserve,
		running: map[string]int{}, waiting: map[string]*line{},
		called: map[reconcile.Request]struct{}{}, calls: map[string]int{},
	}
}

// Get returns the next key whose namespace is within its share.
func (q *Queue) Get() (reconcile.Request, bool) {
	key, _, shutdown := q.GetWithPriority()
	return key, shutdown
}

// GetWithPriority returns the next key whose namespace is within its share. Others are set aside until passes of their
// namespaces end.
func (q *Queue) GetWithPriority() (reconcile.Request, int, bool) {
	for {
		key, priority, shutdown := q.PriorityQueue.GetWithPriority()
		if shutdown || q.begin(key, priority) {
			return key, priority, shutdown
		}
		q.PriorityQueue.Done(key)
	}
}

// Done ends a pass, and queues keys that waited for it.
func (q *Queue) Done(key reconcile.Request) {
	q.PriorityQueue.Done(key)
	for _, next := range q.end(key.Namespace) {
		q.AddWithOpts(priorityqueue.AddOpts{Priority: &next.priority}, next.key)
	}
}

// begin counts a pass that is within the share of its namespace, or sets its key aside.
func (q *Queue) begin(key reconcile.Request, priority int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	_, wasCalled := q.called[key]
	if wasCalled {
		delete(q.called, key)
		count(q.calls, key.Namespace, -1)
	}
	line := q.waiting[key.Namespace]
	if q.running[key.Namespace] >= q.share(key.Namespace) {
		if line == nil {
			line = newLine()
			q.waiting[key.Namespace] = line
		}
		line.add(key, priority, wasCalled)
		return false
	}
	if line != nil {
		delete(line.priorities, key) // it was queued once more, and this pass is for both
	}
	count(q.running, key.Namespace, 1)
	q.total++
	return true
}

// share returns how many passes of a namespace may be in progress.
func (q *Queue) share(namespace string) int {
	others := q.total - q.running[namespace]
	if others == 0 {
		return max(q.workers-q.reserve, q.workers/2, 1)
	}
	return max((q.workers-others)/2, 1)
}

// end counts the end of a pass, and returns the keys whose namespaces are within their shares by now.
func (q *Queue) end(namespace string) []waiter {
	q.mu.Lock()
	defer q.mu.Unlock()
	count(q.running, namespace, -1)
	q.total--
	var next []waiter
	for _, of := range slices.Sorted(maps.Keys(q.waiting)) {
		line := q.waiting[of]
		for q.running[of]+q.calls[of] < q.share(of) {
			first, found := line.next()
			if !found {
				break
			}
			q.called[first.key] = struct{}{}
			count(q.calls, of, 1)
			next = append(next, first)
		}
		if line.isEmpty() {
			delete(q.waiting, of)
		}
	}
	return next
}

// count changes a number, and keeps none that is zero: namespaces come and go.
func count(numbers map[string]int, of string, by int) {
	if numbers[of] += by; numbers[of] == 0 {
		delete(numbers, of)
	}
}

// waiter is a key beside the queue.
type waiter struct {
	key      reconcile.Request
	priority int
}

// line holds the keys of one namespace, in the order of priority, and of arrival within a priority.
type line struct {
	priorities map[reconcile.Request]int
	keys       map[int][]reconcile.Request // by priority; a key that has another priority by now does not count
}

func newLine() *line {
	return &line{priorities: map[reconcile.Request]int{}, keys: map[int][]reconcile.Request{}}
}

// add adds a key, or raises its priority. A key that was the first stays it.
func (l *line) add(key reconcile.Request, priority int, isFirst bool) {
	if known, waits := l.priorities[key]; waits && known >= priority {
		return
	}
	l.priorities[key] = priority
	if isFirst {
		l.keys[priority] = slices.Insert(l.keys[priority], 0, key)
		return
	}
	l.keys[priority] = append(l.keys[priority], key)
}

// next removes and returns the first key.
func (l *line) next() (waiter, bool) {
	for len(l.keys) > 0 {
		priority := slices.Max(slices.Collect(maps.Keys(l.keys)))
		first := l.keys[priority][0]
		l.keys[priority] = l.keys[priority][1:]
		if len(l.keys[priority]) == 0 {
			delete(l.keys, priority)
		}
		if known, waits := l.priorities[first]; waits && known == priority {
			delete(l.priorities, first)
			return waiter{key: first, priority: priority}, true
		}
	}
	return waiter{}, false
}

func (l *line) isEmpty() bool { return len(l.priorities) == 0 }
