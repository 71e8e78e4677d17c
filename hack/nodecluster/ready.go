//go:build linux

package nodecluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

// How long a node may take to be ready on a machine that is busy with something else, and how often to look.
const (
	readyTimeout  = 3 * time.Minute
	readyInterval = 100 * time.Millisecond
)

// errEnded says that the node's first process is gone.
var errEnded = errors.New("the node has ended")

// awaitReady waits until a pod could run.
func (n *Node) awaitReady(ctx context.Context, options Options) error {
	client, err := kubernetes.NewForConfig(n.Config)
	if err != nil {
		return err
	}
	for _, step := range []struct {
		what  string
		ready func(context.Context) error
	}{
		{"the API server", func(ctx context.Context) error {
			return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
		}},
		{"containerd", func(ctx context.Context) error { return n.Import(ctx, options.PauseImage) }},
		{"the node", func(ctx context.Context) error { return nodeReady(ctx, client) }},
		{"the ServiceAccount of pods", func(ctx context.Context) error {
			_, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
			return err
		}},
	} {
		if err := n.await(ctx, step.ready); err != nil {
			return fmt.Errorf("%s is not ready: %w", step.what, err)
		}
	}
	return nil
}

// await calls ready until it returns no error; in the end, its last one is the reason.
func (n *Node) await(ctx context.Context, ready func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, readyInterval, readyTimeout, true, func(ctx context.Context) (bool, error) {
		select {
		case <-n.done:
			return false, errEnded
		default:
		}
		last = ready(ctx)
		return last == nil, nil
	})
	if err != nil {
		return errors.Join(err, last)
	}
	return nil
}

func nodeReady(ctx context.Context, client kubernetes.Interface) error {
	node, err := client.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status != corev1.ConditionTrue {
			return errors.New(condition.Message)
		}
	}
	if len(node.Status.Conditions) == 0 {
		return errors.New("kubelet has not reported yet")
	}
	// The taint that keeps pods from a node that is not ready goes a moment later.
	if slices.ContainsFunc(node.Spec.Taints, func(taint corev1.Taint) bool { return taint.Key == corev1.TaintNodeNotReady }) {
		return errors.New("it is still tainted as not ready")
	}
	return nil
}

// logLines is how many lines of each log go with an error.
const logLines = 5

// explain adds the last words of the node's programs to an error.
func (n *Node) explain(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	logs, _ := filepath.Glob(n.logPath("*"))
	text := []string{err.Error()}
	for _, path := range logs {
		content, readErr := os.ReadFile(path)
		if readErr != nil || len(content) == 0 {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(content)), "\n")
		text = append(text, "== "+filepath.Base(path))
		text = append(text, lines[max(0, len(lines)-logLines):]...)
	}
	return errors.New(strings.Join(text, "\n"))
}
