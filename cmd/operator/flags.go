package main

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/controllers"
	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/printable"
	"github.com/fluent-credential/operator/internal/projection"
)

// gracefulShutdown is how long the exchanges in flight have to finish after SIGTERM; the pod's grace period must be longer.
const gracefulShutdown = 75 * time.Second

type flags struct {
	leaderElect     bool
	leaderNamespace string
	namespaces      list
	metricsAddress  string
	metricsSecure   bool
	probeAddress    string
	pprofAddress    string
	allowedHosts    list
	insecureHTTP    bool
	targetMetadata  list
	maxConcurrent   int
	hostRate        int
	journalDir      string
	journalSize     resource.QuantityValue
	proxy           func(*url.URL) (*url.URL, error) // from the environment
	zap             zap.Options
}

// parse reads the command line. "--help" prints the flags and is no error.
func parse(args []string) (*flags, error) {
	f := &flags{}
	set := flag.NewFlagSet("fluent-credential-operator", flag.ContinueOnError)
	f.register(set)
	if err := set.Parse(args); errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	} else if err != nil {
		return nil, err
	}
	if set.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	return f, f.check()
}

func (f *flags) register(set *flag.FlagSet) {
	config.RegisterFlags(set) // --kubeconfig
	set.BoolVar(&f.leaderElect, "leader-elect", true, "Run only while holding the lease; more replicas stand by.")
	set.StringVar(&f.leaderNamespace, "leader-election-namespace", "", "Namespace of the lease; the operator's own by default.")
	set.Var(&f.namespaces, "namespaces", "Comma list of namespaces to work in; all by default.")
	set.StringVar(&f.metricsAddress, "metrics-bind-address", ":8443", "Address of the metrics; 0 turns them off.")
	set.BoolVar(&f.metricsSecure, "metrics-secure", true, "Serve metrics over TLS, with authentication and authorization.")
	set.StringVar(&f.probeAddress, "health-probe-bind-address", ":8081", "Address of /healthz and /readyz.")
	set.StringVar(&f.pprofAddress, "pprof-bind-address", "",
		"Address of /debug/pprof, for profiles; off by default. It asks nobody who they are: bind it to the loopback.")
	set.Var(&f.allowedHosts, "allowed-hosts",
		"Comma list of host patterns such as *.api.fluentretail.com that may be asked for a token; every public host by default.")
	set.BoolVar(&f.insecureHTTP, "insecure-http", false, "Permit http:// endpoints and loopback addresses. For development.")
	set.Var(&f.targetMetadata, "allowed-target-metadata", "Comma list of domains such as argocd.argoproj.io, *.example.com or * for all, "+
		"whose labels and annotations spec.target may have; none by default but app.kubernetes.io. The admission policy has the same list.")
	set.IntVar(&f.maxConcurrent, "max-concurrent-exchanges", 16, "How many exchanges may be in flight.")
	set.IntVar(&f.hostRate, "host-rate", 0, "Requests a minute to one token host; 0 means what its API documents: 30 for Commerce Layer, any number for the others.")
	set.StringVar(&f.journalDir, "journal-dir", "/var/lib/fluent-credential-operator/journal",
		"Where replies are kept, encrypted, until they are stored in the cluster; empty turns the journal off.")
	f.journalSize.Quantity = resource.MustParse("64Mi")
	set.Var(&f.journalSize, "journal-size",
		"How much of the disk at --journal-dir replies may take, such as 64Mi: what the volume there holds. It is divided among namespaces.")
	f.zap.BindFlags(set)
}

// leastJournal is room for some exchanges of some namespaces.
var leastJournal = resource.MustParse("8Mi")

