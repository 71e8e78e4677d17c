//go:build linux

package nodecluster

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Addresses inside of the node's network namespace; they mean nothing outside of it.
const (
	nodeIP      = "10.245.0.1"
	podCIDR     = "10.244.0.0/24"
	serviceCIDR = "10.96.0.0/16"
	// apiServiceIP is the first of serviceCIDR: the Service "kubernetes".
	apiServiceIP = "10.96.0.1"
)

// nodeName is the name of the one node.
const nodeName = "node"

// layOutMachine makes the mounts and the network of the node. It runs in the node's namespaces.
func layOutMachine(dir string) error {
	for _, mount := range machineMounts(dir) {
		if err := mount.make(); err != nil {
			return err
		}
	}
	if err := syscall.Sethostname([]byte(nodeName)); err != nil {
		return fmt.Errorf("the host name cannot be set: %w", err)
	}
	return layOutNetwork()
}

type mount struct {
	source, target, kind string
	flags                uintptr
}

func (m mount) make() error {
	if err := syscall.Mount(m.source, m.target, m.kind, m.flags, ""); err != nil {
		return fmt.Errorf("%s cannot be mounted on %s: %w", m.source, m.target, err)
	}
	return nil
}

// machineMounts put the directories that node programs write to into the node's own. The programs of Kubernetes come
// first: they may lie in one of those that are covered then.
func machineMounts(dir string) []mount {
	bind := func(source, target string) mount { return mount{source, target, "", syscall.MS_BIND} }
	mounts := []mount{
		bind(os.Getenv(assetsVariable), filepath.Join(dir, "k8s")),
		bind(filepath.Join(dir, "var-lib"), "/var/lib"),
		bind(filepath.Join(dir, "var-log"), "/var/log"),
		{"tmpfs", "/run", "tmpfs", syscall.MS_NOSUID | syscall.MS_NODEV},
	}
	for name := range kernelSettings {
		mounts = append(mounts, bind(filepath.Join(dir, "sysctl", name), filepath.Join("/proc/sys", name)))
	}
	return mounts
}

// kernelSettings are what kubelet wants of the kernel. It would change them for the whole machine, and for good; so it is
// shown files that hold them already. A pod on a test node is as well off without.
var kernelSettings = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// layOutNetwork makes an interface that has the node's address, for a node must have one that is not the loopback. The
// route to the Services is for programs on the node: their packets need a way before kube-proxy's rules turn them.
func layOutNetwork() error {
	for _, args := range []string{
		"link set lo up",
		"link add node0 type bridge",
		"addr add " + nodeIP + "/24 dev node0",
		"link set node0 up",
		"route add " + serviceCIDR + " dev node0",
	} {
		if err := run("ip", strings.Fields(args)...); err != nil {
			return err
		}
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
}

// run runs a program to its end; its words are the error's.
func run(name string, args ...string) error {
	var said bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(said.String()))
	}
	return nil
}
