package cli

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/controllers"
	"github.com/fluent-credential/operator/hack/authsim"
	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/metrics"
)

// The operator and the authorization server that the commands are tested with are the real one and the simulated one of hack/authsim.

const (
	user, password         = "fluent-api", "a-password-that-is-long-enough-to-be-found"
	clientID, clientSecret = "fluent-api-client", "a-client-secret-that-is-long-enough-to-be-found"
)

// server is a simulated authorization server on the loopback.
type server struct {
	*authsim.Server
	URL string
}

// address is the server's host and port.
func (s *server) address() string { return strings.TrimPrefix(s.URL, "http://") }

func newServer(t *testing.T, change func(*authsim.Config)) *server {
	t.Helper()
	settings := authsim.Config{
		Clients:             []authsim.Client{{ID: clientID, Secret: clientSecret, Scope: "api"}},
		Users:               []authsim.User{{Username: user, Password: password}},
		AccessTokenLifetime: time.Hour, KillOnRefresh: true,
	}
	if change != nil {
		change(&settings)
	}
	sim := authsim.New(settings)
	listener := httptest.NewServer(sim)
	t.Cleanup(func() { sim.Close(); listener.Close() })
	return &server{sim, listener.URL}
}

// startOperator runs an operator in this process until the test ends.
func startOperator(t *testing.T, namespace string) {
	t.Helper()
	scheme, anyName := runtime.NewScheme(), true
	if err := controllers.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	mgr, err := ctrl.NewManager(cluster, ctrl.Options{
		Scheme: scheme, Cache: controllers.CacheOptions([]string{namespace}), Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: &anyName},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if _, err := controllers.Setup(ctx, mgr, controllers.Options{
		Policy: exchange.Policy{InsecureHTTP: true}, MaxConcurrentExchanges: 4, Metrics: metrics.New(prometheus.NewRegistry()),
		Clock: clock.RealClock{}, Namespace: namespace, JournalDir: t.TempDir(),
	}); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Errorf("the operator stopped with: %v", err)
		}
	})
}

// loginSecret is a credentials Secret with these entries.
func loginSecret(namespace, name string, data map[string]string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, StringData: data}
}

// fullLogin is a login with a stored password.
func fullLogin() map[string]string {
	return map[string]string{"username": user, "password": password, "client_id": clientID, "client_secret": clientSecret}
}

// clientAlone is a login without a user: somebody has to log in.
func clientAlone() map[string]string {
	return map[string]string{"client_id": clientID, "client_secret": clientSecret}
}

// reread reads the credential anew.
func reread(t *testing.T, cred *v1alpha1.FluentCredential) *v1alpha1.FluentCredential {
	t.Helper()
	var now v1alpha1.FluentCredential
	if err := live.Get(t.Context(), keyOf(cred), &now); err != nil {
		t.Fatal(err)
	}
	return &now
}

// eventually waits for a state of the credential.
func eventually(t *testing.T, cred *v1alpha1.FluentCredential, what string, is func(*v1alpha1.FluentCredential) bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		now := reread(t, cred)
		if is(now) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("never %s: %+v", what, now.Status)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func isReady(cred *v1alpha1.FluentCredential) bool { return isTrue(cred, v1alpha1.ConditionReady) }

func hasReason(reason string) func(*v1alpha1.FluentCredential) bool {
	return func(cred *v1alpha1.FluentCredential) bool {
		return cred.Status.Summary != nil && cred.Status.Summary.Reason == reason
	}
}
