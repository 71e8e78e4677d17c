package simulation

import (
	"cmp"
	"context"
	"reflect"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fluent-credential/operator/controllers"
)

// A replica's watches. Its cache has what the operator's cache keeps, and the operator's own predicates and event
// handlers decide what an event requeues.

// kept says what the operator's cache keeps of each kind.
var kept = sync.OnceValue(func() map[string]cache.ByObject {
	byKind := map[string]cache.ByObject{}
	for object, how := range controllers.CacheOptions(nil).ByObject {
		byKind[kindOf(object)] = how
	}
	return byKind
})

// indexes are the operator's own index functions, by kind and field.
var indexes = sync.OnceValue(func() indexer {
	found := indexer{}
	if err := controllers.AddIndexes(context.Background(), found); err != nil {
		panic(err)
	}
	return found
})

type indexer map[string]map[string]client.IndexerFunc

func (i indexer) IndexField(_ context.Context, object client.Object, field string, extract client.IndexerFunc) error {
	kind := kindOf(object)
	if i[kind] == nil {
		i[kind] = map[string]client.IndexerFunc{}
	}
	i[kind][field] = extract
	return nil
}

// shown is an object as the operator's cache keeps it; nil: the cache does not keep it.
func (c *cluster) shown(object client.Object) client.Object {
	if object == nil {
		return nil
	}
	if view, known := c.views[object]; known {
		return view
	}
	c.views[object] = viewOf(object)
	return c.views[object]
}

func viewOf(object client.Object) client.Object {
	how := kept()[kindOf(object)]
	var view client.Object
	switch object := object.(type) {
	case *corev1.Secret:
		if how.Field != nil && !how.Field.Matches(fields.Set{"type": string(object.Type)}) {
			return nil
		}
		view = metadataOf(object, secretKind)
	case *corev1.Namespace:
		view = metadataOf(object, namespaceKind)
	default:
		view = copyOf(object)
	}
	view.SetManagedFields(nil)
	transformed, err := how.Transform(view)
	if err != nil {
		panic(err)
	}
	return transformed.(client.Object)
}

func metadataOf(object client.Object, kind string) *metav1.PartialObjectMetadata {
	view := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: kind}}
	reflect.ValueOf(object).Elem().FieldByName("ObjectMeta").Addr().Interface().(*metav1.ObjectMeta).DeepCopyInto(&view.ObjectMeta)
	return view
}

// control is one controller of a replica.
type control struct {
	controllers.Controller
	*workQueue
}

// control begins the controllers of a life.
func (r *replica) control(options controllers.Options) {
	r.controls = nil
	for _, each := range r.Controllers(options) {
		queue := &workQueue{world: r.world, limiter: each.Options.RateLimiter, items: map[types.NamespacedName]*item{}}
		r.controls = append(r.controls, &control{each, queue})
		for _, raw := range each.Raw {
			if err := raw.Start(r.context(), queue); err != nil {
				panic(err)
			}
		}
		if each.Name == "fluentcredential" {
			r.queue = queue.items
		}
	}
}

// change is what a watch shows of one object.
type change struct {
	key           objectKey
	before, after client.Object
	isInitial     bool // the list at the beginning of the watch
}

// notify shows a change to the controllers.
func (r *replica) notify(seen change) {
	for _, c := range r.controls {
		for _, from := range c.Sources {
			if kindOf(from.Object) == seen.key.kind {
				seen.handle(r.context(), from, c.workQueue)
			}
		}
	}
}

func (c change) handle(ctx context.Context, from controllers.Source, queue *workQueue) {
	switch {
	case c.before == nil && c.after == nil:
	case c.before == nil:
		created := event.CreateEvent{Object: c.after, IsInInitialList: c.isInitial}
		for _, each := range from.Predicates {
			if !each.Create(created) {
				return
			}
		}
		from.Handler.Create(ctx, created, queue)
	case c.after == nil:
		deleted := event.DeleteEvent{Object: c.before}
		for _, each := range from.Predicates {
			if !each.Delete(deleted) {
				return
			}
		}
		from.Handler.Delete(ctx, deleted, queue)
	default:
		updated := event.UpdateEvent{ObjectOld: c.before, ObjectNew: c.after}
		for _, each := range from.Predicates {
			if !each.Update(updated) {
				return
			}
		}
		from.Handler.Update(ctx, updated, queue)
	}
}

