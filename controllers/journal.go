package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/journal"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// journalUnwritable is the code of a Problem: nothing is spent whose reply could not be written down.
const journalUnwritable = "journal_unwritable"

// reserve makes room for the reply on disk. It returns nil where there is no journal, and an answer where nothing may be spent.
func (r *Reconciler) reserve(seen *observation, try *attempt) (*journal.Slot, *provider.Answer) {
	if r.Journal == nil {
		return nil, nil
	}
	claim, err := json.Marshal(try.claim)
	if err == nil {
		var slot *journal.Slot
		slot, err = r.Journal.Reserve(journal.Head{
			ID: try.claim.ID, Namespace: seen.cred.Namespace, Name: seen.cred.Name, UID: string(seen.cred.UID), Claim: claim,
		})
		if err == nil {
			return slot, nil
		}
	}
	r.Metrics.JournalFailed("reserve")
	return nil, &provider.Answer{Verdict: token.Unsent, Problem: provider.Problem{Code: journalUnwritable, Description: rootOf(err)}}
}

// rootOf is the operating system's own word for an error, without the path, which differs from reply to reply.
func rootOf(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

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
	entry, err := r.Journal.Find(claim.ID)
	switch {
	case err == nil:
		seen.journaled = entry
	case !errors.Is(err, fs.ErrNotExist):
		r.Metrics.JournalFailed("read")
		ctrl.LoggerFrom(ctx).Info("The journal's entry of a claim cannot be used", "because", rootOf(err))
	}
}

// forgetSlot removes the file of a claim that was settled as lost.
func (r *Reconciler) forgetSlot(ctx context.Context, claim custody.Claim) {
	if r.Journal == nil {
		return
	}
	if err := r.Journal.Remove(claim.ID); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "A file of the journal could not be removed")
	}
}

// restore stores a reply that the process which received it could not store.
func (r *Reconciler) restore(ctx context.Context, seen *observation) error {
	try := &attempt{claim: *seen.record.Claim, replied: r.Clock.Now()}
	if err := r.replay(ctx, seen, try); err != nil {
		return err
	}
	r.publishReply(ctx, seen, try)
	return nil
}

// replay makes of a journaled reply what would have been made of it when it came. The token's life counts from the claim: the
// moment of sending is not known, and came after it.
func (r *Reconciler) replay(ctx context.Context, seen *observation, try *attempt) error {
	try.spends, try.sent = seen.sentBy(try.claim), try.claim.Started
	try.answer = exchange.Replay(seen.api, try.claim.Grant, seen.journaled.Reply, []token.Secret{try.spends, seen.login.Password})
	ctrl.LoggerFrom(ctx).Info("A reply was found in the journal", "grant", try.claim.Grant, "verdict", try.answer.Verdict)
	if try.answer.Verdict != token.Granted && !seen.record.Holds(try.claim) {
		return r.Journal.Remove(try.claim.ID) // it was settled meanwhile: only a token is still welcome (invariant I6)
	}
	if err := r.commit(ctx, seen, seen.record, try); err != nil && !isUnwanted(err) {
		return err
	}
	r.Metrics.Recovered("journal")
	return r.Journal.Remove(try.claim.ID)
}

func isUnwanted(err error) bool {
	return errors.Is(err, custody.ErrSuperseded) || errors.Is(err, custody.ErrGone)
}

// RecoverJournal stores what the journal holds when a process starts. Every replica does it, whoever leads: only this one may have
// the files, and the compare-and-swap decides. What cannot be read is told and left; it is no reason not to start.
func (r *Reconciler) RecoverJournal(ctx context.Context) {
	if r.Journal == nil {
		return
	}
	log := ctrl.LoggerFrom(ctx)
	entries, defects, err := r.Journal.Scan()
	if err != nil {
		r.Metrics.JournalFailed("read")
		log.Error(err, "The journal cannot be read")
	}
	for _, defect := range defects {
		r.Metrics.JournalFailed(string(defect.Kind))
		log.Info("A file of the journal cannot be used; its reply counts as lost", "file", defect.Path, "because", defect.Kind)
		r.sweep(ctx, defect)
	}
	for _, entry := range entries {
		if err := r.recoverEntry(ctx, entry); err != nil {
			log.Error(err, "A reply in the journal could not be stored yet", "namespace", entry.Namespace, "name", entry.Name)
		}
	}
}

// sweep removes a slot that nobody will write to any more: its process is gone, or was for as long as any exchange takes. Files of
// other kinds are left for a person to look at.
func (r *Reconciler) sweep(ctx context.Context, defect *journal.Defect) {
	var claim custody.Claim
	if defect.Head == nil || json.Unmarshal(defect.Head.Claim, &claim) != nil {
		return
	}
	if claim.Holder == r.Holder {
		return // an exchange of our own that began meanwhile, however slow it is
	}
	if !claim.Holder.Outlived(r.Holder) && r.Clock.Now().Sub(defect.Written) < claimLife {
		return
	}
	r.forgetSlot(ctx, claim)
}

func (r *Reconciler) recoverEntry(ctx context.Context, entry *journal.Entry) error {
	var cred v1alpha1.FluentCredential
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: entry.Namespace, Name: entry.Name}, &cred)
	if apierrors.IsNotFound(err) || err == nil && string(cred.UID) != entry.UID {
		return r.Journal.Remove(entry.ID) // there is nobody left whose token it is
	}
	if err != nil {
		return err
	}
	seen, err := r.observe(ctx, &cred, &remembered{}) // not the memory of the controller, which may be at work on it
	if err != nil {
		return err
	}
	var claim custody.Claim
	if err := json.Unmarshal(entry.Claim, &claim); err != nil {
		return fmt.Errorf("the claim cannot be read: %w", err)
	}
	seen.journaled = entry
	switch state := seen.record; {
	case seen.api == nil:
		return nil // what it says cannot be read with this spec; it stays
	case state.Awaits(claim), !state.Exists(), state.Damaged:
		return r.replay(ctx, seen, &attempt{claim: claim, replied: r.Clock.Now()})
	case state.Claim != nil && state.LastClaim != claim.ID:
		return nil // another exchange is under way, and may end without a token; it stays
	}
	return r.Journal.Remove(entry.ID) // it is stored, or another family is
}
