package controllers

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
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

// TestUnitSpentSeedIsKnownBeforeItsResult covers a process that ends between the two writes: nothing but the state
// knew that the seed was sent, and people can remove the state.
func TestUnitSpentSeedIsKnownBeforeItsResult(t *testing.T) {
	s, try := takenScene(t)
	ctx := t.Context()
	try.claim.Spends = try.spends.Hash(s.record.Salt)
	try.claim.Started = s.now
	s.record.Claim = &try.claim
	s.login.Refresh = try.spends
	s.r.Custody.Writer = refusingWriter{s.r.Custody.Writer} // the process ends at the first write of the state
	s.r.Custody.Pause = func(context.Context, time.Duration) bool { return false }
	s.journaled = &journal.Entry{Reply: token.NewSecret("HTTP/1.1 200 OK\r\n\r\n" +
		`{"access_token":"an-access-token","token_type":"bearer","expires_in":600,"refresh_token":"a-refresh-token"}`)}
	if err := s.r.restore(ctx, s.observation); err == nil {
		t.Fatal("the state was written")
	}
	other := *try
	other.claim.ID = custody.NewID()
	refusal, err := s.r.Guard.Take(ctx, s.observation.seeded(&other), s.now)
	if refusal == nil || refusal.Why != loginguard.Spent || err != nil {
		t.Errorf("a seed that was sent can be taken again: %+v, %v", refusal, err)
	}
}

// refusingWriter refuses every update of a state Secret.
type refusingWriter struct{ client.Writer }

func (w refusingWriter) Update(ctx context.Context, object client.Object, options ...client.UpdateOption) error {
	if secret, ok := object.(*corev1.Secret); ok && secret.Type == v1alpha1.StateSecretType {
		return errors.New("the process has ended")
	}
	return w.Writer.Update(ctx, object, options...)
}