// watch takes in what the API server reported.
func (r *replica) watch() {
	history := r.world.cluster.history
	if r.seen == 0 {
		r.list()
		return
	}
	if r.seen == len(history) {
		return
	}
	if !r.isShown(history[r.seen]) {
		r.lags = r.lags || r.world.now() < max(r.watchUntil, r.cutOffUntil)
		return
	}
	if r.lags && r.world.dice.choose("relist", 1) != 0 {
		r.relist()
	}
	r.lags = false
	for r.seen < len(history) && r.isShown(history[r.seen]) {
		past := history[r.seen]
		r.seen++
		r.notify(r.take(past.key, past.object))
	}
}

// isShown reports whether a watch has brought an event by now.
func (r *replica) isShown(past version) bool { return r.world.now() >= r.shownAt(past) }

func (r *replica) shownAt(past version) time.Duration {
	return max(past.at+watchLag, r.watchUntil, r.cutOffUntil)
}

// take puts an object into the cache.
func (r *replica) take(key objectKey, object client.Object) change {
	seen := change{key: key, before: r.cache[key], after: r.world.cluster.shown(object)}
	if seen.after == nil {
		delete(r.cache, key)
	} else {
		r.cache[key] = seen.after
	}
	return seen
}

// list fills the cache at the start.
func (r *replica) list() {
	for key, object := range r.world.cluster.objects {
		r.take(key, object)
	}
	r.seen = len(r.world.cluster.history)
	for _, key := range r.cached("", "") {
		r.notify(change{key: key, after: r.cache[key], isInitial: true})
	}
}

// relist compares the cache with what there is after a watch was interrupted for too long: what happened in between is
// not shown.
func (r *replica) relist() {
	history := r.world.cluster.history
	var changed []objectKey
	newest := map[objectKey]client.Object{}
	for r.seen < len(history) && r.isShown(history[r.seen]) {
		past := history[r.seen]
		r.seen++
		if _, known := newest[past.key]; !known {
			changed = append(changed, past.key)
		}
		newest[past.key] = past.object
	}
	r.world.tell("!! %s lists everything once more", r.writer())
	for _, key := range changed {
		r.notify(r.take(key, newest[key]))
	}
}

