// Package localcluster runs a control plane, the operator and the simulated authorization server as processes of this machine, for
// the demo and the benchmark. Everything listens on the loopback, keeps its files in one temporary directory, and goes when the
// program that started it goes: stopped by Cluster.Stop, or, on Linux, killed by the kernel where that program could not call it.
//
// A program that starts a Cluster has to call Tether first thing in main.
package localcluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// How long the control plane may take on a machine that is busy with something else. Nothing in it is worth a long goodbye: a
// kubectl that watches from another terminal would make it one.
const (
	startTimeout = time.Minute
	stopTimeout  = 3 * time.Second
)

// Cluster is a control plane: etcd and kube-apiserver, and what was started beside them.
type Cluster struct {
	// Dir is the temporary directory of everything here: data, logs, kubeconfigs. Stop removes it.
	Dir string
	// Kubectl is the path of kubectl.
	Kubectl string

	env *envtest.Environment

	mu        sync.Mutex // guards processes: chaos starts them from several goroutines
	processes []*Process
}

// Options say what is special about a control plane.
type Options struct {
	// Name is in the name of the temporary directory.
	Name string
	// APIServerFlags are flags of kube-apiserver, without their dashes; "{dir}" in a value stands for Cluster.Dir.
	APIServerFlags map[string]string
	// EtcdFlags are flags of etcd, likewise.
	EtcdFlags map[string]string
	// Files are put into Cluster.Dir before the start, by name.
	Files map[string]string
}

// Start starts etcd and kube-apiserver from the directory that KUBEBUILDER_ASSETS names, or from bin/k8s. It takes seconds, and
// cannot be interrupted meanwhile: envtest knows no context.
func Start(options Options) (*Cluster, error) {
	cluster, err := prepare(options)
	if err != nil {
		return nil, err
	}
	if err := cluster.start(); err != nil {
		return nil, errors.Join(err, cluster.Stop())
	}
	return cluster, nil
}

// prepare lays out the directory; nothing runs yet.
func prepare(options Options) (*Cluster, error) {
	assets, err := assets()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", options.Name+"-")
	if err != nil {
		return nil, err
	}
	cluster := &Cluster{Dir: dir, Kubectl: filepath.Join(assets, "kubectl")}
	if err := cluster.layOut(assets, options); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return cluster, nil
}

func (c *Cluster) layOut(assets string, options Options) error {
	for name, text := range options.Files {
		if err := os.WriteFile(filepath.Join(c.Dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	paths, err := tethered(c.Dir, assets)
	if err != nil {
		return err
	}
	c.env, err = c.environment(paths, options)
	return err
}

// environment is envtest's, with every file in our directory: what it would put elsewhere would stay there if this process is
// killed.
func (c *Cluster) environment(paths map[string]string, options Options) (*envtest.Environment, error) {
	ours := false // whatever USE_EXISTING_CLUSTER says: this is about a cluster of our own
	env := &envtest.Environment{
		UseExistingCluster:       &ours,
		ControlPlaneStartTimeout: startTimeout, ControlPlaneStopTimeout: stopTimeout,
	}
	etcd, apiserver := &envtest.Etcd{Path: paths["etcd"]}, &envtest.APIServer{Path: paths["kube-apiserver"]}
	etcd.DataDir, apiserver.CertDir = filepath.Join(c.Dir, "etcd"), filepath.Join(c.Dir, "kube-apiserver")
	for _, dir := range []string{etcd.DataDir, apiserver.CertDir} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
	}
	for name, value := range options.APIServerFlags {
		apiserver.Configure().Set(name, c.expand(value))
	}
	for name, value := range options.EtcdFlags {
		etcd.Configure().Set(name, c.expand(value))
	}
	env.ControlPlane.Etcd, env.ControlPlane.APIServer, env.ControlPlane.KubectlPath = etcd, apiserver, c.Kubectl
	return env, nil
}

// start runs the control plane, its output in log files.
func (c *Cluster) start() error {
	plane := &c.env.ControlPlane
	var logs []*os.File
	for _, name := range controlPlane {
		log, err := os.Create(c.logPath(name))
		if err != nil {
			return err
		}
		defer log.Close() //nolint:errcheck // the processes hold copies of their own
		logs = append(logs, log)
	}
	plane.Etcd.Out, plane.Etcd.Err = logs[0], logs[0]
	plane.APIServer.Out, plane.APIServer.Err = logs[1], logs[1]
	err := onLauncher(func() error { _, err := c.env.Start(); return err })
	if err != nil {
		return fmt.Errorf("the control plane does not start: %w\n%s", err, lastLines(c.logPath("kube-apiserver"), 5))
	}
	return nil
}

func (c *Cluster) logPath(name string) string { return filepath.Join(c.Dir, name+".log") }

// Stop stops everything that was started here, the newest first, and removes the directory. It may be called again.
func (c *Cluster) Stop() error {
	var errs []error
	c.mu.Lock()
	processes := c.processes
	c.processes = nil
	c.mu.Unlock()
	for _, process := range slices.Backward(processes) {
		errs = append(errs, process.Stop())
	}
	if c.env != nil {
		_ = c.env.Stop() // an error says that it had to be killed, which is as good
		c.env = nil
	}
	return errors.Join(append(errs, os.RemoveAll(c.Dir))...)
}

// User is somebody whom the API server knows by a client certificate.
type User struct {
	Config     *rest.Config // without a limit of requests
	Kubeconfig string       // the path of a file
}

// Admin is the group whose members may do everything.
const Admin = "system:masters"

// AddUser makes a user, whose kubeconfig works in the given namespace.
func (c *Cluster) AddUser(name, namespace string, groups ...string) (*User, error) {
	added, err := c.env.AddUser(envtest.User{Name: name, Groups: groups}, &rest.Config{QPS: -1})
	if err != nil {
		return nil, err
	}
	text, err := added.KubeConfig()
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.Load(text)
	if err != nil {
		return nil, err
	}
	config.Contexts[config.CurrentContext].Namespace = namespace
	path := filepath.Join(c.Dir, name+".kubeconfig")
	return &User{Config: added.Config(), Kubeconfig: path}, clientcmd.WriteToFile(*config, path)
}
