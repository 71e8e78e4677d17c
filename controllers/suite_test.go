package controllers

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/metrics"
)

// The suite runs against a real kube-apiserver, one for the whole package; every test has a namespace of its own.
var (
	cluster *rest.Config
	live    client.Client
)

func TestMain(m *testing.M) { os.Exit(withCluster(m.Run)) }

func withCluster(run func() int) int {
	ctrl.SetLogger(logr.New(logs))
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		assets, _ := filepath.Abs(filepath.Join("..", "bin", "k8s"))
		_ = os.Setenv("KUBEBUILDER_ASSETS", assets)
	}
	env := &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join("..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
		ControlPlane:          envtest.ControlPlane{},
	}
	var err error
	if cluster, err = env.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "the control plane does not start; did \"make k8s\" run?", err)
		return 1
	}
	defer func() { _ = env.Stop() }()
	cluster.QPS = -1
	if live, err = client.New(cluster, client.Options{Scheme: everything()}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return judged(run())
}

func testScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	if err := AddToScheme(scheme); err != nil {
		panic(err)
	}
	return scheme
}

// everything is what a test may look at: more than the operator knows.
func everything() *runtime.Scheme {
	scheme := testScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		panic(err)
	}
	return scheme
}

var namespaces atomic.Int64

// newNamespace makes a namespace that nothing else uses.
func newNamespace(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("t%d-%d", os.Getpid(), namespaces.Add(1))
	create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	return name
}

func create(t *testing.T, object client.Object) {
	t.Helper()
	if err := live.Create(t.Context(), object); err != nil {
		t.Fatalf("create %T %s: %v", object, object.GetName(), err)
	}
}

// server is a simulated authorization server on the loopback.
type server struct {
	*authsim.Server
	URL string
}

const (
	user, password         = "fluent-api", "a-password-that-is-long-enough-to-be-found"
	clientID, clientSecret = "fluent-api-client", "a-client-secret-that-is-long-enough-to-be-found"
)

// newServer starts an authorization server that knows the login above; its secrets are searched for in the logs at the end.
func newServer(t *testing.T, change func(*authsim.Config)) *server {
	t.Helper()
	config := authsim.Config{
		Clients:             []authsim.Client{{ID: clientID, Secret: clientSecret, Scope: "api"}},
		Users:               []authsim.User{{Username: user, Password: password, RetailerID: 1, FirstName: "Fluent", LastName: "Commerce"}},
		AccessTokenLifetime: 30 * time.Second,
		KillOnRefresh:       true,
	}
	if change != nil {
		change(&config)
	}
	sim := authsim.New(config)
	listener := httptest.NewServer(sim)
	t.Cleanup(func() {
		sim.Close()
		listener.Close()
		remember(sim.SecretValues(), hiddenOf(sim))
	})
	return &server{Server: sim, URL: listener.URL}
}

// hiddenOf are the secrets that no workload Secret may hold.
func hiddenOf(sim *authsim.Server) []string {
	hidden := []string{password, clientSecret, wrongPassword}
	for _, issued := range sim.Ledger().RefreshTokens {
		hidden = append(hidden, issued.Value)
	}
	return hidden
}

// operator is a running operator of which a test can be sure that it has stopped when the test ends.
type operator struct {
	stop     func()
	registry *prometheus.Registry
	mgr      ctrl.Manager
}

// newManager is a manager that watches one namespace.
func newManager(t *testing.T, namespace string) ctrl.Manager {
	t.Helper()
	return newManagerAs(t, cluster, namespace)
}

func newManagerAs(t *testing.T, who *rest.Config, namespaces ...string) ctrl.Manager {
	t.Helper()
	anyName := true
	mgr, err := ctrl.NewManager(who, ctrl.Options{
		Scheme: testScheme(), Cache: CacheOptions(namespaces),
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: &anyName},
	})
	if err != nil {
		t.Fatal(err)
	}
	return mgr
}

// startOperator runs an operator in this process, with the real clock, until the test ends or stop is called.
func startOperator(t *testing.T, namespace string) *operator {
	t.Helper()
	return startOperatorAs(t, cluster, namespace)
}

// startOperatorAs runs one that works in these namespaces; the first one is its own as well.
func startOperatorAs(t *testing.T, who *rest.Config, namespaces ...string) *operator {
	t.Helper()
	return startOperatorOn(t, t.TempDir(), who, namespaces...)
}

// startOperatorOn runs one with this directory for its journal; none if it is empty.
func startOperatorOn(t *testing.T, journal string, who *rest.Config, namespaces ...string) *operator {
	t.Helper()
	registry := prometheus.NewRegistry()
	mgr := newManagerAs(t, who, namespaces...)
	ctx, cancel := context.WithCancel(context.Background())
	options := Options{
		Policy: exchange.Policy{InsecureHTTP: true}, MaxConcurrentExchanges: 16,
		Metrics: metrics.New(registry), Clock: clock.RealClock{}, Namespaces: namespaces, Namespace: namespaces[0], JournalDir: journal,
		PermissionRecheck: 200 * time.Millisecond,
	}
	if _, err := Setup(ctx, mgr, options); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	stopped := false
	var running *operator
	running = &operator{registry: registry, mgr: mgr, stop: func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the operator stopped with: %v", err)
		}
		logs.add(running.exposition(t))
	}}
	t.Cleanup(running.stop)
	return running
}

// loginSecret is a credentials Secret with the login that newServer knows.
func loginSecret(namespace, name string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		StringData: map[string]string{"username": user, "password": password, "client_id": clientID, "client_secret": clientSecret},
	}
}

// manyUsers gives the server so many users; one login can be used by one FluentCredential only.
func manyUsers(count int, change func(*authsim.Config)) func(*authsim.Config) {
	return func(config *authsim.Config) {
		change(config)
		for i := range count {
			config.Users = append(config.Users, authsim.User{Username: fmt.Sprintf("%s-%d", user, i), Password: password})
		}
	}
}

// createMany creates as many FluentCredentials, orders-0 and so on, each with a user of its own.
func createMany(t *testing.T, namespace string, count int, at *server) {
	t.Helper()
	for i := range count {
		name := fmt.Sprintf("orders-%d", i)
		login := loginSecret(namespace, name+"-login")
		login.StringData["username"] = fmt.Sprintf("%s-%d", user, i)
		create(t, login)
		cred := credential(namespace, name, at)
		cred.Spec.CredentialsSecretRef.Name = login.Name
		create(t, cred)
	}
}

// credential is a FluentCredential that logs in at the server.
func credential(namespace, name string, at *server) *v1alpha1.FluentCredential {
	return &v1alpha1.FluentCredential{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.FluentCredentialSpec{
			Provider:             v1alpha1.ProviderSpec{Fluent: &v1alpha1.FluentProvider{BaseURL: v1alpha1.BaseURL(at.URL)}},
			CredentialsSecretRef: v1alpha1.CredentialsSecretReference{Name: "orders-login"},
			Scope:                "api",
			Target:               v1alpha1.TargetSpec{Name: name + "-token"},
		},
	}
}
