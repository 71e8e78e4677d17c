package delivery

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
)

// scope is one namespace, or all, in which pods are nudged where that is permitted.
type scope struct {
	namespace string // "": all
	index     *index

	mu    sync.Mutex
	state state
	stop  func() // ends the watch, and waits until it has ended
}

// state is whether pods can be nudged in a scope.
type state int

const (
	unknown state = iota // the permission was not looked up yet
	on
	off // the permission is missing
)

func newScope(namespace string) *scope { return &scope{namespace: namespace, index: newIndex()} }

// turn tells whether the state is news.
func (s *scope) turn(to state) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := s.state != to
	s.state = to
	return changed
}

func (s *scope) is() state {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// watch fills the index until halt is called.
func (s *scope) watch(ctx context.Context, pods cache.ListerWatcher) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	s.stop = func() { cancel(); <-done }
	reflector := cache.NewReflectorWithOptions(pods, &corev1.Pod{}, s.index, cache.ReflectorOptions{Name: "delivery"})
	go func() {
		defer close(done)
		reflector.RunWithContext(ctx)
	}()
}

// halt ends the watch and forgets the pods.
func (s *scope) halt() {
	if s.stop == nil {
		return
	}
	s.stop()
	s.stop = nil
	s.index.Reset()
}
