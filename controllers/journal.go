package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/journal"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// The codes of Problems of the journal: nothing is spent whose reply could not be written down.
const (
	journalUnwritable = "journal_unwritable"
	journalQuota      = "journal_quota"
)

// reserve makes room for the reply on disk. It returns nil where there is no journal, and an answer where nothing may be spent.
func (r *Reconciler) reserve(seen *observation, try *attempt) (*journal.Slot, *provider.Answer) {
	if r.Journal == nil {
		return nil, nil
	}
	claim, err := json.Marshal(try.claim)
	if err == nil {
		var slot *journal.Slot
		slot, err = r.Journal.Reserve(journal.Head{
			ID: try.claim.ID, Namespace: seen.cred.Namespace, Name: seen.cred.Name, UID: string(seen.cred.UID),
			Serial: seen.record.Serial, Claim: claim, Started: try.claim.Started,
		})
		if err == nil {
			return slot, nil
		}
	}
	if errors.Is(err, journal.ErrQuota) {
		r.Metrics.JournalFailed("quota")
		return nil, overQuota()
	}
	r.Metrics.JournalFailed("reserve")
	return nil, unwritable(journal.Reserving, err)
}

// overQuota is the answer of an exchange that was not made because the namespace has used up its share of the journal.
func overQuota() *provider.Answer {
	return &provider.Answer{
		Verdict: token.Unsent,
		Problem: provider.Problem{
			Code: journalQuota, Description: journal.ErrQuota.Error() + ", so nothing more is spent: " +
				"see which FluentCredentials of this namespace say StateUnwritable",
		},
		Cause: failure.Passing(),
	}
}

// isOfJournal reports whether a problem is the journal's, so that the token host has no part in it.
func isOfJournal(problem provider.Problem) bool {
	return problem.Code == journalUnwritable || problem.Code == journalQuota
}

// noteSending writes down that the request is about to be sent: a process that ends before this line has spent nothing.
func (r *Reconciler) noteSending(slot *journal.Slot) *provider.Answer {
	if slot == nil {
		return nil
	}
	err := slot.Sending()
	if err == nil {
		return nil
	}
	r.Metrics.JournalFailed("write")
	return unwritable(journal.Marking, err)
}

// unwritable is the answer of an exchange that was not made because its reply could not have been journaled.
func unwritable(operation journal.Operation, err error) *provider.Answer {
	failed := journal.Classify(operation, err)
	return &provider.Answer{
		Verdict: token.Unsent,
		Problem: provider.Problem{Code: journalUnwritable, Description: failed.Words},
		Cause:   failed.Cause,
	}
}

// rootOf returns the operating system's message for an error of the journal, without the path, which differs between
// replies.
func rootOf(err error) string { return journal.Classify(journal.Reading, err).Words }

// discard ends a slot whose reply is stored, or was never sent for.
func (r *Reconciler) discard(ctx context.Context, slot *journal.Slot) {
	if slot == nil {
		return
	}
	if err := slot.Discard(); err != nil {
		r.Metrics.JournalFailed("remove")
		ctrl.LoggerFrom(ctx).Error(err, "An entry of the journal could not be removed; it is looked at again at the next start")
	}
}

// trim gives back the room that a reply does not use which has to wait until it can be stored.
func (r *Reconciler) trim(ctx context.Context, h *held) {
	if h.slot == nil {
		return
	}
	if err := h.slot.Trim(); err != nil {
		r.Metrics.JournalFailed("remove")
		ctrl.LoggerFrom(ctx).Info("A file of the journal could not be cut to its size", "because", rootOf(err))
	}
}

// warnUnsealed says when memory holds the only copy of a reply.
func (r *Reconciler) warnUnsealed(ctx context.Context, slot *journal.Slot) {
	if slot == nil || slot.Err() == nil {
		return
	}
	r.Metrics.JournalFailed("write")
	ctrl.LoggerFrom(ctx).Error(slot.Err(), "A reply could not be written to the journal; it goes on in memory")
}

// observeJournal looks for the reply of a claim that somebody left behind.
func (r *Reconciler) observeJournal(ctx context.Context, seen *observation) {
	claim := seen.record.Claim
	if r.Journal == nil || claim == nil || seen.api == nil {
		return
	}
	seen.journaled = nil
	seen.unsealed = nil
	seen.unheard = false
	entry, err := r.Journal.Find(claim.ID)
	var defect *journal.Defect
	switch {
	case err == nil:
		seen.journaled = entry
	case errors.Is(err, fs.ErrNotExist):
	case errors.As(err, &defect) && defect.Kind == journal.Unsealed:
		seen.unsealed = defect
	default:
		seen.unheard = defect == nil
		r.Metrics.JournalFailed("read")
		ctrl.LoggerFrom(ctx).Info("The journal's entry of a claim cannot be used", "because", rootOf(err))
	}
}

// forgetSlot removes the file of a claim, which is named by its id.
func (r *Reconciler) forgetSlot(ctx context.Context, claim string) {
	if r.Journal == nil {
		return
	}
	if err := r.unlink(claim); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "A file of the journal could not be removed")
	}
}

// unlink removes the file of a claim, and counts it where it stays.
func (r *Reconciler) unlink(claim string) error {
	err := r.Journal.Remove(claim)
	if err != nil {
		r.Metrics.JournalFailed("remove")
	}
	return err
}

