//go:build linux

package nodecluster

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// install is the command that installs what a node needs besides Kubernetes, on Debian and its kin.
const install = "apt-get install -y --no-install-recommends containerd runc containernetworking-plugins iptables iproute2 util-linux"

// kubernetesPrograms are the programs of Kubernetes that a node runs.
var kubernetesPrograms = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl"}

// ErrUnsuitable says that the machine cannot run a node, whatever is installed on it.
var ErrUnsuitable = errors.New("this machine cannot run a node")

// Check says what this machine lacks to run a node, and how to get it. The error is ErrUnsuitable where nothing helps.
func Check() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w for you: a node mounts, makes network interfaces and cgroups, and runs containers: be root", ErrUnsuitable)
	}
	if err := checkPrograms(); err != nil {
		return err
	}
	if err := checkCgroups(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnsuitable, err)
	}
	return checkNamespaces()
}

// check looks for what "make" builds.
func (o Options) check() error {
	for _, name := range kubernetesPrograms {
		if _, err := os.Stat(filepath.Join(o.Assets, name)); err != nil {
			return fmt.Errorf("there is no %s in %s: \"make node-programs\" builds it", name, o.Assets)
		}
	}
	if _, err := os.Stat(o.PauseImage); err != nil {
		return fmt.Errorf("the image of the pods' sandboxes: \"make node-programs\" builds it: %w", err)
	}
	return nil
}

// checkPrograms looks for the programs of other packages.
func checkPrograms() error {
	var missing []string
	for _, name := range []string{"containerd", "containerd-shim-runc-v2", "ctr", "runc", "iptables", "ip", "nsenter"} {
		if _, err := exec.LookPath(name); err != nil {
			missing = append(missing, name)
		}
	}
	if _, err := cniPlugins(); err != nil {
		missing = append(missing, err.Error())
	}
	if len(missing) > 0 {
		return fmt.Errorf("missing: %s. On Debian and its kin:\n  %s", strings.Join(missing, ", "), install)
	}
	return nil
}

// cniPlugins is the directory of the CNI plug-ins: Debian's, or that of their own releases.
func cniPlugins() (string, error) {
	for _, dir := range []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"} {
		if _, err := os.Stat(filepath.Join(dir, "ptp")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("the CNI plug-ins (ptp)")
}

// checkCgroups makes a cgroup, and looks for the controllers that kubelet does not start without.
func checkCgroups() error {
	id := fmt.Sprintf("%scheck-%d", prefix, os.Getpid())
	if err := makeCgroups(id); err != nil {
		return errors.Join(err, removeCgroups(id))
	}
	defer removeCgroups(id) //nolint:errcheck // it is empty
	for _, controller := range []string{"cpu", "cpuset", "memory", "pids"} {
		if !hasController(controller) {
			return fmt.Errorf("the cgroup controller %q is not to be had", controller)
		}
	}
	return nil
}

func hasController(name string) bool {
	if all, err := os.ReadFile(filepath.Join(cgroupRoot, "cgroup.controllers")); err == nil {
		return bytes.Contains(append([]byte(" "), bytes.ReplaceAll(all, []byte("\n"), []byte(" "))...), []byte(" "+name+" "))
	}
	_, err := os.Stat(filepath.Join(cgroupRoot, name))
	return err == nil
}

// checkNamespaces tries in namespaces that vanish again what a node will do in its own.
func checkNamespaces() error {
	dir, err := os.MkdirTemp("", "fluent-node-check-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is empty
	probe := enteringCommand(roleProbe, dir)
	probe.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces}
	said, err := probe.CombinedOutput()
	if err == nil {
		return nil
	}
	var exited *exec.ExitError
	if errors.As(err, &exited) {
		return fmt.Errorf("%w: %s", ErrUnsuitable, bytes.TrimSpace(said))
	}
	return fmt.Errorf("%w: no namespaces of its own (a container needs to be privileged): %w", ErrUnsuitable, err)
}

// probe tries what a node needs: it runs in namespaces of its own, and fails with words where something cannot be had.
func probe(dir string) error {
	if err := mountProc(); err != nil {
		return err
	}
	if err := (mount{"tmpfs", dir, "tmpfs", 0}).make(); err != nil {
		return err
	}
	if err := layOutNetwork(); err != nil {
		return err
	}
	if err := run("ip", "link", "add", "pod0", "type", "veth", "peer", "name", "pod1"); err != nil {
		return err
	}
	return run("iptables", "-t", "nat", "-A", "POSTROUTING", "-m", "comment", "--comment", "probe", "-j", "MASQUERADE")
}

// snapshotter is how containerd stacks the layers of an image: with overlayfs, or, where a directory cannot be mounted so
// (it lies on an overlayfs itself, as in many a container), with copies.
func snapshotter(dir string) string {
	work, err := os.MkdirTemp(dir, "overlay-")
	if err != nil {
		return "native"
	}
	defer os.RemoveAll(work) //nolint:errcheck // the node's directory goes as a whole
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if os.Mkdir(filepath.Join(work, name), 0o755) != nil {
			return "native"
		}
	}
	options := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", work)
	if syscall.Mount("overlay", filepath.Join(work, "merged"), "overlay", 0, options) != nil {
		return "native"
	}
	_ = syscall.Unmount(filepath.Join(work, "merged"), 0)
	return "overlayfs"
}
