package localcluster

import (
	"fmt"
	"os"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

// Main is the main function of a program that starts a Cluster. What the program's own Kubernetes clients log is no part of its
// story. An error ends the process with 1, told under the program's name.
func Main(name string, run func(args []string) error) {
	Tether()
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}
