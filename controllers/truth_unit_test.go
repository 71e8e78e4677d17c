package controllers

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/kubeerror"
	"github.com/fluent-credential/operator/internal/metrics"
	"github.com/fluent-credential/operator/internal/plan"
	"github.com/fluent-credential/operator/internal/token"
)

// inCluster gives a scene a Kubernetes API.
func (s *scene) inCluster() client.Client {
	s.t.Helper()
	scheme := runtime.NewScheme()
	if err := AddToScheme(scheme); err != nil {
		s.t.Fatal(err)
	}
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(s.cred.DeepCopy()).WithStatusSubresource(s.cred).Build()
	s.r.Client, s.r.Live, s.r.Custody = api, api, &custody.Store{Reader: api, Writer: api}
	s.r.Metrics, s.r.Recorder = metrics.New(prometheus.NewRegistry()), events.NewFakeRecorder(10)
	return api
}

// TestUnitAReportIsAboutThePresent: a pass takes longer than its token lives, because a request is not answered or the
// process is frozen. The status and the time of the next pass follow from the time at its end.
func TestUnitAReportIsAboutThePresent(t *testing.T) {
	s := newScene(t)
	api := s.inCluster()
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(s.cred), s.cred); err != nil {
		t.Fatal(err)
	}
	s.r.refresh(s.observation)
	began := s.now
	s.later(time.Hour)
	s.now = began
	s.failed = &kubeerror.WriteError{Object: "state Secret x", Subject: failure.StateSecret, Verb: kubeerror.Update, Err: errors.New("away")}
	if _, err := s.r.report(t.Context(), s.observation, plan.Step{Do: plan.Wait, Why: plan.NotDue}); err == nil {
		t.Error("the error of the pass is lost")
	}
	stored := &v1alpha1.FluentCredential{}
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(s.cred), stored); err != nil {
		t.Fatal(err)
	}
	ready := meta.FindStatusCondition(stored.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Status != metav1.ConditionFalse || ready.Reason != v1alpha1.ReasonTokenExpired {
		t.Errorf("an hour after the beginning of the pass, the token expired, and the status says %+v", ready)
	}
}

// TestUnitReadsThatAreDenied: a right to read is missing. A person is asked as for a right to write.
func TestUnitReadsThatAreDenied(t *testing.T) {
	denied := apierrors.NewForbidden(v1alpha1.GroupVersion.WithResource("secrets").GroupResource(), "x", errors.New("no right"))
	for name, test := range map[string]struct {
		err   error
		since time.Duration
		want  string
		why   string
	}{
		"denied for a minute":      {denied, time.Minute, v1alpha1.ConditionReconciling, "a role may be being changed"},
		"denied for three minutes": {denied, 3 * time.Minute, v1alpha1.ConditionStalled, "only a person can give the right"},
		"no answer for an hour":    {errors.New("i/o timeout"), time.Hour, v1alpha1.ConditionReconciling, "it passes by itself"},
	} {
		s := newScene(t)
		s.memory.reads.fails(s.now, test.err, 0)
		s.memory.reads.since = s.now.Add(-test.since)
		status := unseenStatus(s.observation, test.err)
		for _, kind := range []string{v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled} {
			if got := meta.IsStatusConditionTrue(status.Conditions, kind); got != (kind == test.want) {
				t.Errorf("%s: %s is %v: %s", name, kind, got, test.why)
			}
		}
	}
}

// TestUnitTriesInARunOfFailures: the token host fails for longer than a minute, and then no claim can be written, or
// another writer is faster. Each of these tries has connected to the token host, so the next one keeps the pace.
func TestUnitTriesInARunOfFailures(t *testing.T) {
	away := errors.New("away")
	for name, test := range map[string]struct {
		lasted time.Duration
		err    error
		least  time.Duration
		most   time.Duration
		why    string
	}{
		"no failure before":      {0, away, 0, time.Second, "the back-off of writes is quick at first"},
		"the first minute":       {30 * time.Second, away, 0, time.Second, "likewise"},
		"after the first minute": {10 * time.Minute, away, 15 * time.Second, 16 * time.Second, "at most 4 connections a minute"},
		"a result that is held":  {10 * time.Minute, fmt.Errorf("%w: %w", custody.ErrHeld, away), 0, time.Second, "no connection is made"},
	} {
		s := newScene(t)
		if test.lasted > 0 {
			s.record.Failure = &custody.Failure{
				First: s.now.Add(-test.lasted), Last: s.now, Verdict: token.Unsent, Class: failure.Time, Login: s.attempted(), Tries: 20,
			}
		}
		s.r.refresh(s.observation)
		s.r.noteWrites(s.observation, plan.Step{Do: plan.Exchange}, s.record, test.err)
		if wait := s.memory.state.retryAt.Sub(s.now); wait < test.least || wait > test.most {
			t.Errorf("%s: the next try after %s, want %s to %s: %s", name, wait, test.least, test.most, test.why)
		}
		result := s.r.paced(s.observation, plan.Step{Do: plan.Exchange}, inLineAfter(raceWait))
		if wait := result.RequeueAfter; wait < min(test.least, steady) {
			t.Errorf("%s: the next try after %s after a lost race, want %s at least", name, wait, test.least)
		}
	}
}

const steady = 15 * time.Second

// TestUnitAConflictOverTheSameVersion: the second conflict over a state that was not written since is an error of the
// write. A conflict over another version is a lost race.
func TestUnitAConflictOverTheSameVersion(t *testing.T) {
	s := newScene(t)
	s.inCluster()
	write := func() {
		t.Helper()
		record, err := s.r.Custody.Open(t.Context(), s.owner())
		if err == nil {
			record, err = s.r.Custody.Put(t.Context(), s.owner(), record, record.State)
		}
		if err != nil {
			t.Fatal(err)
		}
		s.record = record
	}
	conflict := fmt.Errorf("%w: modified", custody.ErrConflict)
	write()
	for i, step := range []struct {
		moves, want bool
	}{{false, true}, {true, true}, {true, true}, {false, false}} {
		if step.moves {
			write()
		}
		if got := s.r.isLostRace(s.observation, conflict); got != step.want {
			t.Errorf("conflict %d is a lost race: %v, want %v", i, got, step.want)
		}
	}
}
