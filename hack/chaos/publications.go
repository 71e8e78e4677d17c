package main

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// publication is what a workload Secret held from a moment on.
type publication struct {
	at     time.Time
	access string // empty: the Secret was gone
	serial int64
}

// publications is what the workloads of a namespace saw: every content of every workload Secret, and when it came.
type publications struct {
	admin     client.WithWatch
	namespace string

	mu   sync.Mutex
	seen map[string][]publication // by the Secret's name
}

func newPublications(admin client.WithWatch, namespace string) *publications {
	return &publications{admin: admin, namespace: namespace, seen: map[string][]publication{}}
}

// start watches until the returned function is called.
func (p *publications) start(ctx context.Context) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			p.watch(ctx)
			pause(ctx, pollEvery) // the API server is away
		}
	}()
	return func() error { cancel(); <-done; return nil }
}

// watch watches for as long as the API server lets it.
func (p *publications) watch(ctx context.Context) {
	watching, err := p.admin.Watch(ctx, &corev1.SecretList{}, client.InNamespace(p.namespace))
	if err != nil {
		return
	}
	defer watching.Stop()
	for event := range watching.ResultChan() {
		if secret, ok := event.Object.(*corev1.Secret); ok && strings.HasSuffix(secret.Name, targetSuffix) {
			p.note(secret, event.Type == watch.Deleted)
		}
	}
}

func (p *publications) note(secret *corev1.Secret, gone bool) {
	now := publication{at: time.Now()}
	if !gone {
		now.access = string(secret.Data[v1alpha1.AccessTokenKey])
		now.serial, _ = strconv.ParseInt(secret.Annotations[v1alpha1.SerialAnnotation], 10, 64)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.seen[secret.Name]
	if len(before) > 0 && before[len(before)-1].access == now.access && before[len(before)-1].serial == now.serial {
		return
	}
	p.seen[secret.Name] = append(before, now)
}

// all is a copy of everything that was seen.
func (p *publications) all() map[string][]publication {
	p.mu.Lock()
	defer p.mu.Unlock()
	copied := map[string][]publication{}
	for name, list := range p.seen {
		copied[name] = append([]publication(nil), list...)
	}
	return copied
}

// without is how long, from the first publication to the end, a workload Secret held no token that was valid.
func without(list []publication, tokens map[string]authsim.AccessToken, end time.Time) time.Duration {
	var total time.Duration
	for i, each := range list {
		until := end
		if i+1 < len(list) {
			until = list[i+1].at
		}
		dead := deathOf(tokens[each.access])
		if dead.Before(each.at) {
			dead = each.at
		}
		total += max(until.Sub(dead), 0)
	}
	return total
}

// deathOf is when a token ceased to be valid; the zero time for one that was never issued.
func deathOf(token authsim.AccessToken) time.Time {
	if !token.Killed.IsZero() && token.Killed.Before(token.Expires) {
		return token.Killed
	}
	return token.Expires
}
