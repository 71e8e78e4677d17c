package controllers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/distribution"
	"github.com/fluent-credential/operator/internal/fairqueue"
)

// referenceIndex is the FluentCredential that a FluentToken refers to, as namespace/name.
const referenceIndex = "spec.credentialRef"

// tokenConcurrency is how many FluentTokens are looked at at a time, beside those that a new token is being distributed to.
const tokenConcurrency = 16

// addTokens adds the controller of FluentTokens.
func (r *Reconciler) addTokens(ctx context.Context, mgr ctrl.Manager, options Options) error {
	selects, err := mayReadNamespaces(ctx, mgr.GetClient())
	if err != nil {
		return err
	}
	r.Tokens = r.tokens(options, selects)
	return r.Tokens.addTo(mgr)
}

// tokens works with what the Reconciler works with.
func (r *Reconciler) tokens(options Options, selects bool) *TokenReconciler {
	return &TokenReconciler{
		Client: r.Client, Live: r.Live, Custody: r.Custody, Metrics: r.Metrics, Delivery: r.Delivery, Recorder: r.Recorder,
		Clock: r.Clock, Namespaces: options.Namespaces, Selects: selects, consumers: newConsumers(),
		Watchdog: r.Watchdog, Domains: r.Domains,
	}
}

// mayReadNamespaces asks what Roles, which are given namespace by namespace, can never permit.
func mayReadNamespaces(ctx context.Context, writer client.Writer) (bool, error) {
	for _, verb := range []string{"get", "list", "watch"} {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: verb, Resource: "namespaces"},
		}}
		if err := writer.Create(ctx, review); err != nil {
			return false, fmt.Errorf("the permission to read namespaces cannot be looked up: %w", err)
		}
		if !review.Status.Allowed {
			return false, nil
		}
	}
	return true, nil
}

func (t *TokenReconciler) addTo(mgr ctrl.Manager) error {
	building := ctrl.NewControllerManagedBy(mgr).
		Named("fluenttoken").
		For(&v1alpha1.FluentToken{}, builder.WithPredicates(tokenChanged())).
		Watches(&v1alpha1.FluentCredential{}, t.credentialToTokens(), builder.WithPredicates(credentialConcernsTokens())).
		WatchesMetadata(secretMetadata(), t.secretToTokens(), builder.WithPredicates(secretChanged())).
		WatchesRawSource(clockSteps(mgr.GetClient(), t.Clock, &v1alpha1.FluentTokenList{})).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: tokenConcurrency,
			NewQueue:                fairqueue.New(tokenConcurrency, tokenConcurrency/4),
			EnableWarmup:            ptr.To(true), // a standby knows all of them when its time comes
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](errorBackoff, errorBackoffMost),
			ReconciliationTimeout:   PassTimeout,
		})
	if t.Selects {
		building.WatchesMetadata(namespaceMetadata(), t.namespaceToTokens(), builder.WithPredicates(labelsChanged()))
	}
	return building.Complete(reconcile.Func(t.reconcileKey))
}

// reconcileKey finds the object in the cache; one that vanished is forgotten.
func (t *TokenReconciler) reconcileKey(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	ctx, ended := t.Watchdog.Pass(ctx, request.String())
	defer ended()
	ctx, cancel := context.WithTimeout(ctx, tokenPatience)
	defer cancel()
	token := &v1alpha1.FluentToken{}
	err := t.Client.Get(ctx, request.NamespacedName, token)
	if apierrors.IsNotFound(err) {
		t.forget(request.NamespacedName)
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	return t.Reconcile(ctx, token)
}

// tokenPatience bounds one pass: a namespace that does not answer must not hold up the others for long.
const tokenPatience = 10 * time.Second

// tokenChanged lets through what a person changed: the spec, a deletion, a finalizer that was taken away.
func tokenChanged() predicate.Predicate {
	return predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			return len(e.ObjectNew.GetFinalizers()) < len(e.ObjectOld.GetFinalizers())
		},
	})
}

// credentialConcernsTokens lets through what changes something for its consumers: a new token, another consent, an end.
func credentialConcernsTokens() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, now := e.ObjectOld.(*v1alpha1.FluentCredential), e.ObjectNew.(*v1alpha1.FluentCredential)
		return before.UID != now.UID || before.DeletionTimestamp.IsZero() != now.DeletionTimestamp.IsZero() ||
			!equality.Semantic.DeepEqual(before.Spec.AllowedNamespaces, now.Spec.AllowedNamespaces) ||
			!equality.Semantic.DeepEqual(before.Status.Token, now.Status.Token) || accountOf(before) != accountOf(now)
	}}
}

func labelsChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return !maps.Equal(e.ObjectOld.GetLabels(), e.ObjectNew.GetLabels())
	}}
}

// credentialToTokens wakes the FluentTokens that a credential concerns. For others it has not changed: when a FluentToken is looked at
// shows, by what is done about a Secret that was made to look like its own.
func (t *TokenReconciler) credentialToTokens() handler.EventHandler {
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			t.wake(ctx, queue, e.Object)
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			t.wake(ctx, queue, e.ObjectOld, e.ObjectNew)
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			t.wake(ctx, queue, e.Object)
		},
	}
}

