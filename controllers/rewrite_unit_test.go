package controllers

import (
	"testing"
	"time"
)

// TestUnitAReplacedStatusIsRewrittenWithPauses: two replicas that both write would answer each other without end.
func TestUnitAReplacedStatusIsRewrittenWithPauses(t *testing.T) {
	var r rewriting
	for _, step := range []struct {
		at   time.Duration
		want bool
	}{{0, true}, {time.Second, false}, {rewritePause - 1, false}, {rewritePause, true}, {rewritePause + time.Second, false}, {-time.Hour, true}} {
		if got := r.isDue(start.Add(step.at)); got != step.want {
			t.Errorf("after %s: %t, want %t", step.at, got, step.want)
		}
	}
}
