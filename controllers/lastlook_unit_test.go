package controllers

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/journal"
	"github.com/fluent-credential/operator/internal/metrics"
	"github.com/fluent-credential/operator/internal/plan"
	"github.com/fluent-credential/operator/internal/token"
)

// holderScene is a credential whose refresh token is claimed by a process that lives on the same log directory.
func holderScene(t *testing.T) (s *scene, slot *journal.Slot, ends func()) {
	t.Helper()
	s = newScene(t)
	dir, key := t.TempDir(), make([]byte, journal.KeySize)
	open := func() *journal.Journal {
		opened, err := journal.Open(dir, key)
		if err != nil {
			t.Fatal(err)
		}
		return opened
	}
	holder := open()
	claim := custody.Claim{
		ID: custody.NewID(), Grant: token.RefreshToken, Attempt: 1, Holder: custody.Holder{Start: custody.NewID()},
		Started: s.now, Spends: s.record.Chain.Refresh.Hash(s.record.Salt),
	}
	if err := holder.Hold(claim.Holder.Start); err != nil {
		t.Skip(err) // this system proves the end of no process
	}
	encoded, err := json.Marshal(claim)
	if err != nil {
		t.Fatal(err)
	}
	head := journal.Head{
		ID: claim.ID, Namespace: s.cred.Namespace, Name: s.cred.Name, UID: string(s.cred.UID), Serial: s.record.Serial,
		Claim: encoded,
	}
	if slot, err = holder.Reserve(head); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slot.Close() })
	s.r.Journal, s.r.Holder = open(), custody.Holder{Start: custody.NewID()}
	s.r.Metrics, s.r.Recorder = metrics.New(prometheus.NewRegistry()), events.NewFakeRecorder(10)
	s.storeClaimed(claim)
	return s, slot, func() {
		if err := holder.Release(); err != nil { // as the operating system does
			t.Fatal(err)
		}
	}
}

// storeClaimed puts the state with the claim into a Kubernetes API.
func (s *scene) storeClaimed(claim custody.Claim) {
	s.t.Helper()
	scheme := runtime.NewScheme()
	if err := AddToScheme(scheme); err != nil {
		s.t.Fatal(err)
	}
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(s.cred.DeepCopy()).Build()
	s.r.Custody, s.r.Live = &custody.Store{Reader: api, Writer: api}, api
	state := s.record.Claimed(claim, "")
	for range 2 { // the first write makes the Secret
		record, err := s.r.Custody.Open(s.t.Context(), s.owner())
		if err == nil {
			record, err = s.r.Custody.Put(s.t.Context(), s.owner(), record, state)
		}
		if err != nil {
			s.t.Fatal(err)
		}
		s.record = record
	}
}

// observeUntil looks at the journal, lets something happen, and decides.
func (s *scene) observeUntil(ctx context.Context, happens func()) {
	s.t.Helper()
	s.r.observeJournal(ctx, s.observation)
	happens()
	s.r.refresh(s.observation)
	if next := plan.Next(s.facts, s.now); next.Do != plan.Settle {
		s.t.Fatalf("the holder is gone, and the plan is %+v", next)
	}
	if err := s.r.settle(ctx, s.observation); err != nil {
		s.t.Fatal(err)
	}
}

// TestUnitReplySealedAfterTheLookIsStored: the holder seals its reply and ends between the look at the journal and the
// look at its lock. The reply is there, whole, and nothing is presented again.
func TestUnitReplySealedAfterTheLookIsStored(t *testing.T) {
	s, slot, ends := holderScene(t)
	s.observeUntil(t.Context(), func() {
		_, _ = slot.Write([]byte("HTTP/1.1 200 OK\r\n\r\n{}"))
		if err := slot.Seal(); err != nil {
			t.Fatal(err)
		}
		ends()
	})
	if _, err := s.r.Journal.Find(slotClaim(s)); err != nil {
		t.Errorf("the reply was thrown away: %v", err)
	}
	s.r.refresh(s.observation)
	if next := plan.Next(s.facts, s.now); next.Do != plan.Restore {
		t.Errorf("next: %+v, want the reply to be stored", next)
	}
}

// TestUnitRequestSentAfterTheLookCounts: the holder sends its request and ends between the look at the journal and the
// look at its lock. What the first look proved, that nothing was sent, is not true any more.
func TestUnitRequestSentAfterTheLookCounts(t *testing.T) {
	s, slot, ends := holderScene(t)
	s.observeUntil(t.Context(), func() {
		if err := slot.Sending(); err != nil {
			t.Fatal(err)
		}
		ends()
	})
	if got := s.record.Failure.Verdict; got != token.Unknown {
		t.Errorf("the verdict is %s: a token that may be spent counts as one that was not sent", got)
	}
	if got := s.record.Chain.Presented; got != 1 {
		t.Errorf("presented %d times, want 1", got)
	}
}

// TestUnitSweptReplyIsLookedAtAgain: the same, of a slot that the recovery of the journal found without a reply.
func TestUnitSweptReplyIsLookedAtAgain(t *testing.T) {
	s, slot, ends := holderScene(t)
	claim := slotClaim(s)
	_, defects, err := s.r.Journal.Scan()
	if err != nil || len(defects) != 1 {
		t.Fatalf("%v, %v", defects, err)
	}
	_, _ = slot.Write([]byte("HTTP/1.1 200 OK\r\n\r\n{}"))
	if err := slot.Seal(); err != nil {
		t.Fatal(err)
	}
	ends()
	settled := s.record.Settled(*s.record.Claim, custody.Failure{Verdict: token.Unknown}, s.record.Chain.Refresh)
	if s.record, err = s.r.Custody.Put(t.Context(), s.owner(), s.record, settled); err != nil {
		t.Fatal(err)
	}
	if left := s.r.sweep(t.Context(), defects[0], false); !left {
		t.Error("the recovery ends, although there is a reply")
	}
	if _, err := s.r.Journal.Find(claim); err != nil {
		t.Errorf("the reply was thrown away: %v", err)
	}
}

func slotClaim(s *scene) string {
	if s.record.Claim == nil {
		return s.record.LastClaim
	}
	return s.record.Claim.ID
}