// cached are the keys of a kind and a namespace in the cache, in their order; empty: all.
func (r *replica) cached(kind, namespace string) []objectKey {
	var found []objectKey
	for key := range r.cache {
		if (kind == "" || key.kind == kind) && (namespace == "" || key.Namespace == namespace) {
			found = append(found, key)
		}
	}
	slices.SortFunc(found, func(a, b objectKey) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return found
}

// matching are the cached objects that a list asks for.
func (r *replica) matching(kind string, options client.ListOptions) []client.Object {
	var found []client.Object
	for _, key := range r.cached(kind, options.Namespace) {
		if object := r.cache[key]; isIndexed(kind, object, options.FieldSelector) {
			found = append(found, object)
		}
	}
	return found
}

func isIndexed(kind string, object client.Object, selector fields.Selector) bool {
	if selector == nil {
		return true
	}
	for _, wanted := range selector.Requirements() {
		if !slices.Contains(indexes()[kind][wanted.Field](object), wanted.Value) {
			return false
		}
	}
	return true
}

// workQueue is the workqueue of one controller. It does what controller-runtime's priority queue does, and hands out
// nothing by itself: the scheduler takes from it.
type workQueue struct {
	priorityqueue.PriorityQueue[reconcile.Request] // what is not needed

	world   *world
	limiter workqueue.TypedRateLimiter[reconcile.Request]
	items   map[types.NamespacedName]*item
	added   int
}

// item is one object in the workqueue.
type item struct {
	due      time.Duration
	isDue    bool // it is queued
	busy     bool // a pass is being made
	priority int
	order    int
}

// AddWithOpts queues objects. One that is queued already becomes due at the earlier time, with the higher priority.
func (q *workQueue) AddWithOpts(options priorityqueue.AddOpts, requests ...reconcile.Request) {
	q.world.mu.Lock()
	defer q.world.mu.Unlock()
	q.world.wakeScheduler()
	for _, request := range requests {
		after := options.After
		if options.RateLimited {
			if limited := q.limiter.When(request); after == 0 || limited < after {
				after = limited
			}
		}
		if q.world.dice.calm && q.world.oracle.wereClocksWrong(q.world.now()) {
			after = min(after, calmWait) // by a clock that was wrong
		}
		priority := 0
		if options.Priority != nil {
			priority = *options.Priority
		}
		q.put(request.NamespacedName, q.world.now()+after, priority)
	}
}

func (q *workQueue) put(key types.NamespacedName, due time.Duration, priority int) {
	it := q.items[key]
	if it == nil {
		it = &item{}
		q.items[key] = it
	}
	if !it.isDue {
		q.added++
		*it = item{due: due, isDue: true, busy: it.busy, priority: priority, order: q.added}
		return
	}
	it.due = min(it.due, due)
	if priority > it.priority {
		q.added++
		it.priority, it.order = priority, q.added
	}
}

func (q *workQueue) Add(request reconcile.Request) { q.AddWithOpts(priorityqueue.AddOpts{}, request) }

func (q *workQueue) AddAfter(request reconcile.Request, after time.Duration) {
	q.AddWithOpts(priorityqueue.AddOpts{After: after}, request)
}

func (q *workQueue) AddRateLimited(request reconcile.Request) {
	q.AddWithOpts(priorityqueue.AddOpts{RateLimited: true}, request)
}

func (q *workQueue) Forget(request reconcile.Request) { q.limiter.Forget(request) }

// earliest is when the next pass is due.
func (q *workQueue) earliest() (time.Duration, bool) {
	earliest, found := time.Duration(0), false
	for _, it := range q.items {
		if it.isDue && !it.busy && (!found || it.due < earliest) {
			earliest, found = it.due, true
		}
	}
	return earliest, found
}

// take removes what is due, in the order in which workers get it, so many at most.
func (q *workQueue) take(workers int) []types.NamespacedName {
	busy := 0
	var due []types.NamespacedName
	for key, it := range q.items {
		switch {
		case it.busy:
			busy++
		case it.isDue && it.due <= q.world.now():
			due = append(due, key)
		}
	}
	slices.SortFunc(due, func(a, b types.NamespacedName) int {
		return cmp.Or(cmp.Compare(q.items[b].priority, q.items[a].priority), cmp.Compare(q.items[a].order, q.items[b].order))
	})
	return due[:max(0, min(len(due), workers-busy))]
}

// work begins the passes that are due.
func (r *replica) work() {
	if !r.leads() || r.stopping.since > 0 {
		return
	}
	for _, c := range r.controls {
		for _, key := range c.take(c.Options.MaxConcurrentReconciles) {
			r.begin(c, key)
		}
	}
}

// begin makes one pass over an object, as controller-runtime does.
func (r *replica) begin(c *control, key types.NamespacedName) {
	it := c.items[key]
	it.isDue, it.busy = false, true
	priority := it.priority
	r.world.spawn(r, key.Name, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, c.Options.ReconciliationTimeout)
		defer cancel()
		request := ctrl.Request{NamespacedName: key}
		begun := r.world.now()
		result, err := c.Reconcile(ctx, request)
		if r.world.onPass != nil {
			r.world.onPass(r.world.now() - begun)
		}
		r.world.sleep(r.world.of(ctx, r, r.life), "end of the pass", 0)
		if result.Priority != nil {
			priority = *result.Priority
		}
		if err != nil {
			r.world.oracle.said("error", err.Error())
			r.world.tell("  the pass ends with: %s", r.world.stable(err.Error()))
			c.AddWithOpts(priorityqueue.AddOpts{RateLimited: true, Priority: &priority}, request)
		} else if c.Forget(request); result.RequeueAfter > 0 {
			r.world.tell("  again after %s", result.RequeueAfter)
			c.AddWithOpts(priorityqueue.AddOpts{After: result.RequeueAfter, Priority: &priority}, request)
		}
		it.busy = false
	})
}

// kindOf is the kind of an object, which of metadata its type says.
func kindOf(object client.Object) string {
	if found, isMetadata := object.(*metav1.PartialObjectMetadata); isMetadata && found.Kind != "" {
		return found.Kind
	}
	return keyOf(object).kind
}
