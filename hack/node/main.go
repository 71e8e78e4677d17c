//go:build linux

// Command node runs a cluster with one real node on this machine until Ctrl-C, and removes it then. "make node" calls it.
// "node clean" removes what is left of nodes that were killed, and "node check" says whether this machine can run one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fluent-credential/operator/hack/localcluster"
	"github.com/fluent-credential/operator/hack/nodecluster"
)

// Exit codes. A machine that cannot run a node is told from one that lacks a package.
const (
	exitFailure    = 1
	exitUsage      = 2
	exitUnsuitable = 3
)

func main() {
	nodecluster.Enter()
	assets := flag.String("assets", filepath.Join("bin", "k8s"), "the directory of the programs of Kubernetes")
	pause := flag.String("pause", filepath.Join("bin", "images", "pause.tar"), "the OCI archive of the image that holds a pod's namespaces")
	flag.Parse()
	var err error
	switch flag.Arg(0) {
	case "", "run":
		err = run(*assets, *pause, flag.Args())
	case "check":
		err = check()
	case "clean":
		err = clean()
	default:
		fmt.Fprintf(os.Stderr, "node: %q is none of run, check and clean\n", flag.Arg(0))
		os.Exit(exitUsage)
	}
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "node:", err)
	if errors.Is(err, nodecluster.ErrUnsuitable) {
		os.Exit(exitUnsuitable)
	}
	os.Exit(exitFailure)
}

func check() error {
	if err := nodecluster.Check(); err != nil {
		return err
	}
	fmt.Println("node: this machine can run a node")
	return nil
}

// run keeps a node until somebody interrupts it. Images named after "run" are given to the node.
func run(assets, pause string, args []string) error {
	assets, err := filepath.Abs(assets)
	if err != nil {
		return err
	}
	ctx, stop := localcluster.UntilInterrupted()
	defer stop()
	started := time.Now()
	fmt.Println("node: starting: about half a minute")
	node, err := nodecluster.Start(ctx, nodecluster.Options{Assets: assets, PauseImage: pause})
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	err = load(ctx, node, args)
	if err == nil {
		explain(node, time.Since(started))
		err = hold(ctx, node)
	}
	fmt.Println("node: removing it")
	return errors.Join(err, node.Stop())
}

func load(ctx context.Context, node *nodecluster.Node, args []string) error {
	for _, archive := range args[min(1, len(args)):] {
		if err := node.Import(ctx, archive); err != nil {
			return err
		}
	}
	return nil
}

func explain(node *nodecluster.Node, took time.Duration) {
	fmt.Printf(`node: ready after %s
  export KUBECONFIG=%s PATH=%s:$PATH
  kubectl get nodes
Logs of its programs are in %s. Ctrl-C removes all of it.
`, took.Round(time.Second), node.Kubeconfig, filepath.Dir(node.Kubectl), filepath.Join(node.Dir, "log"))
}

func hold(ctx context.Context, node *nodecluster.Node) error {
	select {
	case <-ctx.Done():
		return nil
	case <-node.Done():
		return errors.New("the node has ended by itself")
	}
}

// clean removes what killed nodes left, and says what it left alone.
func clean() error {
	if err := nodecluster.RemoveDead(); err != nil {
		return err
	}
	living, err := nodecluster.Living()
	for _, dir := range living {
		fmt.Printf("node: %s is in use by a node that runs; end that with Ctrl-C\n", dir)
	}
	return err
}
