package main

import (
	"context"
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// shelf is a lease that counts how often it is written.
type shelf struct {
	resourcelock.Interface
	writes int
	fails  error
}

func (s *shelf) Create(context.Context, resourcelock.LeaderElectionRecord) error {
	s.writes++
	return s.fails
}

func (s *shelf) Update(context.Context, resourcelock.LeaderElectionRecord) error {
	s.writes++
	return s.fails
}

// TestRenewalsAreSpared: a leader looks at its lease more often than it has to write it; whatever else there is to write is written.
func TestRenewalsAreSpared(t *testing.T) {
	start := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	renewed := func(after time.Duration) resourcelock.LeaderElectionRecord {
		return resourcelock.LeaderElectionRecord{
			HolderIdentity: "us", LeaseDurationSeconds: 15, AcquireTime: metav1.NewTime(start), RenewTime: metav1.NewTime(start.Add(after)),
		}
	}
	released := resourcelock.LeaderElectionRecord{LeaseDurationSeconds: 1, AcquireTime: metav1.NewTime(start), RenewTime: metav1.NewTime(start)}
	taken := renewed(0)
	taken.LeaderTransitions = 7
	cases := map[string]struct {
		next    resourcelock.LeaderElectionRecord
		passed  time.Duration
		fails   error // of the write before
		written bool
		why     string
	}{
		"at once":         {renewed(leaderRetry), leaderRetry, nil, false, "others count from the last renewal for longer than that"},
		"just before":     {renewed(renewal - 1), renewal - 1, nil, false, "likewise"},
		"in its turn":     {renewed(renewal), renewal, nil, true, "others would take the leader for dead"},
		"given back":      {released, leaderRetry, nil, true, "a standby waits for it"},
		"taken":           {taken, leaderRetry, nil, true, "it is another's lease that is written over"},
		"after a failure": {renewed(leaderRetry), leaderRetry, errors.New("no answer"), true, "nobody knows what is written"},
		"set back":        {renewed(-time.Hour), -time.Hour, nil, true, "the wait would be an hour longer"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			kept, now := &shelf{fails: test.fails}, start
			lock := &sparing{Interface: kept, now: func() time.Time { return now }}
			_ = lock.Update(t.Context(), renewed(0))
			kept.fails, now = nil, start.Add(test.passed)
			if err := lock.Update(t.Context(), test.next); err != nil || (kept.writes == 2) != test.written {
				t.Errorf("%d writes, %v: %s", kept.writes, err, test.why)
			}
		})
	}
}

// TestALeaseThatWasMadeIsRenewedInItsTurn: the first renewal too.
func TestALeaseThatWasMadeIsRenewedInItsTurn(t *testing.T) {
	kept, now := &shelf{}, time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	lock, ours := &sparing{Interface: kept, now: func() time.Time { return now }}, resourcelock.LeaderElectionRecord{HolderIdentity: "us"}
	_ = lock.Create(t.Context(), ours)
	for range 50 { // ten seconds
		now = now.Add(leaderRetry)
		ours.RenewTime = metav1.NewTime(now)
		_ = lock.Update(t.Context(), ours)
	}
	if kept.writes != 6 {
		t.Errorf("%d writes in ten seconds, want the first and five", kept.writes)
	}
}

// TestStuckProcessDoesNotLead: it neither takes nor renews the lease, and can always give it back.
func TestStuckProcessDoesNotLead(t *testing.T) {
	record := resourcelock.LeaderElectionRecord{HolderIdentity: "us", LeaseDurationSeconds: 15}
	kept, now := &shelf{}, time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	var stuck error
	lock := &sparing{Interface: kept, now: func() time.Time { return now }, unfit: func() error { return stuck }}
	if err := errors.Join(lock.Create(t.Context(), record), lock.Update(t.Context(), record)); err != nil {
		t.Fatal(err)
	}
	stuck, kept.writes, now = errors.New("the disk hangs"), 0, now.Add(time.Hour)
	if lock.Create(t.Context(), record) == nil || lock.Update(t.Context(), record) == nil || kept.writes != 0 {
		t.Errorf("a process that is stuck wrote the lease %d times", kept.writes)
	}
	if err := lock.Update(t.Context(), resourcelock.LeaderElectionRecord{}); err != nil || kept.writes != 1 {
		t.Errorf("it cannot give the lease back: %v", err)
	}
	stuck = nil
	if err := lock.Update(t.Context(), record); err != nil || kept.writes != 2 {
		t.Errorf("it does not lead when it is well again: %v", err)
	}
}
