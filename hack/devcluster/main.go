// Command devcluster builds the control plane that tests and the demo run against, and installs it as etcd,
// kube-apiserver and kubectl: one binary under three names. "make k8s" calls it. With -set=node it builds what a real
// node needs besides; with -modfile=oldest.mod, the same programs of the oldest release that is supported. What is up to
// date is left alone.
//
// Whoever has KUBEBUILDER_ASSETS set keeps the programs that are there.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	out := flag.String("o", filepath.Join("..", "..", "bin", "k8s"), "the directory to install the programs in")
	name := flag.String("set", "controlplane", "which programs: controlplane or node")
	modfile := flag.String("modfile", "go.mod", "the requirements to build from: go.mod or oldest.mod")
	flag.Parse()
	set, known := sets[*name]
	if !known {
		fmt.Fprintf(os.Stderr, "k8s: there is no set %q of programs\n", *name)
		os.Exit(2)
	}
	set.modfile = *modfile
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := set.run(ctx, *out, os.Getenv("KUBEBUILDER_ASSETS"))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "k8s:", err)
		os.Exit(1)
	}
}

// run leaves the programs in out, unless assets names another directory that has them.
func (s set) run(ctx context.Context, out, assets string) error {
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	if assets != "" && filepath.Clean(assets) != out {
		return s.useAssets(assets)
	}
	release, err := readRelease(s.modfile)
	if err != nil {
		return err
	}
	want, err := s.fingerprint(".")
	if err != nil {
		return err
	}
	if s.installed(out, want) {
		fmt.Printf("k8s: %s of Kubernetes %s is up to date in %s\n", s.title, release, out)
		return nil
	}
	return s.rebuild(ctx, out, release, want)
}

// useAssets says that nothing is built, after a look at whether dir has what is needed.
func (s set) useAssets(dir string) error {
	if missing := s.missingPrograms(dir); len(missing) > 0 {
		return fmt.Errorf("KUBEBUILDER_ASSETS is %s, where there is no %s: set it to a directory with %s, or unset it and they are built",
			dir, strings.Join(missing, ", no "), strings.Join(s.programs, ", "))
	}
	fmt.Printf("k8s: KUBEBUILDER_ASSETS is set, so nothing is built: using %s\n", dir)
	return nil
}

// rebuild compiles beside out's programs and then swaps them in, so that an interruption leaves the old ones or none,
// and never a part of one.
func (s set) rebuild(ctx context.Context, out string, release release, want string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(out, ".build-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()

	started := time.Now()
	binary := filepath.Join(work, s.name)
	if err := s.compile(ctx, binary, release); err != nil {
		return err
	}
	if err := s.install(binary, out, want); err != nil {
		return err
	}
	fmt.Printf("k8s: %s of Kubernetes %s installed in %s after %s\n", s.title, release, out, time.Since(started).Round(time.Second))
	return nil
}