// restore stores a reply that the process which received it could not store.
func (r *Reconciler) restore(ctx context.Context, seen *observation) error {
	try := &attempt{claim: *seen.record.Claim, replied: r.Clock.Now()}
	h := r.replay(ctx, seen, try)
	if h == nil {
		_, err := r.ended(ctx, try)
		return err
	}
	r.spendSeed(ctx, seen, try)
	return r.finish(ctx, seen, h, custody.CommitTries)
}

// replay turns a journaled reply into the result that it would have had on arrival, or nothing if it is not wanted. The
// token's life counts from the claim: the time of sending is later and unknown.
func (r *Reconciler) replay(ctx context.Context, seen *observation, try *attempt) *held {
	try.spends, try.sent = seen.sentBy(try.claim), try.claim.Started
	try.answer = bounded(ctx, seen.replayed(try, seen.journaled.Reply))
	if try.answer.Verdict != token.Granted && !seen.record.Holds(try.claim) { // it was settled meanwhile: only a token is still welcome (invariant I6)
		return nil
	}
	ctrl.LoggerFrom(ctx).Info("A reply was found in the journal", "grant", try.claim.Grant, "verdict", try.answer.Verdict)
	return &held{
		seen:      seen,
		try:       try,
		journaled: true,
		pending:   custody.NewPending(seen.owner(), seen.record, r.result(seen, try)),
	}
}

// replayed reads a reply as on arrival, and hides the same secrets. These are the secrets of the present login, since
// no other is known. If the request had another login, or none is known, the API's message is withheld.
func (o *observation) replayed(try *attempt, reply token.Secret) provider.Answer {
	var request provider.Request
	login := o.login
	switch try.claim.Grant {
	case token.RefreshToken:
		login.Refresh = try.spends
	case token.AuthorizationCode:
		login.Code = try.spends
	case token.Password, token.ClientCredentials:
	}
	if made, err := o.api.Request(try.claim.Grant, login); err == nil {
		request = made
	}
	answer := exchange.Replay(o.api, try.claim.Grant, reply, append(o.secretsBeside(request), try.spends))
	if !o.knowsLoginOf(try.claim) && answer.Verdict != token.Granted {
		answer.Problem = exchange.Withhold(answer.Problem, withheldWords)
	}
	return answer
}

// knowsLoginOf reports whether the login and the spec are those of the request that the claim was made for.
func (o *observation) knowsLoginOf(claim custody.Claim) bool {
	return o.login != (token.Login{}) && (claim.Login == "" || claim.Login == o.attempted())
}

const withheldWords = "[withheld: the login that it may repeat is not known]"

// isKept tells whether the journal keeps a reply that was made use of: the API granted something that could not be understood, and what
// was spent for it cannot be spent again. A login can be made again, and an API that answers every one with a page of its own would
// fill the disk.
func isKept(try *attempt) bool {
	return try.answer.Verdict == token.Unknown && try.answer.Problem.Status/100 == 2 && try.claim.Spends != ""
}

// conclude ends the slot of an exchange whose result is stored, and the files of former ones that the state does not wait for any
// more: a new token makes them worthless, and so do later replies that are lost.
func (r *Reconciler) conclude(ctx context.Context, seen *observation, h *held) {
	if h.journaled {
		r.Metrics.Recovered("journal")
		if isKept(h.try) && !h.gone {
			r.keepFound(ctx, h.try.claim.ID)
			return
		}
		r.forgetSlot(ctx, h.try.claim.ID)
		return
	}
	if h.slot == nil {
		return
	}
	for _, claim := range h.lost {
		if !slices.Contains(seen.record.Lost, claim) {
			r.forgetSlot(ctx, claim)
		}
	}
	if !isKept(h.try) || h.gone {
		r.discard(ctx, h.slot)
		return
	}
	ctrl.LoggerFrom(ctx).Info("A granted reply could not be understood; the journal keeps it", "claim", h.try.claim.ID)
	r.noteKept(ctx, h.try.claim.ID, h.slot.Keep)
}

// keepFound keeps the reply of a former process.
func (r *Reconciler) keepFound(ctx context.Context, claim string) {
	r.noteKept(ctx, claim, func() ([]string, error) { return r.Journal.Keep(claim) })
}

// noteKept keeps a reply, and reports which others had to make place for it: a token may have been in them.
func (r *Reconciler) noteKept(ctx context.Context, claim string, keep func() ([]string, error)) {
	dropped, err := keep()
	for _, other := range dropped {
		r.Metrics.JournalFailed("dropped")
		ctrl.LoggerFrom(ctx).Info("A kept reply was removed from the journal: a newer one is kept, or there is no room",
			"claim", other, "for", claim)
	}
	if err != nil {
		ctrl.LoggerFrom(ctx).Info("A kept reply could not be cut to its size, or another one not be removed",
			"claim", claim, "because", rootOf(err))
	}
}

// forgetKept removes the kept reply of an object that is gone.
func (r *Reconciler) forgetKept(uid types.UID) {
	if r.Journal != nil && uid != "" && r.Journal.ForgetKept(string(uid)) != nil {
		r.Metrics.JournalFailed("remove")
	}
}

// ended removes the file of a reply that was made use of. One that could not be understood stays: another version of the operator
// may read the token in it.
func (r *Reconciler) ended(ctx context.Context, try *attempt) (kept bool, err error) {
	if isKept(try) {
		r.keepFound(ctx, try.claim.ID)
		return true, nil
	}
	return false, r.unlink(try.claim.ID)
}

func isUnwanted(err error) bool {
	return errors.Is(err, custody.ErrSuperseded) || errors.Is(err, custody.ErrGone)
}