// wake looks at a credential as it is, and as it was.
func (t *TokenReconciler) wake(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request], creds ...client.Object) {
	tokens := t.referring(ctx, client.ObjectKeyFromObject(creds[0]))
	for i := range tokens {
		if t.isConcerned(ctx, &tokens[i], creds) {
			queue.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&tokens[i])})
		}
	}
}

// isConcerned tells whether a FluentToken has a credential's token, or is or was permitted to have it.
func (t *TokenReconciler) isConcerned(ctx context.Context, token *v1alpha1.FluentToken, creds []client.Object) bool {
	if t.consumers.of(client.ObjectKeyFromObject(token), token.UID).holds.Load() != nil {
		return true
	}
	namespace, err := t.namespaceOf(ctx, token.Namespace)
	return err != nil || slices.ContainsFunc(creds, func(cred client.Object) bool {
		return distribution.Allows(cred.(*v1alpha1.FluentCredential), namespace)
	})
}

func (t *TokenReconciler) namespaceToTokens() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, namespace client.Object) []reconcile.Request {
		return t.matching(ctx, client.InNamespace(namespace.GetName()))
	})
}

// secretToTokens maps a Secret to the FluentTokens that it was written for, or that want to publish under its name.
func (t *TokenReconciler) secretToTokens() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, secret client.Object) []reconcile.Request {
		requests := t.matching(ctx, client.InNamespace(secret.GetNamespace()), client.MatchingFields{targetIndex: secret.GetName()})
		if name := secret.GetAnnotations()[v1alpha1.TokenAnnotation]; name != "" {
			requests = append(requests, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: secret.GetNamespace(), Name: name}})
		}
		return requests
	})
}

func (t *TokenReconciler) matching(ctx context.Context, options ...client.ListOption) []reconcile.Request {
	var list v1alpha1.FluentTokenList
	if err := t.Client.List(ctx, &list, append(options, client.UnsafeDisableDeepCopy)...); err != nil {
		return nil // the cache answers, or is not there
	}
	requests := make([]reconcile.Request, 0, len(list.Items))
	for i := range list.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return requests
}

// countPause is how long a credential waits until it counts its consumers again: many that change at a time are counted once.
const countPause = 5 * time.Second

// tokenToCredential wakes the credential of a FluentToken that came, went, failed or got another token, a little later.
func tokenToCredential(reader client.Reader) handler.EventHandler {
	wake := func(queue workqueue.TypedRateLimitingInterface[reconcile.Request], object client.Object) {
		queue.AddAfter(reconcile.Request{NamespacedName: object.(*v1alpha1.FluentToken).Spec.CredentialRef.Key()}, countPause)
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			if !e.IsInInitialList {
				wake(queue, e.Object)
			}
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			wake(queue, e.Object)
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			before, now := e.ObjectOld.(*v1alpha1.FluentToken), e.ObjectNew.(*v1alpha1.FluentToken)
			if isTokenReady(before) != isTokenReady(now) || before.Spec.CredentialRef != now.Spec.CredentialRef ||
				serialIn(before) != serialIn(now) && !isCounted(ctx, reader, now) {
				wake(queue, before)
				wake(queue, now)
			}
		},
	}
}

// serialIn is the serial that a FluentToken tells; zero: none.
func serialIn(token *v1alpha1.FluentToken) int64 {
	if token.Status.Token == nil {
		return 0
	}
	return token.Status.Token.Serial
}

// isCounted tells whether the credential says already that all its consumers have that token: as it does after most rotations.
func isCounted(ctx context.Context, reader client.Reader, token *v1alpha1.FluentToken) bool {
	cred := &v1alpha1.FluentCredential{}
	if err := reader.Get(ctx, token.Spec.CredentialRef.Key(), cred, client.UnsafeDisableDeepCopy); err != nil {
		return false
	}
	counted, newest := cred.Status.Consumers, cred.Status.Token
	return counted != nil && counted.Current == counted.Total && newest != nil && newest.Serial == serialIn(token)
}

// addTokenIndexes makes the look-ups of consumers cheap.
func addTokenIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	token := &v1alpha1.FluentToken{}
	err := indexer.IndexField(ctx, token, referenceIndex, func(object client.Object) []string {
		return []string{object.(*v1alpha1.FluentToken).Spec.CredentialRef.Key().String()}
	})
	if err != nil {
		return err
	}
	return indexer.IndexField(ctx, token, targetIndex, func(object client.Object) []string {
		return []string{object.(*v1alpha1.FluentToken).TargetName()}
	})
}

// stripNamespace takes from the cache's Namespaces what nothing looks at.
func stripNamespace(object any) (any, error) {
	namespace, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return object, nil
	}
	namespace.ObjectMeta = metav1.ObjectMeta{
		Name: namespace.Name, UID: namespace.UID, ResourceVersion: namespace.ResourceVersion, Labels: namespace.Labels,
	}
	return namespace, nil
}
