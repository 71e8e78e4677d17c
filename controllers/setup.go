package controllers

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"runtime/debug"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/fairqueue"
	"github.com/fluent-credential/operator/internal/loginguard"
	operatormetrics "github.com/fluent-credential/operator/internal/metrics"
	"github.com/fluent-credential/operator/internal/watchdog"
)

// Options are what the flags of the operator say.
type Options struct {
	Policy exchange.Policy
	// Proxy chooses the proxy of an https endpoint; nil: none has one.
	Proxy func(*url.URL) (*url.URL, error)
	// MaxConcurrentExchanges bounds the exchanges in flight.
	MaxConcurrentExchanges int
	// HostRate bounds the requests a minute to one token host; zero: what its API documents.
	HostRate int
	// JournalDir is where replies are kept until they are stored; empty: nowhere.
	JournalDir string
	// JournalSize is how many bytes of the disk the replies may take, for each namespace and in all; zero: any number.
	JournalSize int64
	// TargetMetadata are the domains that labels and annotations of targets may have beside app.kubernetes.io.
	TargetMetadata []string
	// Namespaces are the ones that the manager's cache is restricted to; none means all.
	Namespaces []string
	// PermissionRecheck is how often the permission to nudge pods is looked up; zero means every five minutes.
	PermissionRecheck time.Duration
	// Namespace is the operator's own: the journal's key and the login guards are there.
	Namespace string
	// PodUID is the UID of the operator's pod; empty outside a cluster.
	PodUID string
	// Version of the operator, for the metrics.
	Version string
	// Metrics are made by New where they are nil.
	Metrics *operatormetrics.Metrics
	// Clock is the real one where it is nil.
	Clock clock.PassiveClock
}

// NewReconciler makes a Reconciler out of what a manager offers.
func NewReconciler(mgr ctrl.Manager, options Options) *Reconciler {
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	if options.Metrics == nil {
		options.Metrics = operatormetrics.New(metrics.Registry)
	}
	reconciler := &Reconciler{
		Client:   mgr.GetClient(),
		Live:     mgr.GetAPIReader(),
		Custody:  &custody.Store{Reader: mgr.GetAPIReader(), Writer: mgr.GetClient()},
		Dialer:   exchange.Dialer{Policy: options.Policy, Proxy: options.Proxy},
		Hosts:    NewHosts(options.HostRate).Bound(options.MaxConcurrentExchanges),
		Metrics:  options.Metrics,
		Recorder: newBoundedRecorder(printableRecorder{mgr.GetEventRecorder(v1alpha1.OperatorName)}, options.Clock),
		Clock:    options.Clock,
		Draw:     rand.Float64,
		Domains:  options.TargetMetadata,
		Holder:   custody.Holder{Pod: options.PodUID, Start: custody.NewID()},
		Watchdog: watchdog.New(options.Clock.Now),
		memory:   newMemory(),
	}
	reconciler.Watchdog.Holds = reconciler.Holds
	reconciler.Guard = &loginguard.Guard{
		Reader: mgr.GetAPIReader(), Writer: mgr.GetClient(), Namespace: options.Namespace, Salt: custody.NewID,
		HasLeft: reconciler.hasLeft,
	}
	return reconciler
}

// Setup adds the controller of FluentCredentials to a manager. The Reconciler is to be drained when the manager has stopped.
func Setup(ctx context.Context, mgr ctrl.Manager, options Options) (*Reconciler, error) {
	if options.Namespace == "" {
		return nil, errors.New("the operator's own namespace is not known: set POD_NAMESPACE, or --leader-election-namespace")
	}
	if err := addIndexes(ctx, mgr.GetFieldIndexer()); err != nil {
		return nil, err
	}
	r := NewReconciler(mgr, options)
	var err error
	if r.Journal, err = r.openJournal(ctx, mgr, options); err != nil {
		return nil, err
	}
	r.Metrics.Build(options.Version)
	if r.Journal != nil {
		r.Metrics.CountJournal(r.Journal.Len, r.Journal.Kept)
	}
	review := r.reviewPolicies(mgr.GetAPIReader(), options.Namespace)
	for _, first := range []everyReplica{giveBack, r.RecoverJournal, r.drainAtStop, review} {
		if err := mgr.Add(first); err != nil {
			return nil, err
		}
	}
	if err := mgr.Add(manager.RunnableFunc(r.sweepGuards)); err != nil { // by the leader
		return nil, err
	}
	if err := r.addDelivery(mgr, options); err != nil {
		return nil, err
	}
	if err := r.addTokens(ctx, mgr, options); err != nil {
		return nil, err
	}
	return r, r.addTo(mgr, options)
}

