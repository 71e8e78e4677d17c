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

// The Kubernetes API can refuse writes for hours while it answers every read: a policy, a quota, a webhook that is
// down. What this process remembers of that paces its own tries, and is told in the conditions.

// failing is a run of writes of which none worked.
type failing struct {
	since   time.Time
	count   int
	retryAt time.Time
	err     error
	against input // what the write was refused against
}

// input is the version of the object that was to be written, and the generation of the spec that asked for it.
type input struct {
	version    string
	generation int64
}

// forgotten is how long after its last try a run is over, because nothing had to be written since.
const forgotten = 2 * time.Minute

// fails counts a write that failed.
func (f *failing) fails(now time.Time, err error, draw float64) {
	if f.count == 0 || now.Sub(f.retryAt) > forgotten {
		*f = failing{since: now}
	}
	f.count++
	f.err, f.retryAt = err, plan.WriteRetryAt(now, f.since, f.count, draw)
}

// worked ends the run.
func (f *failing) worked() { *f = failing{} }

// lasts reports whether the run is more than a moment's matter: it has lasted, or the API says that it will.
func (f *failing) lasts(now time.Time) bool {
	return f.count > 0 && (kubeerror.IsDenied(f.err) || isTaken(f.err) || plan.WritesLastingly(now, f.since))
}

// class is what the run waits for.
func (f *failing) class() failure.Class {
	if isTaken(f.err) {
		return failure.Person
	}
	return kubeerror.Judge(f.err, kubeerror.Update, kubeerror.NotRead).Cause.Class()
}

// stalledAfter is how long what lasts until somebody changes something is tried before a person is called: by then
// three tries failed that were no hurry any more.
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

// isBlocked reports whether the state's name is taken by what this process must not write over.
func isBlocked(err error) bool {
	return errors.Is(err, custody.ErrForeign) || errors.Is(err, custody.ErrNewer)
}

// isTaken reports the same of the login guard too, which only the next login looks at.
func isTaken(err error) bool { return isBlocked(err) || errors.Is(err, loginguard.ErrForeign) }

// lostRaces counts the passes in a row that came to nothing because another writer was first.
type lostRaces struct {
	first time.Time
	count int
}

// The races that are lost for a moment only are nobody's concern.
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

// isLostRace reports whether a pass came to nothing only because somebody else was faster. Where that happens again and
// again, or while writes fail anyway, it is a failure like any other.
func (r *Reconciler) isLostRace(seen *observation, err error) bool {
	if !isOthers(err) {
		return false
	}
	if errors.Is(err, custody.ErrGone) {
		return true
	}
	return !seen.memory.races.again(r.Clock.Now()) && seen.memory.state.count == 0
}

// noteWrites remembers what became of the writes of a step. What follows from the state, or leads to a request to the
// token host, is not tried again before its time.
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
		seen.memory.state.fails(r.Clock.Now(), err, r.Draw())
	}
}

// targetFails remembers that the target Secret was not written, and tells why when it is news.
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

// writesFact is what the plan has to know. A publication that was denied is tried at once when the target Secret or the
// spec has changed: it was deleted, for example, because it was immutable.
func (r *Reconciler) writesFact(seen *observation) plan.Writes {
	writes := plan.Writes{
		Held: r.memory.holds(seen.cred.UID), StateAt: seen.memory.state.retryAt, TargetAt: seen.memory.target.retryAt,
	}
	if target := seen.memory.target; target.count > 0 && kubeerror.IsDenied(target.err) && target.against != seen.targetInput() {
		writes.TargetAt = time.Time{}
	}
	return writes
}

// wordsOfWrite is what the Kubernetes API said, without the secrets of this credential.
func wordsOfWrite(seen *observation, err error) string {
	return strings.TrimPrefix(kubeerror.Words(err, seen.secrets()...), custody.ErrHeld.Error()+": ")
}

// causeOfWrite is why a write failed, in the words of a condition.
func causeOfWrite(seen *observation, err error) cause {
	reason := v1alpha1.ReasonPublishFailed
	if kubeerror.SubjectOf(err) == failure.StateSecret || errors.Is(err, custody.ErrHeld) {
		reason = v1alpha1.ReasonStateUnwritable
	}
	return cause{reason, wordsOfWrite(seen, err)}
}

// heldBack are the outcomes that wait for a write: what the condition says is what the last one failed with.
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

// isWriteStalled reports whether what is waited for is a write that only a person can make possible.
func (o *observation) isWriteStalled(next plan.Step) bool {
	if next.Why == plan.Unpublishable {
		return o.memory.target.isStalled(o.now)
	}
	return (next.Why == plan.Undelivered || next.Why == plan.Unwritable) && o.memory.state.isStalled(o.now)
}

// tellUnseen says in the status that nothing can be seen: where a right to read is missing, each pass ends before it
// can say anything, and an expired token would be called good for ever. What is known is what the status says itself.
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

// unseenStatus is the last status with the conditions that time and blindness change.
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
	meta.RemoveStatusCondition(&status.Conditions, v1alpha1.ConditionStalled)
	set(v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonStateUnwritable, words)
	provider := ""
	if status.Summary != nil {
		provider = status.Summary.Provider
	}
	status.Summary = &v1alpha1.StatusSummary{Reason: v1alpha1.ReasonStateUnwritable, Message: words, Provider: provider}
	return status
}

// logWrite logs a write of a target Secret that failed.
func logWrite(ctx context.Context, seen *observation, err error) {
	ctrl.LoggerFrom(ctx).Info("The target Secret could not be written", "because", wordsOfWrite(seen, err))
}
