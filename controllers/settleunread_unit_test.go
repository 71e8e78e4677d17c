package controllers

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/tools/events"

	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/journal"
	"github.com/fluent-credential/operator/internal/loginguard"
	"github.com/fluent-credential/operator/internal/metrics"
	"github.com/fluent-credential/operator/internal/plan"
	"github.com/fluent-credential/operator/internal/token"
)

// TestUnitUnreadLogSettlesNothing covers a disk that fails between the two looks at the log: the first proves that nothing
// was sent, the second shows nothing. The claim waits for the next look, until its life is over.
func TestUnitUnreadLogSettlesNothing(t *testing.T) {
	s, _, ends := holderScene(t)
	away := t.TempDir()
	opened, err := journal.Open(filepath.Join(away, "log"), make([]byte, journal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	s.observeUntil(t.Context(), func() {
		ends()
		s.r.refresh(s.observation) // before the volume is gone, which hides the lock as well
		s.r.Journal = opened
		s.memory.unsent = s.record.Claim.ID // its holder is gone
		if err := os.RemoveAll(filepath.Join(away, "log")); err != nil {
			t.Fatal(err)
		}
	})
	if s.record.Claim == nil {
		t.Fatalf("the claim was settled as %s, although the log could not be read", s.record.Failure.Verdict)
	}
	s.later(lifeOf(*s.record.Claim))
	if err := s.r.settle(t.Context(), s.observation); err != nil {
		t.Fatal(err)
	}
	if s.record.Claim != nil {
		t.Error("a log that cannot be read holds the claim for longer than its holder can be at work")
	}
}

// TestUnitSpentSeedDoesNotHideTheChain covers a state that was lost and came back from a reply in the log: it has a
// refresh token, and does not know which seeds were spent. The login guard knows, and the refresh token goes on.
func TestUnitSpentSeedDoesNotHideTheChain(t *testing.T) {
	s, try := takenScene(t)
	ctx := t.Context()
	if err := s.r.Guard.Spend(ctx, s.observation.seeded(try)); err != nil {
		t.Fatal(err)
	}
	claimed, err := s.r.claimLogin(ctx, nil, s.observation, try)
	if claimed != nil || err != nil {
		t.Fatalf("a seed that was spent is claimed: %v, %v", claimed, err)
	}
	if s.record.Failure != nil {
		t.Errorf("a person is asked, although there is a refresh token: %+v", s.record.Failure)
	}
	s.later(15 * time.Minute)
	s.r.refresh(s.observation)
	if next := plan.Next(s.facts, s.now); next.Means != plan.ByRefresh {
		t.Errorf("next: %+v, want the refresh token", next)
	}
}

// takenScene is a credential with a refresh token that took a seed which its state does not know.
func takenScene(t *testing.T) (*scene, *attempt) {
	t.Helper()
	s := newScene(t)
	s.seeded()
	s.record.Seeds = nil
	s.storeClaimed(custody.Claim{ID: "old", Holder: custody.Holder{Start: "gone"}})
	calm := s.record.State
	calm.Claim = nil
	record, err := s.r.Custody.Put(t.Context(), s.owner(), s.record, calm)
	if err != nil {
		t.Fatal(err)
	}
	s.record = record
	s.r.Guard = &loginguard.Guard{
		Reader: s.r.Live, Writer: s.r.Custody.Writer, Namespace: "operator", Salt: custody.NewID,
		HasLeft: func(context.Context, loginguard.Use, loginguard.Login) bool { return false },
	}
	s.r.Metrics = metrics.New(prometheus.NewRegistry())
	s.r.Recorder = events.NewFakeRecorder(10)
	try := &attempt{
		claim:  custody.Claim{ID: custody.NewID(), Grant: token.RefreshToken, Seed: true, Attempt: 1},
		spends: token.NewSecret(sceneSeed),
	}
	refusal, err := s.r.Guard.Take(t.Context(), s.observation.seeded(try), s.now)
	if refusal != nil || err != nil {
		t.Fatal(refusal, err)
	}
	return s, try
}

// TestUnitTakenSeedOfALostStateIsSpent covers a process that ended after the reply to a seed was stored, and before the
// login guard knew: when people then remove the state, nothing but the guard's entry shows that the seed was sent.
func TestUnitTakenSeedOfALostStateIsSpent(t *testing.T) {
	s, try := takenScene(t)
	try.claim.ID = custody.NewID()
	refusal, err := s.r.askGuard(t.Context(), s.observation, try)
	if refusal != nil || err != nil {
		t.Fatalf("a seed that was taken and not sent is refused: %+v, %v", refusal, err)
	}
	s.memory.mark.serial = s.record.Serial + 1 // this process has seen a newer state
	if _, err = s.r.askGuard(t.Context(), s.observation, try); !errors.Is(err, custody.ErrConflict) {
		t.Errorf("a seed that another process may be about to claim: %v, want a lost race", err)
	}
	s.later(claimLife)
	refusal, err = s.r.askGuard(t.Context(), s.observation, try)
	if refusal == nil || refusal.Why != loginguard.Spent || err != nil {
		t.Errorf("a seed that may be spent is presented again: %+v, %v", refusal, err)
	}
}
