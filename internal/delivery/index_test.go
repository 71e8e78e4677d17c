package delivery

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

func secretVolume(name string) corev1.Volume {
	return corev1.Volume{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: name}}}
}

func projectedVolume(names ...string) corev1.Volume {
	projected := &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{}}}}
	for _, name := range names {
		projected.Sources = append(projected.Sources, corev1.VolumeProjection{
			Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: name}},
		})
	}
	return corev1.Volume{VolumeSource: corev1.VolumeSource{Projected: projected}}
}

func pod(namespace, name string, volumes ...corev1.Volume) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.PodSpec{Volumes: volumes}}
}

func TestMounted(t *testing.T) {
	tests := map[string]struct {
		why     string
		volumes []corev1.Volume
		want    []string
	}{
		"no volumes":        {"there is nothing to refresh", nil, nil},
		"secret":            {"the plain way", []corev1.Volume{secretVolume("a")}, []string{"a"}},
		"projected":         {"beside a service account's token", []corev1.Volume{projectedVolume("b", "a")}, []string{"a", "b"}},
		"the same twice":    {"one pod is touched once", []corev1.Volume{secretVolume("a"), projectedVolume("a")}, []string{"a"}},
		"of something else": {"a config map is no Secret", []corev1.Volume{{VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{}}}}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, mounted(test.volumes)); diff != "" {
				t.Errorf("%s (-want +got)\n%s", test.why, diff)
			}
		})
	}
}

// TestIndex follows one index through the life of some pods.
func TestIndex(t *testing.T) {
	i := newIndex()
	expect := func(what, namespace, secret string, want ...string) {
		t.Helper()
		got, known := i.mounting(types.NamespacedName{Namespace: namespace, Name: secret})
		if !known || len(got) != len(want) || len(want) > 0 && !cmp.Equal(want, got) {
			t.Errorf("%s: %v, known: %t; want %v", what, got, known, want)
		}
	}
	if _, known := i.mounting(types.NamespacedName{Namespace: "shop", Name: "token"}); known {
		t.Error("an index that was never filled knows nothing")
	}
	must(t, i.Replace([]any{pod("shop", "one", secretVolume("token")), pod("shop", "plain"), pod("other", "one", secretVolume("token"))}, "1"))
	expect("after the list", "shop", "token", "one")
	must(t, i.Add(pod("shop", "two", projectedVolume("token", "more"))))
	expect("a pod was added", "shop", "token", "one", "two")
	expect("its other Secret", "shop", "more", "two")
	must(t, i.Update(pod("shop", "one", secretVolume("more"))))
	expect("another pod of that name", "shop", "token", "two")
	expect("another pod of that name", "shop", "more", "one", "two")
	must(t, i.Delete(cache.DeletedFinalStateUnknown{Obj: pod("shop", "two")}))
	expect("a pod went", "shop", "more", "one")
	must(t, i.Replace(nil, "2"))
	expect("all went", "shop", "more")
	if len(i.mounts)+len(i.pods) != 0 {
		t.Errorf("an empty index holds %d pods and %d Secrets", len(i.mounts), len(i.pods))
	}
	if err := i.Add(&corev1.Secret{}); err == nil {
		t.Error("a Secret was taken for a pod")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestPodsThatMountNoSecretCostNothing holds the promise of the type: 30,000 pods without a Secret leave the index empty.
func TestPodsThatMountNoSecretCostNothing(t *testing.T) {
	i := newIndex()
	must(t, i.Replace(nil, "1"))
	for n := range 30000 {
		must(t, i.Add(pod("shop", fmt.Sprintf("pod-%d", n), projectedVolume())))
	}
	if len(i.mounts) != 0 || len(i.pods) != 0 {
		t.Errorf("the index holds %d pods and %d Secrets", len(i.mounts), len(i.pods))
	}
}

// BenchmarkIndexedPod tells the bytes that stay for each pod: one that mounts no Secret, and one that mounts one Secret with nine others.
func BenchmarkIndexedPod(b *testing.B) {
	for name, volumes := range map[string]func(n int) []corev1.Volume{
		"no Secret": func(int) []corev1.Volume { return []corev1.Volume{projectedVolume()} },
		"one Secret": func(n int) []corev1.Volume {
			return []corev1.Volume{secretVolume(fmt.Sprintf("tls-of-some-service-%d", n/10))}
		},
	} {
		b.Run(name, func(b *testing.B) {
			i := newIndex()
			before := heap()
			for n := range b.N {
				_ = i.Add(pod("a-namespace", fmt.Sprintf("some-deployment-7d9f8b6c5d-%05d", n), volumes(n)...))
			}
			b.ReportMetric(float64(heap()-before)/float64(b.N), "bytes-kept/pod")
			runtime.KeepAlive(i)
		})
	}
}

func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
