package controllers

import (
	"context"
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/journal"
	"github.com/fluent-credential/operator/internal/token"
)

// TestUnitRecoveryGoesOnUntilNothingIsLeft: the entry of a process that is still at work stays, and is looked at again
// until that process has ended and its claim is settled.
func TestUnitRecoveryGoesOnUntilNothingIsLeft(t *testing.T) {
	s, _, ends := holderScene(t)
	claim := *s.record.Claim
	rounds := 0
	s.r.Custody.Pause = func(ctx context.Context, _ time.Duration) bool {
		if rounds++; rounds == 3 {
			ends()
			settled := s.record.Settled(claim, custody.Failure{Verdict: token.Unknown}, s.record.Chain.Refresh)
			if _, err := s.r.Custody.Put(ctx, s.owner(), s.record, settled); err != nil {
				t.Error(err)
			}
		}
		return rounds < 10
	}
	s.r.RecoverJournal(t.Context())
	if rounds != 3 {
		t.Errorf("the recovery waited %d times, want until the claim was settled", rounds)
	}
	if _, err := s.r.Journal.Find(claim.ID); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the entry is still there: %v", err)
	}
}

// TestUnitReplyIsNewest: a reply is no state to start from if a later token was seen.
func TestUnitReplyIsNewest(t *testing.T) {
	tests := map[string]struct {
		why  string
		mark int64
		want bool
	}{
		"nothing was seen":                   {"the state is lost, and the reply is all there is", 0, true},
		"the token before it was seen":       {"the reply brought the next one", 17, true},
		"its own token was seen":             {"another process had stored it", 18, true},
		"the token that came after was seen": {"what the reply holds is spent", 19, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.memory.mark.serial = test.mark
			entry := &journal.Entry{Head: journal.Head{Serial: 17}}
			if got := isNewest(s.observation, entry); got != test.want {
				t.Errorf("got %t, want %t: %s", got, test.want, test.why)
			}
		})
	}
}
