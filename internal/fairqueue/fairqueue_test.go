package fairqueue

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// scene is a queue, and passes that end when the test says so.
type scene struct {
	*Queue
	t      *testing.T
	handed chan waiter
	stop   func()
}

func newScene(t *testing.T, workers, reserve int) *scene {
	t.Helper()
	inner := priorityqueue.New[reconcile.Request](t.Name())
	s := &scene{Queue: Wrap(inner, workers, reserve), t: t, handed: make(chan waiter)}
	s.stop = sync.OnceFunc(inner.ShutDown)
	t.Cleanup(s.stop)
	return s
}

// work starts workers that begin passes and leave it to the test to end them.
func (s *scene) work(workers int) {
	for range workers {
		go func() {
			for {
				key, priority, shutdown := s.GetWithPriority()
				if shutdown {
					return
				}
				s.handed <- waiter{key: key, priority: priority}
			}
		}()
	}
}

func key(namespace string, number int) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: fmt.Sprint(number)}}
}

func (s *scene) addMany(namespace string, count int) {
	for i := range count {
		s.Add(key(namespace, i))
	}
}

// begun returns the passes that begin until no more do.
func (s *scene) begun() []waiter {
	var all []waiter
	for {
		select {
		case next := <-s.handed:
			all = append(all, next)
		case <-time.After(100 * time.Millisecond):
			return all
		}
	}
}

func (s *scene) mustBegin(want int, why string) []waiter {
	s.t.Helper()
	got := s.begun()
	if len(got) != want {
		s.t.Fatalf("%d passes begin, want %d: %s", len(got), want, why)
	}
	return got
}

func (s *scene) end(of ...waiter) {
	for _, each := range of {
		s.Done(each.key)
	}
}

func TestNamespaceThatIsAloneLeavesAReserve(t *testing.T) {
	s := newScene(t, 24, 10)
	s.work(24)
	s.addMany("greedy", 100)
	passes := s.mustBegin(14, "all workers but the reserve")
	s.end(passes[:3]...)
	s.mustBegin(3, "others follow as passes end")
}

func TestOthersAreServedBesideANamespaceWhosePassesDoNotEnd(t *testing.T) {
	s := newScene(t, 24, 10)
	s.work(24)
	s.addMany("greedy", 100)
	s.mustBegin(14, "all workers but the reserve")
	for i, want := range []int{5, 2, 1} {
		s.addMany(fmt.Sprint("another-", i), 100)
		for _, pass := range s.mustBegin(want, "half of what the others leave") {
			if pass.key.Namespace != fmt.Sprint("another-", i) {
				t.Errorf("%s begins a pass", pass.key)
			}
		}
	}
	s.Add(key("friend", 1))
	friend := s.mustBegin(1, "one is always possible while a worker is free")
	s.end(friend...)
	s.mustBegin(0, "the worker stays free: everybody has a share")
}

func TestShareGrowsWhenOthersEnd(t *testing.T) {
	s := newScene(t, 16, 4)
	s.work(16)
	s.addMany("friend", 1)
	friend := s.mustBegin(1, "it is alone")
	s.addMany("shop", 100)
	s.mustBegin(7, "half of what the other leaves")
	s.end(friend...)
	s.mustBegin(5, "it is alone now")
}

func TestWhoWaitsKeepsPriorityAndOrder(t *testing.T) {
	s := newScene(t, 2, 1)
	s.work(1)
	low := -100
	first := func() waiter { return s.mustBegin(1, "one at a time")[0] }
	s.Add(key("shop", 0))
	pass := first()
	s.work(1)
	for i := range 3 {
		s.AddWithOpts(priorityqueue.AddOpts{Priority: &low}, key("shop", 1+i))
		s.mustBegin(0, "it is set aside")
	}
	s.Add(key("shop", 4))
	s.mustBegin(0, "it is set aside")
	s.Add(key("shop", 3)) // a person changed it
	s.mustBegin(0, "it goes before those of a lower priority")
	var order []string
	for range 4 {
		s.end(pass)
		pass = first()
		order = append(order, fmt.Sprintf("%s %d", pass.key.Name, pass.priority))
	}
	if want := []string{"4 0", "3 0", "1 -100", "2 -100"}; !slices.Equal(order, want) {
		t.Errorf("got %v, want %v", order, want)
	}
	s.end(pass)
	s.mustBegin(0, "each has had its pass, the one that was queued twice too")
	if len(s.running)+len(s.waiting)+len(s.called)+len(s.calls)+s.total != 0 {
		t.Errorf("it remembers namespaces that have no keys: %+v", s.Queue)
	}
}

func TestKeyThatIsQueuedWhileItsPassRunsHasAnother(t *testing.T) {
	s := newScene(t, 4, 1)
	s.work(4)
	s.Add(key("shop", 0))
	pass := s.mustBegin(1, "it is alone")
	s.Add(key("shop", 0))
	s.mustBegin(0, "one pass at a time")
	s.end(pass...)
	s.mustBegin(1, "something changed meanwhile")
}

// TestEveryKeyHasItsPass: whatever the order, nothing is lost, and no namespace exceeds its share.
func TestEveryKeyHasItsPass(t *testing.T) {
	const (
		workers    = 12
		namespaces = 7
		keys       = 300
	)
	s := newScene(t, workers, 3)
	random := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	running, done := map[string]int{}, map[reconcile.Request]int{}
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for {
				next, shutdown := s.Get()
				if shutdown {
					return
				}
				mu.Lock()
				running[next.Namespace]++
				if running[next.Namespace] > workers-3 {
					t.Errorf("%d passes of %s are in progress", running[next.Namespace], next.Namespace)
				}
				pause := time.Duration(random.IntN(300)) * time.Microsecond
				mu.Unlock()
				time.Sleep(pause)
				mu.Lock()
				running[next.Namespace]--
				done[next]++
				mu.Unlock()
				s.Done(next)
			}
		})
	}
	for i := range keys {
		for namespace := range namespaces {
			priority := -(i % 3)
			s.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, key(fmt.Sprint("n", namespace%(1+i%namespaces)), i))
		}
	}
	want := map[reconcile.Request]bool{}
	for i := range keys {
		for namespace := range namespaces {
			want[key(fmt.Sprint("n", namespace%(1+i%namespaces)), i)] = true
		}
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		mu.Lock()
		left := len(want) - len(done)
		mu.Unlock()
		if left == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d keys have no pass", left)
		}
	}
	s.stop()
	working.Wait()
}
