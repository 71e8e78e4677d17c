package controllers

import (
	"context"
	"testing"
	"time"

	"github.com/fluent-credential/operator/internal/custody"
)

// TestUnitDrainWaitsForPasses: a result that is held is stored with what its pass has seen, so that drain touches none
// while a pass goes on.
func TestUnitDrainWaitsForPasses(t *testing.T) {
	s := newScene(t)
	s.r.passes.Add(1)
	waits := 0
	s.r.Custody = &custody.Store{Pause: func(context.Context, time.Duration) bool {
		if waits++; waits == 3 {
			s.r.passes.Add(-1)
		}
		return waits < 10
	}}
	s.r.Drain()
	if waits != 3 {
		t.Errorf("waited %d times, want until the pass ended", waits)
	}
}
