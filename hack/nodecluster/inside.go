//go:build linux

package nodecluster

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// Command is a program to run inside of the node's namespaces.
func (n *Node) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	enter := []string{"--target", strconv.Itoa(n.init.Process.Pid), "--mount", "--net", "--pid", "--ipc", "--uts", "--", name}
	return exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
}

// output runs a program inside to its end, and returns what it printed.
func (n *Node) output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := n.Command(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// Import gives the node the images of an OCI archive.
func (n *Node) Import(ctx context.Context, archive string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	cmd := n.Command(ctx, "ctr", "--namespace=k8s.io", "images", "import", "-")
	cmd.Stdin = file
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s cannot be imported: %w: %s", archive, err, bytes.TrimSpace(said))
	}
	return nil
}

// Kill sends a signal, such as KILL or STOP, to one of the node's own programs: etcd, kube-apiserver,
// kube-controller-manager, kube-scheduler, kube-proxy, containerd or kubelet. One that ends is started again.
func (n *Node) Kill(ctx context.Context, signal, program string) error {
	pid, err := os.ReadFile(pidFile(n.Dir, program))
	if err != nil {
		return err
	}
	return n.signal(ctx, signal, string(pid))
}

// KillContainer sends a signal to the first process of a container, named by its ID in the pod's status.
func (n *Node) KillContainer(ctx context.Context, signal, containerID string) error {
	id := strings.TrimPrefix(containerID, "containerd://")
	tasks, err := n.output(ctx, "ctr", "--namespace=k8s.io", "tasks", "list")
	if err != nil {
		return err
	}
	for line := range strings.Lines(tasks) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == id {
			return n.signal(ctx, signal, fields[1])
		}
	}
	return fmt.Errorf("no process of container %s runs", id)
}

// signal signals a process by its number in the node's PID namespace.
func (n *Node) signal(ctx context.Context, signal, pid string) error {
	_, err := n.output(ctx, "sh", "-c", `kill -"$0" "$1"`, signal, pid)
	return err
}
