package controllers

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/plan"
)

// report writes the status, where it changed, and says when to look again. It is the only author of a ctrl.Result.
func (r *Reconciler) report(ctx context.Context, seen *observation, done plan.Step) (ctrl.Result, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportTimeout)
	defer cancel()
	if done.Do == plan.Release && seen.failed == nil {
		r.forget(client.ObjectKeyFromObject(seen.cred))
		return ctrl.Result{}, nil
	}
	seen.now = r.Clock.Now() // the step may have taken long, and a token expired meanwhile
	r.refresh(seen)
	next := plan.Next(seen.facts, seen.now)
	seen.consumers, seen.selectorIgnored = r.consumersOf(ctx, seen), r.ignoresSelector(seen.cred)
	status := statusOf(seen, next)
	waits := r.queueUp(seen, next)
	isBrief := waits > 0 && seen.isServed()
	seen.expect(next, !isBrief)
	r.Metrics.Observe(client.ObjectKeyFromObject(seen.cred), measured(seen, status, classOf(seen, next)))
	if isBrief {
		return inLineAfter(min(untilNext(next, r.Clock.Now()), waits)), nil
	}
	if err := r.apply(ctx, seen, status); err != nil {
		return ctrl.Result{}, err
	}
	if _, waits := heldBack(seen, next); seen.failed != nil && !waits {
		return ctrl.Result{}, errors.New(wordsOfWrite(seen, seen.failed)) // the workqueue backs off
	}
	// The pass may have taken long: a process that was suspended must not wait for as long once more.
	return again(next, r.Clock.Now()), nil
}

// again is the next pass. What was begun goes on before what comes due by itself: behind ten thousand that were not looked at since the
// start, a credential whose turn has come would be the last.
func again(next plan.Step, now time.Time) ctrl.Result {
	wait := untilNext(next, now)
	if next.Do != plan.Wait || next.Why == plan.Undelivered {
		return inLineAfter(wait)
	}
	return ctrl.Result{RequeueAfter: wait, Priority: ptr.To(routine)}
}

// routine is the priority of what comes due by itself: that of the initial list, so that after a start neither starves the other.
// What a person changes comes before both.
const routine = handler.LowPriority

// inLine is that of who waits for a turn, or is in the midst of its own: it comes when it said, and seldom reads anything. Behind ten
// thousand that were not looked at since the start it would be late, and its turn would pass to others.
const inLine = routine + 1

func inLineAfter(wait time.Duration) ctrl.Result {
	return ctrl.Result{RequeueAfter: wait, Priority: ptr.To(inLine)}
}

// reportTimeout bounds the status of an exchange that was finished after SIGTERM.
const reportTimeout = 10 * time.Second

// soon is the shortest wait that controller-runtime takes for a wish to be called again.
const soon = time.Millisecond

func untilNext(next plan.Step, now time.Time) time.Duration {
	switch {
	case next.Do != plan.Wait:
		return soon
	case next.At.IsZero():
		return 0 // only a change can help
	}
	return max(next.At.Sub(now), soon)
}

// briefly is how long a wait for a turn is not worth a word, while the token is valid: after a long stop, thousands wait for minutes, and
// the status would be written twice for each rotation.
const briefly = 5 * time.Minute

// queueUp keeps the place of a credential that waits for the turn of its token host, and gives up that of one that does not. It
// returns for how long the wait is still brief.
func (r *Reconciler) queueUp(seen *observation, next plan.Step) time.Duration {
	waits := next.Do == plan.Wait && !next.At.IsZero() && (next.Why == plan.HostBusy || next.Why == plan.Deleted)
	if !waits {
		r.Hosts.Leave(client.ObjectKeyFromObject(seen.cred), seen.now)
		return 0
	}
	since := r.Hosts.Wait(hostOf(seen.api), seen.waiter(), next.At, seen.now)
	return briefly - seen.now.Sub(since)
}

// isServed: workloads have their token, and the status says nothing else. Until that changes a wait is nobody's worry.
func (o *observation) isServed() bool {
	stored := o.record.Token
	return stored != nil && o.now.Before(stored.Expires) && o.workload.current && o.facts.Failure == nil && !o.facts.Deleting &&
		meta.IsStatusConditionTrue(o.knownConditions(), v1alpha1.ConditionReady) && o.cred.Status.ObservedGeneration == o.cred.Generation
}

// forget lets go of what this process keeps of an object that is gone.
func (r *Reconciler) forget(key types.NamespacedName) {
	r.Metrics.Forget(key)
	uid := r.memory.forget(key)
	r.forgetMark(uid)
	r.forgetKept(uid)
	r.Hosts.Leave(key, r.Clock.Now())
}

// apply writes the status unless it is what was written last: status is a view, and each write costs more than a rotation's other
// ones (see docs/adr).
func (r *Reconciler) apply(ctx context.Context, seen *observation, status v1alpha1.FluentCredentialStatus) error {
	encoded := encodedStatus(status)
	digest := sumOf(encoded)
	if seen.memory.status == "" && digestOf(seen.cred.Status) == digest {
		seen.memory.status = digest
	}
	if seen.memory.status == digest {
		isReplaced := isStatusReplaced(seen.cred, seen.cred.Status.Conditions, seen.cred.Status, seen.memory.told, digest)
		if !isReplaced || !seen.memory.rewritten.isDue(seen.now) {
			return nil
		}
	}
	if seen.failed != nil && r.isOvertaken(ctx, seen) {
		return nil
	}
	version, err := r.writeStatus(ctx, seen.cred, encoded)
	if isObjectGone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	r.announce(seen, status)
	seen.memory.status, seen.memory.told, seen.memory.history = digest, version, nil
	return nil
}

