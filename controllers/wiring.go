package controllers

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/fairqueue"
)

// Controller describes a controller of the operator as data, so that a manager and a test run the same one.
type Controller struct {
	// Name is the name of the controller in logs and metrics.
	Name string
	// Sources are the events that requeue objects. The first source is the kind that the controller reconciles.
	Sources []Source
	// Raw are the sources that are no events of objects.
	Raw []source.Source
	// Options configure the workqueue and the workers.
	Options controller.Options
	// Reconcile makes one pass.
	Reconcile reconcile.Func
}

// Source describes a watch: a kind, the events of it that count, and the objects that they requeue.
type Source struct {
	// Object is of the kind that is watched. Of a PartialObjectMetadata only metadata is watched.
	Object client.Object
	// Handler requeues what an event concerns.
	Handler handler.EventHandler
	// Predicates drop events. All have to let an event through.
	Predicates []predicate.Predicate
}

// Controllers returns the controllers of the operator. Tokens has to be set.
func (r *Reconciler) Controllers(options Options) []Controller {
	return []Controller{r.Tokens.controller(), r.controller(options)}
}

func (r *Reconciler) controller(options Options) Controller {
	return Controller{
		Name: "fluentcredential",
		Sources: []Source{
			{&v1alpha1.FluentCredential{}, &handler.EnqueueRequestForObject{}, []predicate.Predicate{credentialChanged()}},
			{&v1alpha1.FluentToken{}, tokenToCredential(r.Client), nil},
			{secretMetadata(), secretToCredentials(r.Client), []predicate.Predicate{secretChanged()}},
		},
		Raw: []source.Source{r.turns(), clockSteps(r.Client, r.Clock, &v1alpha1.FluentCredentialList{})},
		Options: controller.Options{
			MaxConcurrentReconciles: options.MaxConcurrentExchanges + spareWorkers,
			NewQueue:                sharedQueue(options.MaxConcurrentExchanges),
			EnableWarmup:            ptr.To(true), // a standby knows all credentials when its time comes
			RateLimiter:             newRateLimiter(),
			ReconciliationTimeout:   PassTimeout,
		},
		Reconcile: r.reconcileKey,
	}
}

func (t *TokenReconciler) controller() Controller {
	described := Controller{
		Name: "fluenttoken",
		Sources: []Source{
			{&v1alpha1.FluentToken{}, &handler.EnqueueRequestForObject{}, []predicate.Predicate{tokenChanged()}},
			{&v1alpha1.FluentCredential{}, t.credentialToTokens(), []predicate.Predicate{credentialConcernsTokens()}},
			{secretMetadata(), t.secretToTokens(), []predicate.Predicate{secretChanged()}},
		},
		Raw: []source.Source{clockSteps(t.Client, t.Clock, &v1alpha1.FluentTokenList{})},
		Options: controller.Options{
			MaxConcurrentReconciles: tokenConcurrency,
			NewQueue:                fairqueue.New(tokenConcurrency, tokenConcurrency/4),
			EnableWarmup:            ptr.To(true), // a standby knows all of them when its time comes
			RateLimiter:             newRateLimiter(),
			ReconciliationTimeout:   PassTimeout,
		},
		Reconcile: t.reconcileKey,
	}
	if t.Selects {
		described.Sources = append(described.Sources,
			Source{namespaceMetadata(), t.namespaceToTokens(), []predicate.Predicate{labelsChanged()}})
	}
	return described
}

// newRateLimiter returns the back-off of passes that end in an error.
func newRateLimiter() workqueue.TypedRateLimiter[reconcile.Request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](errorBackoff, errorBackoffMost)
}

// addTo adds the controller to a manager.
func (c Controller) addTo(mgr ctrl.Manager) error {
	first := c.Sources[0] // the builder's handler of For is the handler of this source
	building := ctrl.NewControllerManagedBy(mgr).
		Named(c.Name).
		For(first.Object, builder.WithPredicates(first.Predicates...)).
		WithOptions(c.Options)
	for _, each := range c.Sources[1:] {
		watch := building.Watches
		if _, isMetadata := each.Object.(*metav1.PartialObjectMetadata); isMetadata {
			watch = building.WatchesMetadata
		}
		watch(each.Object, each.Handler, builder.WithPredicates(each.Predicates...))
	}
	for _, raw := range c.Raw {
		building.WatchesRawSource(raw)
	}
	return building.Complete(c.Reconcile)
}
