package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// The suite runs the program itself, as a user would, against a real kube-apiserver: one for the whole package, and a namespace of
// its own for every test.
var (
	cluster    *rest.Config
	live       client.Client
	program    string // the path of kubectl-fluent
	kubeconfig string
	plane      *envtest.Environment
)

// testVersion is what the program was built as.
const testVersion = "v0.0.1-test"

func TestMain(m *testing.M) {
	flag.Parse()
	if fuzz := flag.Lookup("test.fuzz"); fuzz != nil && fuzz.Value.String() != "" {
		os.Exit(m.Run()) // a fuzz target needs no cluster, and each of its workers would start one
	}
	os.Exit(withCluster(m))
}

func withCluster(m *testing.M) int {
	log.SetLogger(logr.Discard())
	dir, err := os.MkdirTemp("", "kubectl-fluent-")
	if err == nil {
		defer os.RemoveAll(dir) //nolint:errcheck // it is in the way of nobody
		err = errors.Join(build(dir), start(dir))
	}
	if plane != nil {
		defer func() { _ = plane.Stop() }()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "the suite does not start; did \"make k8s\" run?", err)
		return 1
	}
	return m.Run()
}

func build(dir string) error {
	program = filepath.Join(dir, "kubectl-fluent")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-ldflags", "-X main.version="+testVersion, "-o", program,
		"github.com/fluent-credential/operator/cmd/kubectl-fluent").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

func start(dir string) error {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		assets, _ := filepath.Abs(filepath.Join("..", "..", "bin", "k8s"))
		_ = os.Setenv("KUBEBUILDER_ASSETS", assets)
	}
	plane = &envtest.Environment{
		CRDDirectoryPaths: []string{filepath.Join("..", "..", "config", "crd", "bases")}, ErrorIfCRDPathMissing: true,
	}
	var err error
	if cluster, err = plane.Start(); err != nil {
		return err
	}
	cluster.QPS = -1
	if live, err = client.New(cluster, client.Options{Scheme: newScheme()}); err != nil {
		return err
	}
	kubeconfig = filepath.Join(dir, "admin.kubeconfig")
	return os.WriteFile(kubeconfig, plane.KubeConfig, 0o600)
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

// said is what a run of the program left behind.
type said struct {
	out, err string
	code     int
}

// fluent runs the program. The environment is the test's own: no kubeconfig but ours.
func fluent(t *testing.T, input string, arguments ...string) said {
	t.Helper()
	command := fluentCommand(t.Context(), arguments...)
	var out, err bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(input), &out, &err
	result := command.Run()
	var exit *exec.ExitError
	if result != nil && !errors.As(result, &exit) {
		t.Fatal(result)
	}
	return said{out.String(), err.String(), command.ProcessState.ExitCode()}
}

func fluentCommand(ctx context.Context, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, program, arguments...)
	command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "TERM=xterm", "NO_COLOR=", "HOME="+filepath.Dir(program))
	return command
}

// must fails the test where the program ended otherwise.
func must(t *testing.T, code int, input string, arguments ...string) said {
	t.Helper()
	got := fluent(t, input, arguments...)
	if got.code != code {
		t.Fatalf("kubectl fluent %s: exit code %d, want %d\n%s%s", strings.Join(arguments, " "), got.code, code, got.out, got.err)
	}
	return got
}

// contains fails the test where a text lacks a part.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
}

// credential is a FluentCredential that logs in at a URL.
func credential(namespace, name, url string) *v1alpha1.FluentCredential {
	return &v1alpha1.FluentCredential{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"team": "orders"}},
		Spec: v1alpha1.FluentCredentialSpec{
			Provider:             v1alpha1.ProviderSpec{Fluent: &v1alpha1.FluentProvider{BaseURL: v1alpha1.BaseURL(url)}},
			CredentialsSecretRef: v1alpha1.CredentialsSecretReference{Name: name + "-login"},
			Scope:                "api",
			Target:               v1alpha1.TargetSpec{Name: name + "-token"},
		},
	}
}

// scene is a state of a credential that a test sets up without an operator.
type scene struct {
	conditions []metav1.Condition
	expires    time.Duration // from now; zero: no token
	next       time.Duration // from now; zero: none
	failures   *v1alpha1.FailureStatus
	suspend    bool
}

// condition is a condition as the operator writes it.
func condition(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message, LastTransitionTime: metav1.Now()}
}

// stage creates a credential in that state.
func (s scene) stage(t *testing.T, namespace, name string) *v1alpha1.FluentCredential {
	t.Helper()
	cred := credential(namespace, name, "https://"+name+".example.com")
	cred.Spec.Suspend = s.suspend
	create(t, cred)
	before, now := cred.DeepCopy(), time.Now()
	cred.Status.ObservedGeneration, cred.Status.Conditions, cred.Status.Failures = cred.Generation, s.conditions, s.failures
	if s.expires != 0 {
		cred.Status.Token = &v1alpha1.TokenStatus{
			Serial: 17, Grant: "refresh_token", ObtainedTime: metav1.NewTime(now.Add(-time.Minute)), ExpirationTime: metav1.NewTime(now.Add(s.expires)),
		}
	}
	if s.next != 0 {
		cred.Status.NextRefreshTime = new(metav1.NewTime(now.Add(s.next)))
	}
	if err := live.Status().Patch(t.Context(), cred, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	return cred
}

// Conditions of the scenes.
var (
	ready       = condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonTokenPublished, "Secret holds a valid access token")
	renewable   = condition(v1alpha1.ConditionRenewable, metav1.ConditionTrue, v1alpha1.ReasonRenewalExpected, "the next refresh is expected to work")
	dying       = condition(v1alpha1.ConditionRenewable, metav1.ConditionFalse, v1alpha1.ReasonReauthorizationRequired, "no refresh token is stored")
	notReady    = condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonCredentialsRejected, "invalid_grant: Bad credentials")
	stalled     = condition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonCredentialsRejected, "invalid_grant: Bad credentials")
	halted      = condition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonReauthorizationRequired, "no refresh token is stored")
	reconciling = condition(v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonProviderUnavailable, "connection refused")
	isSuspended = condition(v1alpha1.ConditionRenewable, metav1.ConditionFalse, v1alpha1.ReasonSuspended, "spec.suspend is true")
)

// scenes are one of each urgency.
var scenes = map[string]scene{
	"fine":      {conditions: []metav1.Condition{ready, renewable}, expires: time.Hour, next: 40 * time.Minute},
	"retrying":  {conditions: []metav1.Condition{ready, renewable, reconciling}, expires: 2 * time.Hour, next: -time.Minute},
	"ending":    {conditions: []metav1.Condition{ready, dying}, expires: 3 * time.Hour},
	"suspended": {conditions: []metav1.Condition{ready, isSuspended}, expires: 10 * time.Minute, suspend: true},
	"down":      {conditions: []metav1.Condition{notReady, stalled}, expires: -time.Hour},
	"unseen":    {},
	"stopped":   {conditions: []metav1.Condition{ready, dying, halted}, expires: 5 * time.Hour, next: -time.Hour},
	"vanished":  {conditions: []metav1.Condition{ready, renewable}, expires: -time.Minute, next: -10 * time.Minute},
}