func (f *flags) check() error {
	if f.maxConcurrent < 1 {
		return fmt.Errorf("--max-concurrent-exchanges must be 1 or more, not %d", f.maxConcurrent)
	}
	if f.hostRate < 0 {
		return fmt.Errorf("--host-rate must be 0 or more, not %d", f.hostRate)
	}
	if f.journalSize.Cmp(leastJournal) < 0 {
		return fmt.Errorf("--journal-size must be %s or more, not %s", &leastJournal, &f.journalSize.Quantity)
	}
	for _, pattern := range f.allowedHosts {
		if !isHostPattern(pattern) {
			return fmt.Errorf("--allowed-hosts: %q is not a pattern of host names: no scheme, port or path", pattern)
		}
	}
	for _, domain := range f.targetMetadata {
		if !projection.IsDomain(domain) {
			return fmt.Errorf("--allowed-target-metadata: %q is not a domain: name it as in example.com, *.example.com or *", domain)
		}
	}
	var err error
	f.proxy, err = exchange.ProxyFromEnvironment()
	return err
}

func isHostPattern(pattern string) bool {
	if _, err := netip.ParseAddr(pattern); err == nil {
		return true
	}
	_, err := path.Match(pattern, "")
	return err == nil && !strings.ContainsAny(pattern, ":/")
}

func (f *flags) managerOptions() ctrl.Options {
	scheme := runtime.NewScheme()
	_ = controllers.AddToScheme(scheme) // cannot fail: it only adds types
	metrics := metricsserver.Options{BindAddress: f.metricsAddress, SecureServing: f.metricsSecure}
	if f.metricsSecure {
		metrics.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	shutdown, duration, deadline, retry := gracefulShutdown, leaseDuration, renewDeadline, leaderRetry
	return ctrl.Options{
		Scheme:                        scheme,
		Cache:                         controllers.CacheOptions(f.namespaces),
		MapperProvider:                newMapper,
		Metrics:                       metrics,
		HealthProbeBindAddress:        f.probeAddress,
		PprofBindAddress:              f.pprofAddress,
		LeaderElection:                f.leaderElect,
		LeaderElectionID:              v1alpha1.LeaderLease,
		LeaderElectionNamespace:       f.leaderNamespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &duration,
		RenewDeadline:                 &deadline,
		RetryPeriod:                   &retry,
		GracefulShutdownTimeout:       &shutdown,
	}
}

func (f *flags) controllerOptions() controllers.Options {
	return controllers.Options{
		Policy:                 exchange.Policy{AllowedHosts: f.allowedHosts, InsecureHTTP: f.insecureHTTP},
		Proxy:                  f.proxy,
		MaxConcurrentExchanges: f.maxConcurrent,
		HostRate:               f.hostRate,
		TargetMetadata:         f.targetMetadata,
		JournalDir:             f.journalDir,
		JournalSize:            f.journalSize.Value(),
		Namespaces:             f.namespaces,
		Namespace:              f.namespace(),
		PodUID:                 os.Getenv("POD_UID"),
		Version:                version,
	}
}

// serviceAccountNamespace is where Kubernetes tells a pod its namespace.
const serviceAccountNamespace = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// namespace is the operator's own: what belongs to no FluentCredential is kept there. Empty: it is not known.
func (f *flags) namespace() string {
	if name := os.Getenv("POD_NAMESPACE"); name != "" {
		return name
	}
	if name, err := os.ReadFile(serviceAccountNamespace); err == nil {
		return strings.TrimSpace(string(name))
	}
	return f.leaderNamespace
}

// logger writes printable lines, which names and messages of others cannot forge, and caps the verbosity: from level 6 on, client-go logs requests, and from level 8 on their bodies, which are Secrets.
func (f *flags) logger() logr.Logger {
	options := f.zap
	if options.DestWriter == nil {
		options.DestWriter = os.Stderr
	}
	options.DestWriter = printable.NewWriter(options.DestWriter)
	logger := zap.New(zap.UseFlagOptions(&options))
	return logr.New(capped{logger.GetSink()})
}

// list is a comma list of words.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

// Set adds the words of a comma list.
func (l *list) Set(text string) error {
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.TrimSpace(word); word != "" {
			*l = append(*l, word)
		}
	}
	return nil
}
