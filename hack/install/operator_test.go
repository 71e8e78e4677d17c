package install

import (
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// binary is the operator. "make test" built it; a test that is started alone builds it.
var binary = sync.OnceValues(func() (string, error) {
	if built := os.Getenv("TESTPROGRAMS"); built != "" {
		return filepath.Join(built, "fluent-credential-operator"), nil
	}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("fluent-credential-operator-install-%d", os.Getpid()))
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, root("cmd", "operator")).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// token is one that the API server gave out for a service account.
func (c *cluster) token(t *testing.T, namespace, name string) string {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	request := &authenticationv1.TokenRequest{}
	if err := c.admin.SubResource("token").Create(t.Context(), account, request); err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// withToken is the operator, as its service account's token makes it known.
func (c *cluster) withToken(t *testing.T) *rest.Config {
	t.Helper()
	return &rest.Config{Host: c.config.Host, BearerToken: c.token(t, system, operatorName), TLSClientConfig: rest.TLSClientConfig{CAData: c.config.CAData}}
}

// process is the operator, running with its service account's token and with the flags of its Deployment.
type process struct {
	*exec.Cmd
	log     string
	metrics string
}

// run starts the operator with exactly the rights that were installed.
func (c *cluster) run(t *testing.T) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := writeKubeconfig(kubeconfig, c.withToken(t)); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "operator.log"))
	if err != nil {
		t.Fatal(err)
	}
	p := &process{log: log.Name(), metrics: freeAddress(t)}
	flags := slices.Concat(c.deployed(t).Spec.Template.Spec.Containers[0].Args, []string{
		"--kubeconfig=" + kubeconfig, "--metrics-bind-address=" + p.metrics, "--health-probe-bind-address=0", "--insecure-http",
		"--journal-dir=" + t.TempDir(), "--leader-election-namespace=" + system,
	})
	p.Cmd = exec.Command(path, flags...)
	p.Stdout, p.Stderr, p.Env = log, log, append(os.Environ(), "POD_NAMESPACE="+system, "POD_UID=test")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end(t) })
	return p
}

// freeAddress is one on the loopback that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// end stops the operator as a kubelet does, and looks whether it was ever refused something.
func (p *process) end(t *testing.T) {
	t.Helper()
	if p.ProcessState != nil {
		return
	}
	_ = p.Process.Signal(syscall.SIGTERM)
	if err := p.Wait(); err != nil && !strings.Contains(err.Error(), "leader election lost") {
		t.Errorf("the operator ended with: %v", err)
	}
	text, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "forbidden") && !strings.Contains(line, "because it is being terminated") {
			t.Errorf("the operator was refused something: %s", line)
		}
	}
	if t.Failed() {
		t.Logf("the operator's log:\n%s", text)
	}
}

// server is a simulated authorization server.
func server(t *testing.T, life time.Duration, users ...string) (*authsim.Server, string) {
	t.Helper()
	config := authsim.Config{
		Clients:             []authsim.Client{{ID: "client", Secret: "a-client-secret", Scope: "api"}},
		AccessTokenLifetime: life, KillOnRefresh: true,
	}
	for _, user := range users {
		config.Users = append(config.Users, authsim.User{Username: user, Password: "a-password"})
	}
	sim := authsim.New(config)
	listener := httptest.NewServer(sim)
	t.Cleanup(func() { sim.Close(); listener.Close() })
	return sim, listener.URL
}

// credential creates a login, named after its namespace, and the FluentCredential that uses it.
func (c *cluster) credential(t *testing.T, namespace, url string, change func(*v1alpha1.FluentCredential)) *v1alpha1.FluentCredential {
	t.Helper()
	cred := &v1alpha1.FluentCredential{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "orders"},
		Spec: v1alpha1.FluentCredentialSpec{
			Provider:             v1alpha1.ProviderSpec{Fluent: &v1alpha1.FluentProvider{BaseURL: v1alpha1.BaseURL(url)}},
			CredentialsSecretRef: v1alpha1.CredentialsSecretReference{Name: "orders-login"}, Scope: "api",
			Target: v1alpha1.TargetSpec{Name: "orders-token"},
		},
	}
	if change != nil {
		change(cred)
	}
	c.create(t, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "orders-login"},
		StringData: map[string]string{"username": namespace, "password": "a-password", "client_id": "client", "client_secret": "a-client-secret"},
	}, cred)
	return cred
}

// rotated waits until the credential is Ready with that serial, or a later one.
func (c *cluster) rotated(t *testing.T, cred *v1alpha1.FluentCredential, serial int64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s/%s has token %d", cred.Namespace, cred.Name, serial), func() (bool, any) {
		now := &v1alpha1.FluentCredential{}
		c.get(t, now, cred.Namespace, cred.Name)
		ready := meta.IsStatusConditionTrue(now.Status.Conditions, v1alpha1.ConditionReady)
		return ready && now.Status.Token != nil && now.Status.Token.Serial >= serial, now.Status
	})
}
