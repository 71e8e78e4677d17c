// Command operator is fluent-credential-operator: flags, a rest.Config, the controllers, start.
package main

import (
	"fmt"
	"os"

	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"

	"github.com/fluent-credential/operator/controllers"
	"github.com/fluent-credential/operator/internal/watchdog"
)

// version is set by the linker.
var version = "devel"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "fluent-credential-operator:", err)
		os.Exit(1)
	}
}

func run() error {
	flags, err := parse(os.Args[1:])
	if err != nil {
		return err
	}
	ctrl.SetLogger(flags.logger())
	klog.SetLogger(ctrl.Log) // client-go's own lines, in the same form
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("no Kubernetes API server to talk to (see --kubeconfig): %w", err)
	}
	config.QPS = -1 // the Kubernetes API's own priority and fairness decides; a client's limit would delay a publication
	// A watch that begins with a list is compressed for as long as it lasts, event by event: that costs both sides more than the bytes
	// do in a cluster's own network.
	config.DisableCompression = true
	options := flags.managerOptions()
	var lock *sparing
	if options.LeaderElection {
		if lock, err = flags.lease(config); err != nil {
			return err
		}
		options.LeaderElectionResourceLockInterface = lock
	}
	mgr, err := ctrl.NewManager(config, options)
	if err != nil {
		return err
	}
	ctx := ctrl.SetupSignalHandler()
	reconciler, err := controllers.Setup(ctx, mgr, flags.controllerOptions())
	if err != nil {
		return err
	}
	if lock != nil {
		lock.unfit = reconciler.Watchdog.Err
	}
	if err := addProbes(mgr, reconciler.Watchdog); err != nil {
		return err
	}
	ctrl.Log.Info("Starting", "version", version)
	err = mgr.Start(ctx)
	reconciler.Drain() // also when the lease was lost: a reply that was paid for is stored before the process ends
	return err
}

// addProbes adds the probes. The process is alive while it answers and nothing in it is stuck. It is ready once the
// caches are filled, leader or not, so that a standby counts as ready.
func addProbes(mgr ctrl.Manager, watching *watchdog.Watchdog) error {
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	if err := mgr.AddHealthzCheck("watchdog", watching.Check); err != nil {
		return err
	}
	return mgr.AddReadyzCheck("caches", controllers.CachesSynced(mgr))
}
