package localcluster

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Programs of the control plane. envtest gives no say in how it starts them, so it is given links to this very program under their
// names: called by such a name, Tether binds the process to the one that started it and turns it into what the name says.
var controlPlane = []string{"etcd", "kube-apiserver"}

// Environment variables by which a tethered process knows what it is about.
const (
	assetsVariable = "KUBEBUILDER_ASSETS"
	parentVariable = "LOCALCLUSTER_PARENT"
)

// Tether has to be the first call of main in a program that starts a Cluster. It returns at once, unless the process was started
// as a part of the control plane; then it never returns.
func Tether() {
	name := filepath.Base(os.Args[0])
	parent, err := strconv.Atoi(os.Getenv(parentVariable))
	if err != nil || !slices.Contains(controlPlane, name) {
		return
	}
	runtime.LockOSThread() // the death signal is this thread's, which becomes the new program's
	dieWithParent()
	if os.Getppid() != parent {
		os.Exit(1) // it died before we could be bound to it
	}
	path := filepath.Join(os.Getenv(assetsVariable), name)
	err = syscall.Exec(path, append([]string{path}, os.Args[1:]...), os.Environ())
	fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
	os.Exit(1)
}

// assets is the directory that holds etcd, kube-apiserver and kubectl.
func assets() (string, error) {
	dir := os.Getenv(assetsVariable)
	if dir == "" {
		dir = filepath.Join("bin", "k8s")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for _, name := range append([]string{"kubectl"}, controlPlane...) {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return "", fmt.Errorf("there is no %s in %s: \"make k8s\" builds it", name, dir)
		}
	}
	return dir, nil
}

// tethered makes the links, and returns their paths by program.
func tethered(dir, assets string) (map[string]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	links := map[string]string{}
	for _, name := range controlPlane {
		links[name] = filepath.Join(dir, name+".tether", name)
		if err := os.Mkdir(filepath.Dir(links[name]), 0o700); err != nil {
			return nil, err
		}
		if err := os.Symlink(self, links[name]); err != nil {
			return nil, err
		}
	}
	if err := os.Setenv(assetsVariable, assets); err != nil {
		return nil, err
	}
	return links, os.Setenv(parentVariable, strconv.Itoa(os.Getpid()))
}

func (c *Cluster) expand(value string) string { return strings.ReplaceAll(value, "{dir}", c.Dir) }

// launcher runs what starts processes on one thread that never ends: a child's death signal comes when the thread ends that
// started it, not the process, and the Go runtime may end a thread.
var launcher = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for start := range work {
			start()
		}
	}()
	return work
})

func onLauncher(start func() error) error {
	done := make(chan error, 1)
	launcher() <- func() { done <- start() }
	return <-done
}
