package controllers

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	testclock "k8s.io/utils/clock/testing"

	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/distribution"
	"github.com/fluent-credential/operator/internal/metrics"
	"github.com/fluent-credential/operator/internal/plan"
)

// TestUnitRequeueCountsFromTheEndOfThePass covers a process that is frozen in the midst of a pass: what is due is not
// late by that time once more.
func TestUnitRequeueCountsFromTheEndOfThePass(t *testing.T) {
	s := newScene(t)
	s.storeClaimed(custody.Claim{ID: "old"})
	s.record.Claim = nil
	s.r.Metrics = metrics.New(prometheus.NewRegistry())
	s.r.refresh(s.observation)
	next := plan.Next(s.facts, s.now)
	begun := s.now
	end := next.At.Add(-time.Second)
	s.now = end
	s.memory.status = digestOf(statusOf(s.observation, next)) // nothing is to be written
	s.now = begun
	s.r.Clock.(*testclock.FakePassiveClock).SetTime(end)
	result, err := s.r.report(t.Context(), s.observation, next)
	if err != nil || result.RequeueAfter != time.Second {
		t.Errorf("the next pass comes in %s (%v), want 1s", result.RequeueAfter, err)
	}
	step := distribution.Step{Do: distribution.Wait, At: start.Add(time.Minute)}
	if wait := untilNextOf(step, start.Add(59*time.Second)); wait != time.Second {
		t.Errorf("the next pass over a FluentToken comes in %s, want 1s", wait)
	}
}