// isStatusReplaced reports whether an object shows another status than the one with this digest, which this process wrote
// or found last: it was restored from a backup, or written by a former leader that was frozen. Told is the version that
// this process wrote; a cache that does not show it yet is behind. The cache keeps no status that is too large.
func isStatusReplaced(object client.Object, conditions []metav1.Condition, shown any, told, digest string) bool {
	version := object.GetResourceVersion()
	if version == told || told != "" && isNewer(told, version) || len(conditions) == 0 {
		return false
	}
	return digestOf(shown) != digest
}

// rewritePause is the least time between two writes of a status that another writer replaced. Two replicas that both
// write, which happens while the lease changes hands, would otherwise answer each other without a pause.
const rewritePause = time.Minute

// rewriting is when a status was last written again because another writer had replaced it.
type rewriting time.Time

// isDue reports whether the status may be written again, and records that it is.
func (r *rewriting) isDue(now time.Time) bool {
	since := now.Sub(time.Time(*r))
	if since >= 0 && since < rewritePause {
		return false
	}
	*r = rewriting(now)
	return true
}

// isOvertaken reports whether the FluentCredential was written since a pass that failed has looked at it. A process that was frozen in the
// pass may lead no more, and what it has to report would replace the status of the present leader, which would not notice.
func (r *Reconciler) isOvertaken(ctx context.Context, seen *observation) bool {
	live := &v1alpha1.FluentCredential{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(seen.cred), live); err != nil {
		return false // the write fails likewise, or finds that the object is gone
	}
	known := seen.cred.ResourceVersion
	return live.ResourceVersion != known && live.ResourceVersion != seen.memory.told && isNewer(live.ResourceVersion, known)
}

// isObjectGone reports whether the object does not exist any more. An API server that has just started does not serve the kind yet, and
// answers with another 404.
func isObjectGone(err error) bool {
	return apierrors.IsNotFound(err) && !apierrors.IsUnexpectedServerError(err)
}

// operation of a JSON patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// writeStatus replaces the status as a whole: nobody else writes there, and a server-side apply to the same effect costs the API
// server twice as much. It tests the UID first, so that a namesake of an object that went gets nothing. It returns the new version.
func (r *Reconciler) writeStatus(ctx context.Context, cred *v1alpha1.FluentCredential, status json.RawMessage) (string, error) {
	patch, err := json.Marshal([]operation{{"test", "/metadata/uid", cred.UID}, {"add", "/status", status}})
	if err != nil {
		return "", err
	}
	target := &v1alpha1.FluentCredential{ObjectMeta: metav1.ObjectMeta{Namespace: cred.Namespace, Name: cred.Name}}
	err = r.Client.Status().Patch(ctx, target, client.RawPatch(types.JSONPatchType, patch), client.FieldOwner(v1alpha1.OperatorName))
	return target.ResourceVersion, err
}

// announce tells an obstacle when it appears, and not again while it stays. Failed exchanges were told where they happened.
func (r *Reconciler) announce(seen *observation, status v1alpha1.FluentCredentialStatus) {
	renewable := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionRenewable)
	if renewable.Status != metav1.ConditionFalse || renewable.Reason == v1alpha1.ReasonSuspended || seen.facts.Failure != nil {
		return
	}
	before := meta.FindStatusCondition(seen.knownConditions(), v1alpha1.ConditionRenewable)
	if before == nil || before.Reason != renewable.Reason || before.Message != renewable.Message {
		r.sayBlocked(seen, renewable.Reason, renewable.Message)
	}
}

// knownConditions are those that the status shows.
func (o *observation) knownConditions() []metav1.Condition {
	return slices.Clone(o.cred.Status.Conditions)
}

// caughtUp returns the whole credential, with the status that this process wrote last: from the cache, which is seldom
// behind, unless the credential is too large for it.
func (r *Reconciler) caughtUp(ctx context.Context, cached *v1alpha1.FluentCredential, memory *remembered) (*v1alpha1.FluentCredential, error) {
	if !isAbridged(cached) && (memory.told == "" || !isNewer(memory.told, cached.ResourceVersion)) {
		return cached, nil
	}
	cred := &v1alpha1.FluentCredential{}
	err := r.Live.Get(ctx, client.ObjectKeyFromObject(cached), cred)
	if apierrors.IsNotFound(err) || err == nil && cred.UID != cached.UID {
		return nil, custody.ErrGone
	}
	return cred, err
}

func encodedStatus(status any) json.RawMessage {
	encoded, _ := json.Marshal(status) // plain data always encodes
	return encoded
}

func digestOf(status any) string { return sumOf(encodedStatus(status)) }

func sumOf(encoded []byte) string {
	sum := sha256.Sum256(encoded)
	return string(sum[:])
}
