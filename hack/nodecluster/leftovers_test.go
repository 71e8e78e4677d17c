//go:build e2e

package nodecluster

import (
	"bufio"
	"context"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// helperVariable makes of this test's binary a program that starts a node and waits.
const helperVariable = "NODECLUSTER_TEST_HELPER"

func TestMain(m *testing.M) {
	Enter()
	if os.Getenv(helperVariable) != "" {
		hold()
	}
	os.Exit(m.Run())
}

// hold starts a node with a pod, says so, and waits to be killed.
func hold() {
	node, err := Start(context.Background(), testOptions())
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
	for _, args := range [][]string{
		{"run", "pod", "--image=" + PauseName, "--image-pull-policy=Never"},
		{"wait", "pod/pod", "--for=condition=Ready", "--timeout=3m"},
	} {
		kubectl := exec.Command(node.Kubectl, append([]string{"--kubeconfig=" + node.Kubeconfig}, args...)...)
		if said, err := kubectl.CombinedOutput(); err != nil {
			println(string(said))
			os.Exit(1)
		}
	}
	_, _ = os.Stdout.WriteString(node.Dir + "\n")
	_, _ = os.Stdin.Read(make([]byte, 1)) // until its other end is closed
	if err := node.Stop(); err != nil {
		println(err.Error())
		os.Exit(1)
	}
	os.Exit(0)
}

func testOptions() Options {
	root := filepath.Join("..", "..", "bin")
	assets, err := filepath.Abs(os.Getenv(assetsVariable))
	if err != nil || os.Getenv(assetsVariable) == "" {
		assets = filepath.Join(root, "k8s")
	}
	return Options{Assets: assets, PauseImage: filepath.Join(root, "images", "pause.tar")}
}

// outside is what a node could leave behind on the machine. Nothing in it changes while other nodes run beside.
func outside(t *testing.T, dir string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for what, command := range map[string]string{
		"interfaces": "ip -o link show | cut -d: -f2",
		"rules":      "iptables-save | grep -v '^#' | cut -d'[' -f1",
		"settings":   "sysctl -n vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys net.ipv4.ip_forward",
		"host name":  "hostname",
	} {
		out, err := exec.Command("sh", "-c", command).Output()
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		found[what] = strings.Split(string(out), "\n")
	}
	for _, path := range []string{
		"/etc/cni", "/opt/cni", "/opt/containerd", "/run/containerd", "/run/netns", "/usr/libexec/kubernetes", "/var/lib/cni",
		"/var/lib/containerd", "/var/lib/kubelet", "/var/log/containers", "/var/log/pods",
	} {
		if _, err := os.Stat(path); err == nil {
			found["directories"] = append(found["directories"], path)
		}
	}
	found["of the node"] = ofNode(t, dir)
	return found
}

// ofNode is what names the node: mounts, processes, cgroups and its directory.
func ofNode(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	if dir == "" {
		return nil
	}
	id := filepath.Base(dir)
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), id) {
		found = append(found, "mounts")
	}
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), id) {
			found = append(found, "process "+string(text))
		}
	}
	_ = filepath.WalkDir(cgroupRoot, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && strings.Contains(path, id) {
			found = append(found, "cgroup "+path)
			return fs.SkipDir
		}
		return nil
	})
	if _, err := os.Stat(dir); err == nil {
		found = append(found, "directory")
	}
	return found
}

// heldNode starts a program that holds a node, and waits until its pod runs.
func heldNode(t *testing.T) (helper *exec.Cmd, stdin io.Closer, dir string) {
	t.Helper()
	helper = exec.CommandContext(t.Context(), os.Args[0])
	helper.Env, helper.Stderr = append(os.Environ(), helperVariable+"=1"), os.Stderr
	stdin, err := helper.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := helper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := helper.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return helper, stdin, strings.TrimSpace(line)
}

func TestNothingIsLeft(t *testing.T) {
	for why, end := range map[string]func(t *testing.T, helper *exec.Cmd, stdin io.Closer){
		"the program stops the node": func(_ *testing.T, helper *exec.Cmd, stdin io.Closer) {
			_ = stdin.Close()
			_ = helper.Wait()
		},
		"the program is killed, and the next one cleans up": func(t *testing.T, helper *exec.Cmd, _ io.Closer) {
			_ = helper.Process.Signal(syscall.SIGKILL)
			_ = helper.Wait()
			if err := RemoveDead(); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(why, func(t *testing.T) {
			before := outside(t, "")
			helper, stdin, dir := heldNode(t)
			if living, err := Living(); err != nil || !slices.Contains(living, dir) {
				t.Errorf("the nodes that run are %q (%v), want %s among them", living, err, dir)
			}
			if found := ofNode(t, dir); len(found) < 10 {
				t.Errorf("the node that runs shows as %q only, so that its absence would say nothing", found)
			}
			end(t, helper, stdin)
			if diff := cmp.Diff(before, outside(t, dir)); diff != "" {
				t.Errorf("left behind (-before +after):\n%s", diff)
			}
		})
	}
}
