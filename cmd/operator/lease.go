package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// The times of the leader's lease. What a leader that was killed leaves behind is taken leaseDuration after the standby has last seen it
// renewed. It sees that up to 2.2 leaderRetry late (client-go draws the waits), and as late again that the time is over: together that is
// less than a second.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	leaderRetry   = 200 * time.Millisecond
	// renewal is how often a leader writes the lease. client-go has one rhythm for looking and for writing; but to look is cheap, and each
	// write goes to the disks of etcd.
	renewal = 2 * time.Second
)

// lease is the lock of one replica on the leader's lease.
func (f *flags) lease(config *rest.Config) (*sparing, error) {
	namespace := cmp.Or(f.leaderNamespace, f.namespace())
	config = rest.AddUserAgent(config, "leader-election")
	config.Timeout = renewDeadline / 2 // one request that hangs does not cost the lease
	core, err := coreclient.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	leases, err := coordinationclient.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	who, err := whoLeads(core, namespace)
	if err != nil {
		return nil, err
	}
	made, err := resourcelock.New(resourcelock.LeasesResourceLock, namespace, v1alpha1.LeaderLease, core, leases, who)
	return &sparing{Interface: made, now: time.Now}, err
}

// whoLeads is this process as the lease names it, and where it says that it leads.
func whoLeads(core coreclient.CoreV1Interface, namespace string) (resourcelock.ResourceLockConfig, error) {
	host, err := os.Hostname()
	identity, events := fmt.Sprintf("%s_%s", host, uuid.NewUUID()), record.NewBroadcaster()
	events.StartRecordingToSink(&coreclient.EventSinkImpl{Interface: core.Events(namespace)})
	recorder := events.NewRecorder(runtime.NewScheme(), corev1.EventSource{Component: identity})
	return resourcelock.ResourceLockConfig{Identity: identity, EventRecorder: recorder}, err
}

// sparing is a lock that skips renewals that come too soon after the last one. A process with a stuck operation neither
// takes nor renews it: a kill does not end a process that hangs in its disk, and the standby has another disk.
type sparing struct {
	resourcelock.Interface
	unfit   func() error // nil: this process is always fit to lead
	now     func() time.Time
	written resourcelock.LeaderElectionRecord
	at      time.Time
}

// Create makes the lease.
func (s *sparing) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	if err := s.unfitToLead(record); err != nil {
		return err
	}
	return s.keep(record, s.Interface.Create(ctx, record))
}

// Update writes whatever is more than another time of renewal, and that in its turn.
func (s *sparing) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	if err := s.unfitToLead(record); err != nil {
		return err
	}
	same := s.written
	same.RenewTime = record.RenewTime
	if since := s.now().Sub(s.at); same == record && since >= 0 && since < renewal {
		return nil
	}
	return s.keep(record, s.Interface.Update(ctx, record))
}

// unfitToLead returns why this process must not lead. Releasing the lease is always possible: such a record names no
// holder.
func (s *sparing) unfitToLead(record resourcelock.LeaderElectionRecord) error {
	if s.unfit == nil || record.HolderIdentity == "" {
		return nil
	}
	if err := s.unfit(); err != nil {
		return fmt.Errorf("another replica has to lead: %w", err)
	}
	return nil
}

// keep remembers what was written; what may not have been is written again.
func (s *sparing) keep(record resourcelock.LeaderElectionRecord, err error) error {
	s.written, s.at = record, s.now()
	if err != nil {
		s.written = resourcelock.LeaderElectionRecord{}
	}
	return err
}
