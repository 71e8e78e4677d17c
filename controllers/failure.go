package controllers

import (
	"strconv"
	"time"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/loginguard"
	"github.com/fluent-credential/operator/internal/plan"
	"github.com/fluent-credential/operator/internal/token"
)

// This file turns an answer without a token into the failure that the state stores: what the failure waits for, and
// when the next try is.

// failure returns the failure that an answer without a token leaves in the state.
func (r *Reconciler) failure(seen *observation, try *attempt) custody.Failure {
	now := r.Clock.Now()
	answer := try.answer
	previous := seen.record.Failure
	failed := custody.Failure{
		Last: now, Verdict: answer.Verdict, Reason: reasonOf(try), Message: seen.message(try), Login: seen.attempted(),
		Class: answer.Cause.Class(), Subject: answer.Cause.Subject(),
	}
	if failed.Subject == failure.CredentialsSecret && seen.hints != "" {
		failed.Message += "; " + seen.hints
	}
	run := seen.joinRun(&failed)
	if answer.Problem.Code == exchange.NotAllowed {
		failed.Policy = policyHash(r.Dialer.Policy)
	}
	if answer.Problem.Code == string(loginguard.Exhausted) && wasLost(previous) {
		// The API caused the lost replies and stays the cause. The guard only makes the wait longer.
		failed.Verdict = previous.Verdict
		failed.Reason = previous.Reason
		failed.Message = previous.Message
		failed.RetryAt = try.retryAt
		return failed
	}
	r.schedule(seen, try, run, &failed)
	return failed
}

// schedule sets the time of the next try and whether a person is asked.
func (r *Reconciler) schedule(seen *observation, try *attempt, run plan.Run, failed *custody.Failure) {
	now := failed.Last
	answer := try.answer
	switch {
	case answer.Verdict == token.LoginRefused:
		// The guard refuses a second presentation because the token is another credential's. No login failed then.
		failed.Barred = try.claim.Attempt == 1
		failed.Stalled = failed.Class != failure.Time
		failed.RetryAt = try.retryAt
		if failed.RetryAt.IsZero() {
			failed.RetryAt = now.Add(plan.LoginBar)
		}
	case answer.Verdict == token.RefusedDead, answer.Verdict == token.Declined && !try.spends.IsZero():
		failed.RetryAt = now // another grant is tried at once; without one, the plan asks a person
	case answer.Verdict == token.Declined && try.claim.Grant == token.Password:
		failed.RetryAt = plan.ProbeLogin(now, run.Count)
		failed.Stalled = true
	case answer.Verdict == token.Unknown && seen.isRetriedAtOnce(try.claim):
		failed.RetryAt = now
	case !answer.Cause.IsProbed():
		failed.Stalled = true
	case failed.Class == failure.Input:
		refusal := plan.Refusal{Run: run, Probes: seen.probes(failed)}
		failed.RetryAt, failed.Probes = refusal.Probe(now, r.Draw(), seen.expiry())
		failed.Stalled = plan.IsStalled(failed.Probes)
	default:
		failed.RetryAt = later(r.backoff(seen, run, now), now.Add(answer.RetryAfter))
	}
}

// isRetriedAtOnce reports whether the claim's token is presented once more without a wait: the server has a grace
// window.
func (o *observation) isRetriedAtOnce(claim custody.Claim) bool {
	return o.cred.Spec.Refresh.OnLostReply == v1alpha1.LostReplyRetry &&
		claim.Grant == token.RefreshToken && claim.Attempt == 1
}

// joinRun stores the failure's place in its run, and returns the run.
func (o *observation) joinRun(failed *custody.Failure) plan.Run {
	run := o.runOf(*failed)
	failed.First = run.First
	failed.Tries = run.Count
	return run
}

// runOf returns the run of failures that this failure belongs to: those with the same login and spec since the last
// success. Failures of all classes count. Otherwise a server that alternates between two classes would be asked at the
// pace of the first minute for ever.
func (o *observation) runOf(failed custody.Failure) plan.Run {
	previous := o.record.Failure
	switch {
	case previous == nil || previous.Login != failed.Login:
		return plan.Run{First: failed.Last, Count: 1}
	case previous.First.IsZero(): // stored by an operator that did not record runs
		return plan.Run{First: previous.Last, Count: previous.Count + 1}
	}
	return plan.Run{First: previous.First, Count: previous.Tries + 1}
}

// run returns the run of failures that is stored; zero if there is none.
func (o *observation) run() plan.Run {
	if o.facts.Failure == nil {
		return plan.Run{}
	}
	return plan.Run{First: o.record.Failure.First, Count: o.record.Failure.Tries}
}

// probes returns the number of probes scheduled in the run before this failure.
func (o *observation) probes(failed *custody.Failure) int {
	if previous := o.record.Failure; previous != nil && previous.First.Equal(failed.First) {
		return previous.Probes
	}
	return 0
}

