// Package simulation runs the operator against a world that is made up: the real reconciler, custody, guard and journal in two or
// three replicas, and under them a Kubernetes API, a token server, disks and clocks that one seeded scheduler controls. It hands
// over between the replicas at every effect, and there it injects what can go wrong. The oracle watches every effect; the token
// server's ledger is the judge. A seed replays exactly.
//
// An event reaches the reconcilers through the operator's own predicates and event handlers, and a workqueue that behaves like
// controller-runtime's. Some runs have FluentTokens in other namespaces, or a second tenant at a token host of its own.
//
// Everything is in tests. The place to begin is simulation_test.go; world_test.go has the scheduler, watches_test.go the watches and
// workqueues, oracle_test.go, epochs_test.go and consumers_test.go the invariants, regimes_test.go the faults that last. That the oracle finds
// mistakes is shown by test/mutants.
package simulation