func (r *Reconciler) addTo(mgr ctrl.Manager, options Options) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("fluentcredential").
		For(&v1alpha1.FluentCredential{}, builder.WithPredicates(credentialChanged())).
		WatchesRawSource(r.turns()).
		WatchesRawSource(clockSteps(mgr.GetClient(), r.Clock, &v1alpha1.FluentCredentialList{})).
		Watches(&v1alpha1.FluentToken{}, tokenToCredential(mgr.GetClient())).
		WatchesMetadata(secretMetadata(), secretToCredentials(mgr.GetClient()), builder.WithPredicates(secretChanged())).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: options.MaxConcurrentExchanges + spareWorkers,
			NewQueue:                sharedQueue(options.MaxConcurrentExchanges),
			EnableWarmup:            ptr.To(true), // a standby knows all credentials when its time comes
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](errorBackoff, errorBackoffMost),
			ReconciliationTimeout:   PassTimeout,
		}).
		Complete(reconcile.Func(r.reconcileKey))
}

// PassTimeout bounds a reconcile pass up to its claim. Otherwise a Kubernetes API that accepts requests and does not
// answer would hold the worker. Work after a claim is detached from it, and ends when the result is stored.
const PassTimeout = time.Minute

// spareWorkers are never in an exchange: what needs no token host does not wait for any.
const spareWorkers = 8

// sharedQueue lets no namespace have all workers, nor all exchanges: one that is alone leaves the spare workers, and an eighth
// of the exchanges.
func sharedQueue(exchanges int) func(
	string, workqueue.TypedRateLimiter[reconcile.Request],
) workqueue.TypedRateLimitingInterface[reconcile.Request] {
	return fairqueue.New(exchanges+spareWorkers, spareWorkers+(exchanges+7)/8)
}

// reconcileKey finds the object in the cache. One that vanished without being released, because somebody took our finalizer away,
// is forgotten.
func (r *Reconciler) reconcileKey(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	ctx, ended := r.Watchdog.Pass(ctx, request.String())
	defer ended()
	cred := &v1alpha1.FluentCredential{}
	err := r.Client.Get(ctx, request.NamespacedName, cred)
	if apierrors.IsNotFound(err) {
		r.forget(request.NamespacedName)
		if r.forsake(ctx, request.NamespacedName, "") {
			return ctrl.Result{RequeueAfter: errorBackoffMost}, nil
		}
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	result, err := r.Reconcile(ctx, cred)
	if err != nil && isStopping(ctx) {
		return ctrl.Result{}, nil // work left unfinished is no error
	}
	return result, err
}

// The pace at which a pass is made again that the Kubernetes API let down.
const (
	errorBackoff     = 50 * time.Millisecond
	errorBackoffMost = 30 * time.Second
)

// giveBack returns to the system what the caches needed while they were filled, which is a multiple of what they keep: in a cluster with
// many Secrets and few credentials it would be held for hours.
func giveBack(context.Context) { debug.FreeOSMemory() }

// CacheOptions say what the cache keeps: of Secrets and Namespaces their metadata, of that only what is looked at, and no managed fields.
// Login guards are as many as logins, and are read live.
func CacheOptions(namespaces []string) cache.Options {
	noGuards := fields.OneTermNotEqualSelector("type", v1alpha1.GuardSecretType)
	options := cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			secretMetadata(): {Transform: strip, Field: noGuards}, namespaceMetadata(): {Transform: stripNamespace},
			&v1alpha1.FluentCredential{}: {Transform: stripCredential},
			&v1alpha1.FluentToken{}:      {Transform: stripToken},
		},
		// A read that would start a watch on whole Secrets is a mistake, not a wish.
		ReaderFailOnMissingInformer: true,
	}
	if len(namespaces) > 0 {
		options.DefaultNamespaces = map[string]cache.Config{}
		for _, namespace := range namespaces {
			options.DefaultNamespaces[namespace] = cache.Config{}
		}
	}
	return options
}

// AddToScheme adds the kinds of Kubernetes that the controllers work with.
func AddToScheme(scheme *runtime.Scheme) error {
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, authorizationv1.AddToScheme, admissionv1.AddToScheme, metav1.AddMetaToScheme,
	} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	return v1alpha1.AddToScheme(scheme)
}

// CachesSynced is a readiness check: the caches are filled, whether this replica leads or stands by.
func CachesSynced(mgr ctrl.Manager) healthz.Checker {
	return func(request *http.Request) error {
		ctx, cancel := context.WithTimeout(request.Context(), time.Second)
		defer cancel()
		if !mgr.GetCache().WaitForCacheSync(ctx) {
			return errors.New("the caches are not filled yet")
		}
		return nil
	}
}
