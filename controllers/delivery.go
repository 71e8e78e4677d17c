package controllers

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/delivery"
)

// addDelivery adds what brings published tokens to their consumers. Whatever becomes of it there, a rotation does not notice.
func (r *Reconciler) addDelivery(mgr ctrl.Manager, options Options) error {
	core, err := coreClient(mgr)
	if err != nil {
		return err
	}
	r.Delivery = delivery.New(delivery.Options{
		Client: mgr.GetClient(), Core: core, Recorder: r.Recorder, Metrics: r.Metrics, Namespaces: options.Namespaces,
		Recheck: options.PermissionRecheck,
	})
	return mgr.Add(r.Delivery)
}

// coreClient speaks to the group of pods, in protobuf: a large cluster has many.
func coreClient(mgr ctrl.Manager) (rest.Interface, error) {
	pod := corev1.SchemeGroupVersion.WithKind("Pod")
	return apiutil.RESTClientForGVK(pod, false, false, mgr.GetConfig(), scheme.Codecs, mgr.GetHTTPClient())
}

// deliver hands a publication on. The observation still shows what the workload Secret held before.
func (r *Reconciler) deliver(seen *observation, before int64) {
	if r.Delivery == nil {
		return
	}
	wanted := seen.workload.wanted
	if seen.cred.Status.TargetName == wanted.Name {
		before = max(before, seen.statusSerial()) // the Secret may have been deleted meanwhile
	}
	r.Delivery.Deliver(delivery.Publication{
		Owner: about(seen.cred), Delivery: *seen.cred.Spec.Delivery.DeepCopy(), Secret: wanted.Name, Serial: wanted.Serial,
		Changed: before > 0 && before < wanted.Serial,
	})
}

// about is as much of a credential as an event needs.
func about(cred *v1alpha1.FluentCredential) *v1alpha1.FluentCredential {
	kept := &v1alpha1.FluentCredential{TypeMeta: cred.TypeMeta}
	kept.Namespace, kept.Name, kept.UID, kept.ResourceVersion = cred.Namespace, cred.Name, cred.UID, cred.ResourceVersion
	return kept
}
