package controllers

import (
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// twoClocks is a wall clock that can be set beside a monotonic one.
type twoClocks struct {
	wall      time.Time
	monotonic time.Duration
}

func (c *twoClocks) Now() time.Time                { return c.wall }
func (c *twoClocks) Since(time.Time) time.Duration { return c.monotonic }

func (c *twoClocks) pass(wall, monotonic time.Duration) {
	c.wall = c.wall.Add(wall)
	c.monotonic += monotonic
}

func TestUnitTheClockSteps(t *testing.T) {
	for name, test := range map[string]struct {
		wall, monotonic time.Duration
		want            bool
		why             string
	}{
		"both go on":                    {clockLook, clockLook, false, "nothing was set"},
		"it gains a little":             {clockLook + time.Second, clockLook, false, "NTP corrects the clock gradually"},
		"set ahead":                     {clockLook + time.Hour, clockLook, true, "tokens are expired that were valid"},
		"set back":                      {clockLook - time.Hour, clockLook, true, "timers end an hour early, and are set again"},
		"the machine was paused":        {8 * time.Hour, clockLook, true, "the monotonic clock does not count a pause"},
		"the process was stopped":       {8 * time.Hour, 8 * time.Hour, false, "its timers end at once"},
		"the smallest step that counts": {clockLook + clockStep, clockLook, true, "status times have whole seconds"},
	} {
		by := &twoClocks{wall: start}
		watch := newClockWatch(by)
		by.pass(time.Hour, time.Hour)
		if watch.hasStepped() {
			t.Errorf("%s: a step before anything was set", name)
		}
		by.pass(test.wall, test.monotonic)
		if got := watch.hasStepped(); got != test.want {
			t.Errorf("%s: a step was seen: %v, want %v: %s", name, got, test.want, test.why)
		}
		by.pass(clockLook, clockLook)
		if watch.hasStepped() {
			t.Errorf("%s: the same step was seen twice", name)
		}
	}
}

func TestUnitAllAreExaminedAfterAStep(t *testing.T) {
	s := newScene(t)
	scheme := runtime.NewScheme()
	if err := AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	reader := fake.NewClientBuilder().WithScheme(scheme).WithObjects(s.cred).Build()
	var got []types.NamespacedName
	enqueueListed(t.Context(), reader, &v1alpha1.FluentCredentialList{}, func(request reconcile.Request) {
		got = append(got, request.NamespacedName)
	})
	if want := []types.NamespacedName{client.ObjectKeyFromObject(s.cred)}; !slices.Equal(got, want) {
		t.Errorf("%v were enqueued, want %v", got, want)
	}
}
