package controllers

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// The history in the status tells the last exchanges. It goes with the status that an exchange writes anyway, so it costs no write
// of its own, and a pass that asks nobody leaves it as it is.

// maxHistory is how many exchanges the status tells of; the CRD has the same bound.
const maxHistory = 10

// recall puts an exchange into the history. It is remembered until the status is written, in case the first try is not the last.
func (o *observation) recall(entry v1alpha1.ExchangeStatus) {
	o.memory.history = onTop(entry, o.knownHistory())
}

func onTop(entry v1alpha1.ExchangeStatus, older []v1alpha1.ExchangeStatus) []v1alpha1.ExchangeStatus {
	history := append([]v1alpha1.ExchangeStatus{entry}, older...)
	return history[:min(len(history), maxHistory)]
}

// knownHistory is the one that the status shows, or is to show.
func (o *observation) knownHistory() []v1alpha1.ExchangeStatus {
	if o.memory.history != nil {
		return o.memory.history
	}
	return o.cred.Status.History
}

// recallAttempt tells an exchange whose result is stored. A login that the guard held back is none: nobody was asked.
func (r *Reconciler) recallAttempt(seen *observation, try *attempt) {
	if isHeldBack(try.answer.Problem) {
		return
	}
	entry := v1alpha1.ExchangeStatus{
		Time: *timeOf(seen.now), Grant: string(try.claim.Grant), Verdict: string(try.answer.Verdict), Serial: seen.record.Serial,
	}
	if !try.sent.IsZero() {
		entry.Time = *timeOf(try.sent)
	}
	if !try.sent.IsZero() && try.answer.Verdict != token.Unsent && try.claim.Holder == r.Holder {
		entry.Duration = &metav1.Duration{Duration: try.replied.Sub(try.sent).Round(time.Millisecond)}
	}
	if try.answer.Verdict != token.Granted {
		entry.Reason = reasonOf(try)
	}
	seen.recall(entry)
}

// isHeldBack tells a login that the guard refused from one that the API refused.
func isHeldBack(problem provider.Problem) bool {
	_, held := guardReasons[problem.Code]
	return held && problem.Status == 0
}

// recallLost tells an exchange whose process is gone; it began when its claim was made, or a moment later.
func (o *observation) recallLost(claim custody.Claim) {
	failure := o.record.Failure
	o.recall(v1alpha1.ExchangeStatus{
		Time: *timeOf(claim.Started), Grant: string(claim.Grant), Verdict: string(failure.Verdict), Reason: failure.Reason,
		Serial: o.record.Serial,
	})
}

// historyOf is what is known and, on top of it, the exchange of a token that came from a process which did not get to tell it.
func historyOf(seen *observation) []v1alpha1.ExchangeStatus {
	known, stored := seen.knownHistory(), seen.record.Token
	if stored == nil {
		return known
	}
	obtained := *timeOf(stored.Obtained)
	newest := slices.IndexFunc(known, func(e v1alpha1.ExchangeStatus) bool { return e.Verdict == string(token.Granted) })
	if newest >= 0 && !known[newest].Time.Before(&obtained) {
		return known
	}
	return onTop(v1alpha1.ExchangeStatus{
		Time: obtained, Grant: string(stored.Grant), Verdict: string(token.Granted), Serial: seen.record.Serial,
	}, known)
}
