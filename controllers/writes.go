package controllers

import (
	"context"
	"errors"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/kubeerror"
	"github.com/fluent-credential/operator/internal/loginguard"
	"github.com/fluent-credential/operator/internal/plan"
)

// The Kubernetes API can refuse writes for hours while it answers every read: because of a policy, a quota, or a
// webhook that is down. This process remembers the failures to pace its tries, and reports them in the conditions.

// failing is a run of failed writes without a success in between.
type failing struct {
	since   time.Time
	count   int
	retryAt time.Time
	err     error
	against input // the input of the refused write
}

// input is the version of the object to be written, and the generation of the spec that requires the write.
type input struct {
	version    string
	generation int64
}

// forgotten is the time after the last try at which a run ends, because nothing had to be written since.
const forgotten = 2 * time.Minute

// fails counts a write that failed.
func (f *failing) fails(now time.Time, err error, draw float64) {
	if f.count == 0 || now.Sub(f.retryAt) > forgotten {
		*f = failing{since: now}
	}
	f.count++
	f.err = err
	f.retryAt = plan.WriteRetryAt(now, f.since, f.count, draw)
}

// worked ends the run after a successful write.
func (f *failing) worked() { *f = failing{} }

// lasts reports whether the run is more than momentary: it has lasted, or the API's answer says that it will.
func (f *failing) lasts(now time.Time) bool {
	return f.count > 0 && (kubeerror.IsDenied(f.err) || isTaken(f.err) || plan.WritesLastingly(now, f.since))
}

// class returns what the run waits for.
func (f *failing) class() failure.Class {
	if isTaken(f.err) {
		return failure.Person
	}
	return kubeerror.Judge(f.err, kubeerror.Update, kubeerror.NotRead).Cause.Class()
}

// stalledAfter is how long a write that waits for a change is tried before a person is asked. By then three tries at
// the slow pace have failed.
const stalledAfter = 2 * time.Minute

// isStalled reports whether a person can help.
func (f *failing) isStalled(now time.Time) bool {
	switch f.class() {
	case failure.Person:
		return f.count > 0
	case failure.Input:
		return f.count > 0 && now.Sub(f.since) >= stalledAfter
	case failure.Time:
	}
	return false
}

// isBlocked reports whether an object that this process must not overwrite has the state's name.
func isBlocked(err error) bool {
	return errors.Is(err, custody.ErrForeign) || errors.Is(err, custody.ErrNewer)
}

// isTaken reports the same of the state's other name and of the login guard too, which only the next write looks at.
func isTaken(err error) bool {
	return isBlocked(err) || errors.Is(err, custody.ErrNoPlace) || errors.Is(err, loginguard.ErrForeign)
}

// lostRaces counts the passes in a row that came to nothing because another writer was first.
type lostRaces struct {
	first time.Time
	count int
	over  string // the version of the state at the last one
}

// Momentary lost races are not reported.
const (
	racesIgnored = 5
	racesWithin  = time.Minute
)

// again counts a lost race, and reports whether it is one of too many.
func (l *lostRaces) again(now time.Time) bool {
	if l.count == 0 || now.Sub(l.first) > racesWithin {
		*l = lostRaces{first: now}
	}
	l.count++
	return l.count > racesIgnored
}

// isLostRace reports whether a pass stored nothing only because another writer was faster. If that happens repeatedly,
// or while writes fail anyway, it is a failure like any other.
func (r *Reconciler) isLostRace(seen *observation, err error) bool {
	if !isOthers(err) {
		return false
	}
	if errors.Is(err, custody.ErrGone) {
		return true
	}
	races := &seen.memory.races
	// A conflict over the version that lost before is none: the state was not written since.
	isSame := races.count > 0 && races.over == seen.record.Version() && races.over != ""
	isTooMany := races.again(r.Clock.Now())
	races.over = seen.record.Version()
	return !isTooMany && seen.memory.state.count == 0 && !(isSame && errors.Is(err, custody.ErrConflict))
}

// paced delays the pass after a lost race if it would send a request to the token host in a run of failures that has
// lasted for longer than a moment.
func (r *Reconciler) paced(seen *observation, step plan.Step, result ctrl.Result) ctrl.Result {
	if step.Do == plan.Exchange && result.RequeueAfter > 0 {
		now := r.Clock.Now()
		result.RequeueAfter = max(result.RequeueAfter, seen.run().NotBefore(now, seen.expiry()).Sub(now))
	}
	return result
}

