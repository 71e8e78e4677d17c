package localcluster

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// readyTimeout is how long a process may take to become ready: an operator fills its caches first, and a bench gives it much to fill.
const readyTimeout = 2 * time.Minute

// Binary is the path of a program that "make build" makes; it is looked for beside the running one.
func Binary(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(self), name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("there is no %s: \"make build\" builds it", path)
	}
	return path, nil
}

// OperatorNamespace is the operator's own namespace, where it keeps what belongs to no FluentCredential. Somebody has to create it.
const OperatorNamespace = "fluent-credential-system"

// Operator is the operator's own binary at work.
type Operator struct {
	*Process
	// MetricsURL is where it serves its metrics.
	MetricsURL string
}

// StartOperator starts the operator, alone and permitted to use plain HTTP on the loopback, and waits until it is ready. Started
// again, it is a container that was restarted in its pod.
func (c *Cluster) StartOperator(ctx context.Context, as *User, args ...string) (*Operator, error) {
	return c.StartReplica(ctx, as, "", args...)
}

// StartReplica starts another pod of the operator, with a journal of its own.
func (c *Cluster) StartReplica(ctx context.Context, as *User, pod string, args ...string) (*Operator, error) {
	binary, err := Binary("fluent-credential-operator")
	if err != nil {
		return nil, err
	}
	metrics, probes, err := freeAddresses()
	if err != nil {
		return nil, err
	}
	args = append([]string{
		"--kubeconfig=" + as.Kubeconfig, "--leader-elect=false", "--insecure-http",
		"--journal-dir=" + filepath.Join(c.Dir, "journal"+pod),
		"--metrics-secure=false", "--metrics-bind-address=" + metrics, "--health-probe-bind-address=" + probes,
	}, args...)
	environment := []string{"POD_NAMESPACE=" + OperatorNamespace, "POD_UID=" + filepath.Base(c.Dir) + pod}
	process, err := c.launch(program{name: "operator" + pod, path: binary, args: args, environment: environment})
	if err != nil {
		return nil, err
	}
	operator := &Operator{Process: process, MetricsURL: "http://" + metrics + "/metrics"}
	return operator, process.AwaitOK(ctx, "http://"+probes+"/readyz")
}

// freeAddresses finds two loopback addresses that nobody listens on. Somebody else may take one in the next moment; then the
// operator says so and ends.
func freeAddresses() (first, second string, err error) {
	var addresses [2]string
	for i := range addresses {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", "", err
		}
		defer listener.Close() //nolint:errcheck // both are held until both are known, so that they differ
		addresses[i] = listener.Addr().String()
	}
	return addresses[0], addresses[1], nil
}

// AwaitOK asks until the URL answers 200.
func (p *Process) AwaitOK(ctx context.Context, target string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		if status, _, err := get(ctx, target, ""); err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-ticker.C:
		case <-p.done:
			return fmt.Errorf("%w\n%s", p.Ended(), p.LastLines(5))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", p.Name, context.Cause(ctx))
		}
	}
}
