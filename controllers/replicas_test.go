package controllers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// shortLived makes a rotation due every second or so.
func shortLived(config *authsim.Config) { config.AccessTokenLifetime = 2 * time.Second }

func TestTwoOperatorsWithoutElectionPresentEachTokenOnce(t *testing.T) {
	t.Parallel()
	const credentials = 5
	sim, namespace := newServer(t, manyUsers(credentials, shortLived)), newNamespace(t)
	startOperator(t, namespace)
	startOperator(t, namespace)
	createMany(t, namespace, credentials, sim)
	for i := range credentials {
		eventually(t, "ten rotations", func() (bool, any) {
			token := get(t, &v1alpha1.FluentCredential{}, namespace, fmt.Sprintf("orders-%d", i)).Status.Token
			return token != nil && token.Serial > 10, token
		})
	}
	ledger := sim.Ledger()
	if most := mostPresented(ledger); ledger.Reuses != 0 || most != 1 {
		t.Errorf("%d reuses, one refresh token presented %d times; want 0 and once", ledger.Reuses, most)
	}
	if got := ledger.RequestsOf(authsim.GrantPassword); got != credentials {
		t.Errorf("the password was used %d times, want %d", got, credentials)
	}
}

// binary is the operator for all tests that need it as a process. "make test" built it; a test that is started alone builds it.
var binary = sync.OnceValues(func() (string, error) {
	if built := os.Getenv("TESTPROGRAMS"); built != "" {
		return filepath.Join(built, "fluent-credential-operator"), nil
	}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("fluent-credential-operator-%d", os.Getpid()))
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, "../cmd/operator").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// process is an operator in a process of its own, which a test can kill.
type process struct {
	*exec.Cmd
	log string
}

// startProcess runs the built operator, at the highest verbosity.
func startProcess(t *testing.T, namespace string, arguments ...string) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.CreateTemp(t.TempDir(), "operator-*.log")
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(path, append([]string{
		"--kubeconfig", kubeconfig(t, cluster), "--namespaces", namespace, "--insecure-http", "--zap-log-level=10",
		"--journal-dir", t.TempDir(), "--metrics-bind-address=0", "--health-probe-bind-address=0", "--leader-election-namespace", namespace,
	}, arguments...)...)
	command.Stdout, command.Stderr, command.Env = log, log, append(os.Environ(), "POD_NAMESPACE="+namespace)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	running := &process{Cmd: command, log: log.Name()}
	t.Cleanup(func() { running.kill(); running.searchLog(t) })
	return running
}

func (p *process) kill() {
	_ = p.Process.Signal(syscall.SIGKILL)
	_ = p.Wait()
}

// searchLog puts the process's log to the lines that are searched for secrets at the end.
func (p *process) searchLog(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(p.log)
	if err != nil || len(text) == 0 {
		t.Errorf("the operator's log cannot be read: %d bytes, %v", len(text), err)
	}
	logs.add(string(text))
	if t.Failed() {
		t.Logf("the operator's log:\n%s", text)
	}
}

func kubeconfig(t *testing.T, config *rest.Config) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	err := clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{"test": {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{"test": {
			ClientCertificateData: config.CertData, ClientKeyData: config.KeyData, Token: config.BearerToken,
		}},
		Contexts:       map[string]*clientcmdapi.Context{"test": {Cluster: "test", AuthInfo: "test"}},
		CurrentContext: "test",
	}, path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestKilledLeaderIsFollowed(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, shortLived), newNamespace(t)
	create(t, loginSecret(namespace, "orders-login"))
	cred := credential(namespace, "orders", sim)
	create(t, cred)
	rotatedPast := func(serial int64) {
		t.Helper()
		eventuallyIn(t, time.Minute, fmt.Sprintf("rotated past %d", serial), func() (bool, any) {
			token := reread(t, cred).Status.Token
			return token != nil && token.Serial > serial, token
		})
	}
	leader := startProcess(t, namespace)
	rotatedPast(3)
	startProcess(t, namespace)
	rotatedPast(6)
	leader.kill()
	killed, serial := time.Now(), reread(t, cred).Status.Token.Serial
	rotatedPast(serial + 5)
	t.Logf("six more rotations within %s of the leader's SIGKILL; its lease lasts 15 s", time.Since(killed).Round(100*time.Millisecond))
	if reuses := sim.Ledger().Reuses; reuses != 0 {
		t.Errorf("%d spent refresh tokens were presented again", reuses)
	}
}

func TestStoppedLeaderHandsOver(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, shortLived), newNamespace(t)
	create(t, loginSecret(namespace, "orders-login"))
	cred := credential(namespace, "orders", sim)
	create(t, cred)
	leader := startProcess(t, namespace)
	eventuallyIn(t, time.Minute, "Ready", ready(t, cred))
	startProcess(t, namespace)
	if err := leader.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	stopped, serial := time.Now(), reread(t, cred).Status.Token.Serial
	eventuallyIn(t, time.Minute, "three more rotations", func() (bool, any) {
		now := reread(t, cred).Status.Token.Serial
		return now > serial+3, now
	})
	t.Logf("four more rotations within %s of the leader's SIGTERM", time.Since(stopped).Round(100*time.Millisecond))
	mustRotateCleanly(t, sim.Ledger(), 4)
}
