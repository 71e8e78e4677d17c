package delivery

import (
	"context"

	authorizationv1 "k8s.io/api/authorization/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// What delivery has to be permitted, and why. It is a ClusterRole of its own: whoever does not want it leaves its binding out.
//
// list and watch: to know which pods mount a workload Secret. patch: to put our annotation on them.
// +kubebuilder:rbac:groups="",resources=pods,verbs=list;watch;patch
//
// patch: to put our annotation on the pod template of what spec.delivery.restart names.
// +kubebuilder:rbac:groups=apps,resources=deployments;statefulsets;daemonsets,verbs=patch

// nudgeVerbs is what nudging needs to be allowed to do with pods.
var nudgeVerbs = []string{"list", "watch", "patch"}

// missingVerb is the first thing that this process may not do with the pods of a namespace; "" means that it may do all.
func missingVerb(ctx context.Context, writer client.Writer, namespace string) (string, error) {
	for _, verb := range nudgeVerbs {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: verb, Resource: "pods"},
		}}
		if err := writer.Create(ctx, review); err != nil {
			return "", err
		}
		if !review.Status.Allowed {
			return verb, nil
		}
	}
	return "", nil
}

// check starts or stops the watch of one scope, as the permission comes and goes, and says so once each time.
func (d *Deliverer) check(ctx context.Context, s *scope) {
	verb, err := missingVerb(ctx, d.Client, s.namespace)
	logger := ctrl.LoggerFrom(ctx).WithName("delivery").WithValues("namespace", s.namespace)
	switch {
	case err != nil:
		logger.V(1).Info("The permission to nudge pods cannot be checked", "error", err.Error()) // it stays as it was
	case verb != "":
		if s.turn(off) {
			logger.Info("Pods are not nudged: they see a new token when the kubelet looks by itself", "missing", verb+" pods")
		}
		s.halt()
	case s.turn(on):
		logger.Info("Pods that mount a workload Secret are nudged when it changes")
		s.watch(ctx, Pods(d.Core, s.namespace))
	}
}
