package delivery

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
)

// pageSize is how many pods are in memory at a time where the API server has no streaming list.
const pageSize = 500

// onNodes are the pods that a kubelet looks after: the API server leaves the others out.
var onNodes = fields.AndSelectors(
	fields.OneTermNotEqualSelector("spec.nodeName", ""),
	fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)),
	fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed)),
).String()

// Pods is a way to list and watch the pods of a namespace; "" means all.
func Pods(core cache.Getter, namespace string) *cache.ListWatch {
	pods := cache.NewFilteredListWatchFromClient(core, "pods", namespace, func(options *metav1.ListOptions) {
		options.FieldSelector = onNodes
	})
	whole := pods.ListWithContextFunc
	pods.ListWithContextFunc = func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return listSlim(ctx, options, whole)
	}
	return pods
}

// listSlim lists page by page and keeps of each only the pods that mount a Secret: the pods of a large cluster, all at once, would
// be more than the operator's memory. It is for API servers that cannot stream a list.
func listSlim(ctx context.Context, options metav1.ListOptions, page cache.ListWithContextFunc) (runtime.Object, error) {
	kept := &corev1.PodList{}
	options.Limit, options.ResourceVersion, options.ResourceVersionMatch = pageSize, "", ""
	for {
		listed, err := page(ctx, options)
		if err != nil {
			return nil, err
		}
		pods, ok := listed.(*corev1.PodList)
		if !ok {
			return nil, fmt.Errorf("a %T is no list of pods", listed)
		}
		for i := range pods.Items {
			if pod := &pods.Items[i]; len(mounted(pod.Spec.Volumes)) > 0 {
				kept.Items = append(kept.Items, corev1.Pod{
					ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, ResourceVersion: pod.ResourceVersion},
					Spec:       corev1.PodSpec{Volumes: pod.Spec.Volumes},
				})
			}
		}
		kept.ListMeta = metav1.ListMeta{ResourceVersion: pods.ResourceVersion}
		if options.Continue = pods.Continue; options.Continue == "" {
			return kept, nil
		}
	}
}