// noteWrites records the results of a step's writes. Writes that follow from the state, or that lead to a request to
// the token host, are not retried before their time.
func (r *Reconciler) noteWrites(seen *observation, step plan.Step, before *custody.Record, err error) {
	if err == nil {
		seen.memory.races = lostRaces{}
		if seen.record != before && step.Do != plan.Publish {
			seen.memory.state.worked()
		}
		return
	}
	if step.Do == plan.Publish || step.Do == plan.Withdraw {
		r.targetFails(seen, err)
		return
	}
	spends := step.Do == plan.Exchange || step.Do == plan.Deliver || step.Do == plan.Restore
	if spends || kubeerror.SubjectOf(err) == failure.StateSecret {
		now := r.Clock.Now()
		seen.memory.state.fails(now, err, r.Draw())
		if step.Do == plan.Exchange && !errors.Is(err, custody.ErrHeld) {
			seen.memory.state.retryAt = later(seen.memory.state.retryAt, seen.run().NotBefore(now, seen.expiry()))
		}
	}
}

// targetFails records that the target Secret was not written, and reports the cause if it is new.
func (r *Reconciler) targetFails(seen *observation, err error) {
	known := &seen.memory.target
	words := wordsOfWrite(seen, err)
	isNews := known.count == 0 || wordsOfWrite(seen, known.err) != words
	known.fails(r.Clock.Now(), err, r.Draw())
	known.against = seen.targetInput()
	if isNews && !isRace(err) {
		r.Recorder.Eventf(seen.cred, nil, corev1.EventTypeWarning, v1alpha1.ReasonPublishFailed, "Publish", "%s", words)
	}
}

// undone is what a person is told where what is published does not stay.
type undone struct{ secret string }

func (u undone) Error() string {
	return "Secret " + u.secret + " is changed or deleted by somebody else whenever it is published: it is published less often"
}

// targetWorks notes a write of the target Secret. One that only brings back what this process has published before is a
// repair; where repairs follow upon each other, two controllers are at odds, and this one makes the pace.
func (r *Reconciler) targetWorks(seen *observation, known, written publication) {
	now, target := r.Clock.Now(), &seen.memory.target
	isRepair := known.name == written.name && known.digest == written.digest
	atOdds := errors.As(target.err, &undone{}) && now.Sub(target.retryAt) <= forgotten
	if isRepair && (atOdds || seen.memory.repairs.again(now)) {
		r.targetFails(seen, undone{written.name})
		return
	}
	if !isRepair || !atOdds {
		target.worked()
	}
}

// targetInput is what the next publication is made with.
func (o *observation) targetInput() input {
	return input{version: o.workload.version, generation: o.cred.Generation}
}

// writesFact returns the facts about writes that the plan needs. A denied publication is retried at once when the
// target Secret or the spec has changed: for example, when an immutable Secret was deleted.
func (r *Reconciler) writesFact(seen *observation) plan.Writes {
	writes := plan.Writes{
		Held: r.memory.holds(seen.cred.UID), StateAt: seen.memory.state.retryAt, TargetAt: seen.memory.target.retryAt,
	}
	target := seen.memory.target
	if target.count > 0 && kubeerror.IsDenied(target.err) && target.against != seen.targetInput() {
		writes.TargetAt = time.Time{}
	}
	return writes
}

// wordsOfWrite returns the Kubernetes API's message without the secrets of this credential.
func wordsOfWrite(seen *observation, err error) string {
	return strings.TrimPrefix(kubeerror.Words(err, seen.secrets()...), custody.ErrHeld.Error()+": ")
}

// causeOfWrite returns the cause of a failed write, worded for a condition.
func causeOfWrite(seen *observation, err error) cause {
	reason := v1alpha1.ReasonPublishFailed
	if kubeerror.SubjectOf(err) == failure.StateSecret || errors.Is(err, custody.ErrHeld) {
		reason = v1alpha1.ReasonStateUnwritable
	}
	return cause{reason, wordsOfWrite(seen, err)}
}

