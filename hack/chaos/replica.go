package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fluent-credential/operator/hack/localcluster"
)

// replica is a pod of the operator: a journal directory, a way to the Kubernetes API, and a process that may be killed and started
// again in it, as the kubelet does with a container.
type replica struct {
	stage   *stage
	name    string
	journal string
	api     *apiProxy
	config  string   // path of the kubeconfig
	address string   // of the metrics and the probes
	args    []string // beside those of every replica
	atExec  func(pid int) error

	mu      sync.Mutex
	process *localcluster.Process
	metrics string // URL
	probes  string
	starts  int
}

func (s *stage) newReplica(number int) (*replica, error) {
	name := fmt.Sprintf("%s-%d", s.namespace, number)
	r := &replica{
		stage: s, name: name, journal: filepath.Join(s.dir, fmt.Sprintf("journal-%d", number)),
		config: filepath.Join(s.dir, name+".kubeconfig"), address: ownAddress(),
	}
	var err error
	if r.api, err = newAPIProxy(s.plant.operator.Config, s.plant.identity); err != nil {
		return nil, err
	}
	return r, clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"chaos": {Server: r.api.url(), CertificateAuthorityData: s.plant.identity.pem}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"chaos": {}},
		Contexts:       map[string]*clientcmdapi.Context{"chaos": {Cluster: "chaos", AuthInfo: "chaos"}},
		CurrentContext: "chaos",
	}, r.config)
}

var addresses atomic.Int32

// ownAddress is a loopback address that no other replica has, nor one of another run of this program: a port of 127.0.0.1 that
// is free now may be taken by any connection before a process that starts listens on it. All of 127.0.0.0/8 is Linux' loopback.
func ownAddress() string {
	number := addresses.Add(1)
	return fmt.Sprintf("127.%d.%d.%d", 20+os.Getpid()%200, number/250%250, 1+number%250)
}

// launch starts the process and does not wait until it is ready.
func (r *replica) launch() error {
	binary, err := localcluster.Binary("fluent-credential-operator")
	if err != nil {
		return err
	}
	metrics, probes := r.address+":8443", r.address+":8081"
	args := append([]string{
		"--kubeconfig=" + r.config, "--namespaces=" + r.stage.watched(), "--insecure-http", "--journal-dir=" + r.journal,
		"--leader-elect=" + fmt.Sprint(r.stage.elects), "--leader-election-namespace=" + r.stage.operatorHome(),
		"--metrics-secure=false", "--metrics-bind-address=" + metrics, "--health-probe-bind-address=" + probes,
	}, r.args...)
	process, err := r.stage.plant.cluster.Launch(localcluster.Program{
		Name: r.name, Path: binary, Args: args, AtExec: r.atExec,
		Environment: []string{"POD_NAMESPACE=" + r.stage.operatorHome(), "POD_UID=" + r.name},
	})
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.process, r.metrics, r.probes, r.starts = process, "http://"+metrics+"/metrics", "http://"+probes+"/readyz", r.starts+1
	return nil
}

// start starts the process and waits until its caches are filled.
func (r *replica) start(ctx context.Context) error {
	if err := r.launch(); err != nil {
		return err
	}
	process := r.current()
	return until(ctx, 3*time.Minute, r.name+" is ready", func(ctx context.Context) (string, error) {
		if !r.isAlive() {
			return "", process.Ended()
		}
		_, err := localcluster.Get(ctx, r.probes)
		return "", err
	})
}

func (r *replica) current() *localcluster.Process {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.process
}

func (r *replica) pid() int { return r.current().PID() }

// kill ends the process with SIGKILL.
func (r *replica) kill() {
	if process := r.current(); process != nil {
		process.Kill()
	}
}

// restart kills the process and starts another one in the same pod.
func (r *replica) restart(ctx context.Context) error {
	r.kill()
	return r.start(ctx)
}

func (r *replica) freeze() { r.current().Signal(syscall.SIGSTOP) }

func (r *replica) thaw() { r.current().Signal(syscall.SIGCONT) }

// isAlive tells whether the process runs.
func (r *replica) isAlive() bool {
	select {
	case <-r.current().Done():
		return false
	default:
		return true
	}
}

// restartPause is how long a container that ended stays down; the kubelet waits longer with every crash.
const restartPause = time.Second

// supervise starts the process again whenever it ends, until the context ends.
func (r *replica) supervise(ctx context.Context) (done <-chan error) {
	ended := make(chan error, 1)
	go func() {
		for {
			select {
			case <-r.current().Done():
			case <-ctx.Done():
				ended <- nil
				return
			}
			pause(ctx, restartPause)
			if ctx.Err() != nil {
				continue
			}
			if err := r.launch(); err != nil {
				ended <- err
				return
			}
		}
	}()
	return ended
}

// counter reads a series of the replica's metrics; 0 where it is not there.
func (r *replica) counter(ctx context.Context, series string) (float64, error) {
	text, err := localcluster.Get(ctx, r.metrics)
	if err != nil {
		return 0, err
	}
	return readCounter(string(text), series), nil
}

// log is everything that the replica's processes printed.
func (r *replica) log() string {
	text, err := os.ReadFile(r.current().Log)
	if err != nil {
		return ""
	}
	return string(text)
}

// journaled lists the replies in the journal.
func (r *replica) journaled() []string {
	files, _ := filepath.Glob(filepath.Join(r.journal, "*.reply"))
	return files
}

// readCounter finds a series in Prometheus' text format.
func readCounter(text, series string) float64 {
	for line := range strings.Lines(text) {
		name, value, found := strings.Cut(strings.TrimSpace(line), " ")
		if found && name == series {
			number, _ := strconv.ParseFloat(value, 64)
			return number
		}
	}
	return 0
}

// readField finds a line by its first word, and returns the second.
func readField(text, name string) string {
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name {
			return fields[1]
		}
	}
	return ""
}
