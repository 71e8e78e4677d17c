//go:build e2e

package e2e

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/localcluster"
	"github.com/fluent-credential/operator/hack/nodecluster"
)

// The operator as dist/install.yaml installs it.
const (
	operatorNamespace = "fluent-credential-system"
	operatorName      = "fluent-credential-operator"
	leaseName         = "fluent-credential-operator.auth.fluent-credential.dev"
)

// Files of the project, from this directory.
var (
	root      = filepath.Join("..", "..")
	installer = flag.String("installer", filepath.Join(root, "dist", "install.yaml"), "the manifest to install")
	images    = filepath.Join(root, "bin", "images")
)

func TestMain(m *testing.M) {
	nodecluster.Enter()
	flag.Parse()
	ctrl.SetLogger(logr.Discard()) // the clients of the tests have nothing to say
	os.Exit(m.Run())
}

// cluster is the node, with the operator installed, and ways to look at it.
type cluster struct {
	client.Client
	node   *nodecluster.Node
	typed  kubernetes.Interface
	steady *tenant
}

// newCluster starts a node and installs the operator, which all scenarios use.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	assets, err := filepath.Abs(cmp.Or(os.Getenv("KUBEBUILDER_ASSETS"), filepath.Join(root, "bin", "k8s")))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := localcluster.UntilInterrupted()
	began := time.Now()
	node, err := nodecluster.Start(ctx, nodecluster.Options{Assets: assets, PauseImage: filepath.Join(images, "pause.tar")})
	if err != nil {
		stop()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Stop(); err != nil {
			t.Error(err)
		}
	})
	disarm := context.AfterFunc(ctx, func() { _ = node.Stop(); os.Exit(1) }) // somebody interrupts the tests
	t.Cleanup(func() { disarm(); stop() })
	c := &cluster{node: node}
	c.connect(t)
	t.Logf("the node was ready after %s", time.Since(began).Round(time.Second))
	for _, image := range []string{operatorName, "former", "authsim", "consumer"} {
		if err := node.Import(ctx, filepath.Join(images, image+".tar")); err != nil {
			t.Fatal(err)
		}
	}
	c.apply(t, *installer, "")
	c.steady = newSteady(t, c)
	t.Logf("the operator was installed and had published a token after %s", time.Since(began).Round(time.Second))
	return c
}

func (c *cluster) connect(t *testing.T) {
	t.Helper()
	scheme := runtime.NewScheme()
	must(t, clientgoscheme.AddToScheme(scheme))
	must(t, v1alpha1.AddToScheme(scheme))
	var err error
	c.Client, err = client.New(c.node.Config, client.Options{Scheme: scheme})
	must(t, err)
	c.typed, err = kubernetes.NewForConfig(c.node.Config)
	must(t, err)
}

// apply installs manifests, or brings an installation up to them, with the image that they name or another one. One flag is added that
// production does not need: token endpoints may have the private addresses of this cluster's Services.
func (c *cluster) apply(t *testing.T, manifests, image string) {
	t.Helper()
	text, err := os.ReadFile(manifests)
	must(t, err)
	const flags, named = "- --leader-elect\n", "image: fluent-credential-operator:latest\n"
	for _, expected := range []string{flags, named} {
		if strings.Count(string(text), expected) != 1 {
			t.Fatalf("%s: not one %q", manifests, expected)
		}
	}
	changes := []string{flags, flags + "        - --allowed-hosts=10.96.*.*\n"}
	if image != "" {
		changes = append(changes, named, "image: "+image+"\n")
	}
	changed := filepath.Join(t.TempDir(), "install.yaml")
	must(t, os.WriteFile(changed, []byte(strings.NewReplacer(changes...).Replace(string(text))), 0o600))
	c.kubectl(t, "apply", "--server-side", "-f", changed)
	c.kubectl(t, "rollout", "status", "deployment", operatorName, "-n", operatorNamespace, "--timeout=4m")
}

// kubectl runs kubectl as an administrator and returns what it printed.
func (c *cluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.tryKubectl(t.Context(), args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (c *cluster) tryKubectl(ctx context.Context, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, c.node.Kubectl, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.node.Kubeconfig, "KUBECACHEDIR="+filepath.Join(c.node.Dir, "kubectl-cache"))
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// operatorPods are the operator's pods that are not on their way out.
func (c *cluster) operatorPods(t *testing.T) []corev1.Pod {
	t.Helper()
	var pods corev1.PodList
	must(t, c.List(t.Context(), &pods, client.InNamespace(operatorNamespace), client.MatchingLabels{"app.kubernetes.io/name": operatorName}))
	var alive []corev1.Pod
	for _, pod := range pods.Items {
		if pod.DeletionTimestamp == nil {
			alive = append(alive, pod)
		}
	}
	return alive
}

// leader is the pod that holds the lease.
func (c *cluster) leader(t *testing.T) corev1.Pod {
	t.Helper()
	var leading corev1.Pod
	eventually(t, "one of the operator's pods holds the lease", func() error {
		lease, err := c.typed.CoordinationV1().Leases(operatorNamespace).Get(t.Context(), leaseName, getOptions)
		if err != nil {
			return err
		}
		for _, pod := range c.operatorPods(t) {
			if holder := lease.Spec.HolderIdentity; holder != nil && strings.HasPrefix(*holder, pod.Name+"_") {
				leading = pod
				return nil
			}
		}
		return fmt.Errorf("held by %v", lease.Spec.HolderIdentity)
	})
	return leading
}

// awaitOperator waits until every replica of the operator is there and ready.
func (c *cluster) awaitOperator(t *testing.T) {
	t.Helper()
	eventually(t, "the operator has all its replicas", func() error {
		var deployment appsv1.Deployment
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: operatorNamespace, Name: operatorName}, &deployment); err != nil {
			return err
		}
		if status := deployment.Status; status.ReadyReplicas != *deployment.Spec.Replicas || status.Replicas != *deployment.Spec.Replicas {
			return fmt.Errorf("%d of %d are ready", status.ReadyReplicas, *deployment.Spec.Replicas)
		}
		return nil
	})
}

// tell prints what helps to understand a failure; none of it holds a secret.
func (c *cluster) tell(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{
		{"get", "fcred,pods", "-A", "-o", "wide"},
		{"logs", "-n", operatorNamespace, "-l", "app.kubernetes.io/name=" + operatorName, "--tail=30", "--prefix"},
		{"get", "events", "-A", "--sort-by=.lastTimestamp"},
	} {
		out, _ := c.tryKubectl(context.WithoutCancel(t.Context()), args...)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		t.Logf("kubectl %s\n%s", strings.Join(args, " "), strings.Join(lines[max(0, len(lines)-60):], "\n"))
	}
}