// heldBack are the outcomes that wait for a write. The condition reports the error of the last write.
func heldBack(seen *observation, next plan.Step) (cause, bool) {
	state := seen.memory.state
	if next.Why == plan.Undelivered {
		message := "a reply of the API is held until it can be stored"
		if state.err != nil {
			message += ": " + wordsOfWrite(seen, state.err)
		}
		return cause{v1alpha1.ReasonStateUnwritable, message}, true
	}
	if next.Why == plan.Unwritable {
		return cause{v1alpha1.ReasonStateUnwritable, wordsOfWrite(seen, state.err)}, true
	}
	if next.Why == plan.Unpublishable {
		return cause{v1alpha1.ReasonPublishFailed, wordsOfWrite(seen, seen.memory.target.err)}, true
	}
	return cause{}, false
}

// isUnwritable reports whether the next refresh waits for a write that has failed for longer than a moment.
func (o *observation) isUnwritable(next plan.Step) bool {
	waits := next.Why == plan.Undelivered || next.Why == plan.Unwritable
	return (waits || kubeerror.SubjectOf(o.failed) == failure.StateSecret) && o.memory.state.lasts(o.now)
}

// isWriteStalled reports whether the plan waits for a write that only a person can make possible.
func (o *observation) isWriteStalled(next plan.Step) bool {
	if next.Why == plan.Unpublishable {
		return o.memory.target.isStalled(o.now)
	}
	return (next.Why == plan.Undelivered || next.Why == plan.Unwritable) && o.memory.state.isStalled(o.now)
}

// tellUnseen reports in the status that the operator cannot read the credential's objects. If a right to read is
// missing, each pass ends before it can report anything, and an expired token would be reported as valid for ever. The
// status itself is the only source of facts here.
func (r *Reconciler) tellUnseen(ctx context.Context, cred *v1alpha1.FluentCredential, memory *remembered, err error) {
	if errors.Is(err, custody.ErrGone) || isStopping(ctx) {
		return
	}
	now := r.Clock.Now()
	memory.reads.fails(now, err, 0)
	if !plan.WritesLastingly(now, memory.reads.since) {
		return
	}
	seen := &observation{cred: cred, memory: memory, now: now, record: &custody.Record{}, login: memory.login.login}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportTimeout) // the pass may have used up its time
	defer cancel()
	if failed := r.apply(ctx, seen, unseenStatus(seen, err)); failed != nil {
		ctrl.LoggerFrom(ctx).Info("The status could not be written", "because", wordsOfWrite(seen, failed))
	}
}

// unseenStatus returns the last status with the conditions updated that depend on the time or on the missing reads.
func unseenStatus(seen *observation, err error) v1alpha1.FluentCredentialStatus {
	status := *seen.cred.Status.DeepCopy()
	words := wordsOfWrite(seen, err)
	set := func(kind string, is metav1.ConditionStatus, reason, message string) {
		meta.SetStatusCondition(&status.Conditions, metav1.Condition{
			Type: kind, Status: is, Reason: reason, Message: message,
			ObservedGeneration: seen.cred.Generation, LastTransitionTime: metav1.NewTime(seen.now),
		})
	}
	switch known := status.Token; {
	case known == nil:
		set(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonStateUnwritable, words)
	case !seen.now.Before(known.ExpirationTime.Time):
		expired := "the access token expired at " + known.ExpirationTime.UTC().Format(time.RFC3339)
		set(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonTokenExpired, expired+"; "+words)
	}
	set(v1alpha1.ConditionRenewable, metav1.ConditionFalse, v1alpha1.ReasonStateUnwritable, words)
	progress, other := v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled
	if seen.memory.reads.isStalled(seen.now) {
		progress, other = other, progress
	}
	meta.RemoveStatusCondition(&status.Conditions, other)
	set(progress, metav1.ConditionTrue, v1alpha1.ReasonStateUnwritable, words)
	provider := ""
	if status.Summary != nil {
		provider = status.Summary.Provider
	}
	status.Summary = &v1alpha1.StatusSummary{Reason: v1alpha1.ReasonStateUnwritable, Message: words, Provider: provider}
	return status
}

// logWrite logs a failed write of a target Secret.
func logWrite(ctx context.Context, seen *observation, err error) {
	ctrl.LoggerFrom(ctx).Info("The target Secret could not be written", "because", wordsOfWrite(seen, err))
}
