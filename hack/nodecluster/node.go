//go:build linux

package nodecluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Node is a running cluster with one node.
type Node struct {
	// Dir holds everything about the node; Stop removes it.
	Dir string
	// Kubeconfig is the path of an administrator's kubeconfig, which works outside of the node's namespaces.
	Kubeconfig string
	// Kubectl is the path of kubectl.
	Kubectl string
	// Config is the kubeconfig's, without a limit of requests.
	Config *rest.Config

	id       string
	init     *exec.Cmd
	lifeline *os.File // while this end is open, the node lives
	lock     *os.File
	done     chan struct{}
}

// Options say what the node is made of.
type Options struct {
	// Assets is the directory of etcd, kube-apiserver, kubelet and the other programs of Kubernetes.
	Assets string
	// PauseImage is the path of the OCI archive of the image [PauseName].
	PauseImage string
}

// Start starts a node and waits until it is ready for pods.
func Start(ctx context.Context, options Options) (*Node, error) {
	if err := errors.Join(Check(), options.check()); err != nil {
		return nil, err
	}
	if err := RemoveDead(); err != nil {
		return nil, err
	}
	node, err := prepare(options)
	if err != nil {
		return nil, err
	}
	if err := node.start(ctx, options); err != nil {
		return nil, errors.Join(node.explain(err), node.Stop())
	}
	return node, nil
}

// prepare makes the directory, which is locked for as long as this process lives.
func prepare(options Options) (*Node, error) {
	dir, lock, err := newDir()
	if err != nil {
		return nil, err
	}
	return &Node{
		Dir: dir, Kubeconfig: filepath.Join(dir, "kubeconfig"), Kubectl: filepath.Join(options.Assets, "kubectl"),
		id: filepath.Base(dir), lock: lock, done: make(chan struct{}),
	}, nil
}

func (n *Node) start(ctx context.Context, options Options) error {
	if err := makeCgroups(n.id); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close() //nolint:errcheck // the node holds a copy of its own
	server := "https://" + listener.Addr().String()
	if err := n.configure(server, options.Assets); err != nil {
		return err
	}
	if n.Config, err = clientcmd.BuildConfigFromFlags("", n.Kubeconfig); err != nil {
		return err
	}
	n.Config.QPS = -1
	if err := n.launch(listener.(*net.TCPListener)); err != nil {
		return err
	}
	return n.awaitReady(ctx, options)
}

// launch starts the first process of the node's namespaces, and hands it the listener for the API server and the end of
// a pipe that it reads: at the pipe's end, it ends, and the kernel kills the rest.
func (n *Node) launch(listener *net.TCPListener) error {
	port, err := listener.File()
	if err != nil {
		return err
	}
	defer port.Close() //nolint:errcheck // the node holds a copy of its own
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close() //nolint:errcheck // the node holds a copy of its own
	log, err := os.Create(n.logPath("node"))
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the node holds a copy of its own
	n.init = enteringCommand(roleInit, n.Dir)
	n.init.Stdout, n.init.Stderr = log, log
	n.init.ExtraFiles = []*os.File{lifelineFD: read, listenerFD: port}
	n.init.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: namespaces}
	if err := n.init.Start(); err != nil {
		return errors.Join(fmt.Errorf("the node's namespaces cannot be made: %w", err), write.Close())
	}
	n.lifeline = write
	go func() {
		_ = n.init.Wait() // it says no more than that it was stopped
		close(n.done)
	}()
	return nil
}

// Stop ends the node and removes everything of it. It may be called again.
func (n *Node) Stop() error {
	if n.lifeline != nil {
		_ = n.lifeline.Close() // the only way to fail is to be closed already
		<-n.done               // the kernel reports the end of the first process once all the others are gone
	}
	err := errors.Join(removeCgroups(n.id), removeDir(n.Dir))
	_ = n.lock.Close()
	removeRoot()
	return err
}

// Done is closed when the node has ended.
func (n *Node) Done() <-chan struct{} { return n.done }

func (n *Node) logPath(name string) string { return filepath.Join(n.Dir, "log", name+".log") }