// expiry returns the expiry of the stored token, or zero if there is none.
func (o *observation) expiry() time.Time {
	if o.record.Token == nil {
		return time.Time{}
	}
	return o.record.Token.Expires
}

func (r *Reconciler) backoff(seen *observation, run plan.Run, now time.Time) time.Time {
	return plan.RetryAt(now, run, r.Draw(), seen.expiry())
}

// failureFact returns the stored failure as the plan sees it. It ignores a failure that another login or spec had. A
// failure can lie in the future, because a clock was ahead or was set back. Then the intended length of the wait
// counts, from when this process first saw the failure: counted from each pass, the wait would never end.
func (o *observation) failureFact() *plan.Failure {
	failed := o.record.Failure
	if failed == nil || failed.Login != o.attempted() {
		return nil
	}
	fact := &plan.Failure{RetryAt: failed.RetryAt, Barred: failed.Barred, Stalled: failed.Stalled}
	if failed.Class == "" {
		*fact = formerFailure(failed)
	}
	if failed.Last.After(o.now) && !fact.RetryAt.IsZero() {
		fact.RetryAt = o.memory.firstAhead(failed.Last, o.now).Add(fact.RetryAt.Sub(failed.Last))
	}
	if failed.Policy != "" && failed.Policy != policyHash(o.policy) {
		fact.RetryAt = o.now // the flags that refused the address have changed
		fact.Stalled = false
	}
	return fact
}

// formerFailure reads a failure that was stored before failures had a class. Such a refusal was never retried then; now
// it is probed.
func formerFailure(failed *custody.Failure) plan.Failure {
	fact := plan.Failure{
		RetryAt: failed.RetryAt,
		Barred:  failed.Barred,
		Stalled: failed.Barred || failed.RetryAt.IsZero(),
	}
	if failed.RetryAt.IsZero() && failed.Verdict == token.RefusedIntact {
		fact.RetryAt = failed.Last.Add(plan.SlowestProbe)
	}
	return fact
}

// isFormerRefusal reports whether a failure without a class is a refusal that is retried: hourly, or at the pace of the
// login guard.
func isFormerRefusal(failed *custody.Failure) bool {
	return failed.Class == "" && (failed.Verdict == token.RefusedIntact || failed.Verdict == token.LoginRefused)
}

// policyHash returns a hash of the endpoint policy. A change of the flags causes a try at once.
func policyHash(policy exchange.Policy) string {
	return hashOf("", append([]string{strconv.FormatBool(policy.InsecureHTTP)}, policy.AllowedHosts...)...)
}

func wasLost(failed *custody.Failure) bool {
	return failed != nil && failed.Verdict == token.Unknown
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// obstacleCauses are the causes of obstacles that no exchange is made for.
var obstacleCauses = map[string]failure.Cause{
	v1alpha1.ReasonCredentialsNotFound:   failure.WaitsFor(failure.CredentialsSecret),
	v1alpha1.ReasonCredentialsIncomplete: failure.NeedsPerson(failure.CredentialsSecret),
	v1alpha1.ReasonReferenceNotAllowed:   failure.NeedsPerson(failure.Spec),
	v1alpha1.ReasonTemplateInvalid:       failure.NeedsPerson(failure.Spec),
	v1alpha1.ReasonPublishFailed:         failure.NeedsPerson(failure.Spec), // a target that Kubernetes does not permit
	v1alpha1.ReasonEndpointNotAllowed:    failure.NeedsPerson(failure.EndpointPolicy),
	v1alpha1.ReasonTargetConflict:        failure.NeedsPerson(failure.TargetSecret),
	v1alpha1.ReasonStateInvalid:          failure.NeedsPerson(failure.StateSecret),
}

// classOf returns the class of the obstacle, or an empty class if there is none.
func classOf(seen *observation, next plan.Step) failure.Class {
	state := seen.memory.state
	target := seen.memory.target
	stored := seen.record.Failure
	switch why := next.Why; {
	case why == plan.Undelivered, why == plan.Unwritable:
		return state.class()
	case why == plan.Unpublishable:
		return target.class()
	case why == plan.TargetTaken, why == plan.NoMeans, why == plan.Stopped:
		return failure.Person
	case why == plan.Obstructed:
		return obstacleCauses[seen.obstacle.reason].Class()
	case why == plan.ReplyLost:
		return failure.Time
	case why == plan.Refused && (stored == nil || stored.Class != failure.Input && !isFormerRefusal(stored)):
		return failure.Person
	case why == plan.Refused:
		return failure.Input
	case why == plan.Suspended: // a person asked for the suspension
		return ""
	case seen.failed != nil:
		return failure.Time
	case seen.facts.Failure == nil:
		return ""
	case stored.Class == "":
		return failure.Time
	}
	return stored.Class
}
