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

const (
	// alone and nudged are how many changes of a Secret are measured without and with an annotation on the pod.
	alone, nudged = 2, 30
	// missed is the time after which a nudge has not worked: the kubelet looked before it knew of the new Secret.
	missed = 5 * time.Second
)

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

	measure := &followed{tenant: s, secret: secret}
	var slow []time.Duration
	for range alone {
		slow = append(slow, measure.change(t, patience, false))
	}
	least, median, most := spread(slow)
	t.Logf("without a nudge, of %d changes: %s at least, %s median, %s at most", len(slow), least, median, most)

	var fast []time.Duration
	misses := 0
	for range nudged {
		took := measure.change(t, missed, true)
		for ; took == 0; took = measure.await(t, missed) {
			misses++
			measure.nudge(t)
		}
		fast = append(fast, took)
	}
	least, median, most = spread(fast)
	t.Logf("with a nudge, of %d changes: %s at least, %s median, %s at most; the kubelet missed the Secret %d times, and each time the next nudge mended it",
		len(fast), least, median, most, misses)
}

// followed is a Secret, and the pod that mounts it.
type followed struct {
	*tenant
	secret  *corev1.Secret
	serial  int
	changed time.Time
}

// change writes a new value and returns how long the file took to follow; zero: it did not within the limit.
func (f *followed) change(t *testing.T, limit time.Duration, nudge bool) time.Duration {
	t.Helper()
	f.serial++
	f.secret.Data, f.secret.StringData = nil, map[string]string{"access_token": fmt.Sprint(f.serial)}
	f.changed = time.Now()
	must(t, f.Update(t.Context(), f.secret))
	if nudge {
		f.nudge(t)
	}
	return f.await(t, limit)
}

func (f *followed) nudge(t *testing.T) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"nudge":%q}}}`, time.Now().Format(time.RFC3339Nano))
	must(t, f.Patch(t.Context(), &corev1.Pod{ObjectMeta: f.meta("watcher")}, client.RawPatch(types.MergePatchType, patch)))
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
