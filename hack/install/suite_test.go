package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/install/rights"
)

// Where the manifests put the operator.
const (
	system       = rights.System
	operatorName = "fluent-credential-operator"
	operatorUser = rights.Account
)

func root(parts ...string) string { return filepath.Join(append([]string{"..", ".."}, parts...)...) }

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		assets, _ := filepath.Abs(root("bin", "k8s"))
		_ = os.Setenv("KUBEBUILDER_ASSETS", assets)
	}
	code := m.Run()
	for _, cluster := range started {
		_ = cluster.env.Stop()
	}
	os.Exit(code)
}

// cluster is a control plane into which something was installed. Several tests share one; each has namespaces of its own.
type cluster struct {
	env    *envtest.Environment
	config *rest.Config
	admin  client.Client
}

var started []*cluster

// newCluster starts a control plane and applies manifests as an administrator would.
func newCluster(manifests func() (string, error)) (*cluster, error) {
	text, err := manifests()
	if err != nil {
		return nil, err
	}
	c := &cluster{}
	if err := c.start(); err != nil {
		return nil, fmt.Errorf("the control plane does not start; did \"make k8s\" run? %w", err)
	}
	started = append(started, c)
	c.config.QPS = -1
	if c.admin, err = client.New(c.config, client.Options{Scheme: scheme()}); err != nil {
		return nil, err
	}
	return c, c.apply(text)
}

// start starts the control plane. Its ports are chosen before they are bound, and on a busy machine somebody else can take one; envtest
// itself would try the same port again.
func (c *cluster) start() (err error) {
	for range 3 {
		c.env = &envtest.Environment{}
		if c.config, err = c.env.Start(); err == nil {
			return nil
		}
	}
	return err
}

// apply applies manifests and waits until the CRD is served.
func (c *cluster) apply(text string) error {
	out, err := c.kubectl(c.config, text, "apply", "--server-side", "-f", "-")
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	out, err = c.kubectl(c.config, "", "wait", "--for=condition=Established", "--timeout=60s", "crd/fluentcredentials.auth.fluent-credential.dev", "crd/fluenttokens.auth.fluent-credential.dev")
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// byDefault is a cluster with dist/install.yaml, as it is released.
var byDefault = sync.OnceValues(func() (*cluster, error) {
	return newCluster(func() (string, error) {
		text, err := os.ReadFile(root("dist", "install.yaml"))
		return string(text), err
	})
})

// forNamespaces is a cluster with the overlay for the namespaces shop and warehouse.
var forNamespaces = sync.OnceValues(func() (*cluster, error) {
	return newCluster(func() (string, error) {
		text, err := kustomize("config", "namespaced")
		return "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n---\n" +
			"{apiVersion: v1, kind: Namespace, metadata: {name: warehouse}}\n---\n" + text, err
	})
})

func shared(t *testing.T, start func() (*cluster, error)) *cluster {
	t.Helper()
	c, err := start()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func scheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(err)
		}
	}
	return scheme
}

// tool runs a program of bin/tools. "make test" builds it before the tests: a build takes minutes on a new machine.
func tool(name string, arguments ...string) (string, error) {
	path := filepath.Join("bin", "tools", name)
	if _, err := os.Stat(root(path)); err != nil {
		return "", fmt.Errorf("%s is not there, run \"make %s\" first, or \"make test\": %w", path, path, err)
	}
	command := exec.Command("./"+path, arguments...)
	command.Dir = root()
	out, err := command.Output()
	if exit := (&exec.ExitError{}); err != nil {
		if errors.As(err, &exit) {
			return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(arguments, " "), err, exit.Stderr)
		}
		return "", err
	}
	return string(out), nil
}

func kustomize(path ...string) (string, error) {
	return tool("kustomize", "build", filepath.Join(path...))
}

func (c *cluster) kubectl(who *rest.Config, input string, arguments ...string) (string, error) {
	dir, err := os.MkdirTemp("", "kubectl-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "kubeconfig")
	if err := writeKubeconfig(path, who); err != nil {
		return "", err
	}
	command := exec.Command(filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), append([]string{"--kubeconfig", path}, arguments...)...)
	command.Stdin = strings.NewReader(input)
	out, err := command.CombinedOutput()
	return string(out), err
}

func writeKubeconfig(path string, config *rest.Config) error {
	user := &clientcmdapi.AuthInfo{
		ClientCertificateData: config.CertData, ClientKeyData: config.KeyData, Token: config.BearerToken,
		Impersonate: config.Impersonate.UserName, ImpersonateGroups: config.Impersonate.Groups,
	}
	return clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"test": {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"test": user},
		Contexts:       map[string]*clientcmdapi.Context{"test": {Cluster: "test", AuthInfo: "test"}},
		CurrentContext: "test",
	}, path)
}

// as is a client of somebody. A service account is in the groups that Kubernetes puts it into.
func (c *cluster) as(t *testing.T, user string, groups ...string) client.Client {
	t.Helper()
	who := rest.CopyConfig(c.config)
	groups = append(groups, "system:authenticated")
	if parts := strings.Split(user, ":"); strings.HasPrefix(user, "system:serviceaccount:") {
		groups = append(groups, "system:serviceaccounts", "system:serviceaccounts:"+parts[2])
	}
	who.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	theirs, err := client.New(who, client.Options{Scheme: scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return theirs
}

// create creates an object as the administrator.
func (c *cluster) create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, object := range objects {
		if err := c.admin.Create(t.Context(), object); err != nil {
			t.Fatalf("create %T %s: %v", object, object.GetName(), err)
		}
	}
}

func (c *cluster) namespace(t *testing.T, name string) string {
	t.Helper()
	c.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	return name
}

func (c *cluster) get(t *testing.T, object client.Object, namespace, name string) bool {
	t.Helper()
	err := c.admin.Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: name}, object)
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	return err == nil
}

// eventually waits until the condition holds; it says what was seen last where it does not.
func eventually(t *testing.T, what string, holds func() (ok bool, seen any)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		ok, seen := holds()
		if ok {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: never; last seen: %+v", what, seen)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
