package controllers

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// What an exchange brings is kept somewhere until it is stored: in the state Secret, which has a size, and until then in
// the memory of this process. Whether there is room is known before anything is spent.

// The codes of problems for which nothing is sent.
const (
	stateFull   = "state_full"
	resultsHeld = "results_held"
)

// The number of results that this process holds. A result takes up to a megabyte. Writes are usually denied before the
// claim, so only a change between the claim and the commit makes a result wait. Above heldInAll only namespaces that
// hold none begin an exchange: what one tenant holds stops no other one.
const (
	heldPerNamespace = 32
	heldInAll        = 64
)

// admit returns why an exchange must not begin, or nil if it may.
func (r *Reconciler) admit(seen *observation, try *attempt) *provider.Answer {
	if err := seen.record.CheckRoom(try.claim.Grant, try.spends); err != nil {
		return notSent(stateFull, err.Error(), failure.NeedsPerson(failure.CredentialsSecret))
	}
	own, all := r.memory.countHeld(seen.cred.Namespace)
	if own >= heldPerNamespace || own > 0 && all >= heldInAll {
		return notSent(resultsHeld, manyHeld, failure.Passing())
	}
	return nil
}

const manyHeld = "many replies for this namespace wait until they can be stored in their state Secrets: " +
	"no other token is requested before that"

func notSent(code, description string, cause failure.Cause) *provider.Answer {
	return &provider.Answer{
		Verdict: token.Unsent,
		Problem: provider.Problem{Code: code, Description: description},
		Cause:   cause,
	}
}

// bounded removes from an answer what the state does not keep.
func bounded(ctx context.Context, answer provider.Answer) provider.Answer {
	kept, cut := custody.Bounded(answer.Set)
	if len(cut) > 0 {
		ctrl.LoggerFrom(ctx).Info("Parts of a reply are too large to be kept; the tokens are kept as a whole", "cut", cut)
	}
	answer.Set = kept
	return answer
}
