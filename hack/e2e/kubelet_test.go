//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/hack/e2e/consumer"
)

// relist is twice the time from one of the kubelet's looks at its containers to the next. Having synchronized a pod, it does not do so
// again before such a look; tokens do not rotate that fast, so the measurements leave it the time (pkg/kubelet/pod_workers.go, pkg/kubelet/kubelet.go).
const relist = 2 * time.Second

// kubeletFollows measures the kubelet, without the operator: how long after a change of a Secret the mounted file follows, by itself
// and when an annotation of the pod changes right after the Secret.
func kubeletFollows(t *testing.T, c *cluster) {
	s := newTenant(t, c, "kubelet")
	secret := &corev1.Secret{ObjectMeta: s.meta("plain"), StringData: map[string]string{"access_token": "0"}}
	s.create(t, secret)
	pod := s.pod("watcher", "localhost/consumer:1", "--every=5ms")
	mount(pod, "token", "/var/run/token", secretVolume("plain"))
	s.create(t, pod)
	s.awaitPod(t, "watcher")

	f := &followed{tenant: s, secret: secret}
	f.change(t, alone) // the pod's own start may still draw the kubelet's look
	for _, step := range []struct {
		how   timing
		count int
	}{{alone, 2}, {after, 40}, {together, 40}} {
		var took []time.Duration
		before := f.misses
		for range step.count {
			time.Sleep(relist)
			took = append(took, f.change(t, step.how))
		}
		least, median, most := spread(took)
		t.Logf("%d changes of a Secret %s: the file followed after %s at least, %s median, %s at most; the kubelet looked too early %d times",
			step.count, step.how, least, median, most, f.misses-before)
	}
}

// timing is when the pod's annotation changes.
type timing string

const (
	alone    timing = "without a nudge"
	after    timing = "with a nudge once it was written"
	together timing = "with a nudge at the same moment"
)

// missed is the time after which a nudge has not worked: the kubelet looked before it knew of the new Secret.
const missed = 5 * time.Second

// followed is a Secret, and the pod that mounts it.
type followed struct {
	*tenant
	secret  *corev1.Secret
	serial  int
	changed time.Time
	misses  int // each was mended by the next nudge
}

// change writes a new value and returns how long the file took to follow.
func (f *followed) change(t *testing.T, how timing) time.Duration {
	t.Helper()
	f.serial++
	f.secret.Data, f.secret.StringData = nil, map[string]string{"access_token": fmt.Sprint(f.serial)}
	f.changed = time.Now()
	nudged := make(chan struct{})
	if how == together {
		go func() { defer close(nudged); f.nudge(t) }()
	}
	must(t, f.Update(t.Context(), f.secret))
	switch how {
	case alone:
		return f.await(t, patience)
	case after:
		f.nudge(t)
	case together:
		<-nudged
	}
	for {
		if took := f.await(t, missed); took > 0 {
			return took
		}
		f.misses++
		f.nudge(t)
	}
}

func (f *followed) nudge(t *testing.T) {
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"nudge":%q}}}`, time.Now().Format(time.RFC3339Nano))
	if err := f.Patch(t.Context(), &corev1.Pod{ObjectMeta: f.meta("watcher")}, client.RawPatch(types.MergePatchType, patch)); err != nil {
		t.Error(err)
	}
}

// await returns the time from the change to the file; zero: not within the limit from now on.
func (f *followed) await(t *testing.T, limit time.Duration) time.Duration {
	t.Helper()
	want := consumer.Fingerprint(fmt.Sprint(f.serial))
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(pause) {
		for _, sighting := range f.report(t, "watcher").Tokens {
			if sighting.Fingerprint == want {
				return sighting.Seen.Sub(f.changed).Round(time.Millisecond)
			}
		}
	}
	if limit == patience {
		t.Fatalf("the file did not follow within %s", patience)
	}
	return 0
}
