package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/journal"
)

// The pace at which the journal is looked at while it holds what a former process left.
const (
	journalPace     = 2 * time.Second
	journalPaceMost = 5 * time.Minute
	// unstoredPaceMost is for replies that the Kubernetes API did not accept: workloads wait for their tokens.
	unstoredPaceMost = 15 * time.Second
)

// RecoverJournal stores what the journal holds when a process starts. Every replica does it, whoever leads: only this one may have
// the files, and the compare-and-swap decides. It ends when nothing is left that could be stored later.
func (r *Reconciler) RecoverJournal(ctx context.Context) {
	if r.Journal == nil {
		return
	}
	r.sweepMarks(ctx)
	known := newRecovery()
	for pace := journalPace; ; {
		left, unstored := r.recoverEntries(ctx, known)
		if !left || !r.Custody.Wait(ctx, pace) {
			return
		}
		most := journalPaceMost
		if unstored {
			most = unstoredPaceMost
		}
		pace = min(2*pace, most)
	}
}

// recovery is what the recovery remembers from one round to the next.
type recovery struct {
	// since maps each unusable file to when it was first seen on this process's monotonic clock: the file system's time
	// and the wall clock need not agree.
	since map[string]time.Time
	// denied are the replies that the Kubernetes API denied, by claim. Each of them has a back-off of its own, so that
	// many of them cost neither the others nor the API server anything.
	denied map[string]*failing
}

func newRecovery() *recovery {
	return &recovery{since: map[string]time.Time{}, denied: map[string]*failing{}}
}

// isDue reports whether a reply is to be tried in this round.
func (k *recovery) isDue(claim string, now time.Time) bool {
	run := k.denied[claim]
	return run == nil || !now.Before(run.retryAt)
}

// note records the result of a try.
func (k *recovery) note(claim string, now time.Time, err error) {
	if !isDenied(err) {
		delete(k.denied, claim)
		return
	}
	if k.denied[claim] == nil {
		k.denied[claim] = &failing{}
	}
	k.denied[claim].fails(now, err, 0)
}

// recoverEntries makes one round. It reports whether another round may find more to do, and whether a reply could not
// be stored. It logs an unusable file once, because such a file is no reason not to start.
func (r *Reconciler) recoverEntries(ctx context.Context, known *recovery) (left, unstored bool) {
	since := known.since
	log := ctrl.LoggerFrom(ctx)
	entries, defects, err := r.Journal.Scan()
	if err != nil {
		r.Metrics.JournalFailed("read")
		log.Info("The journal cannot be read as a whole yet", "because", rootOf(err))
		left = true
	}
	for _, defect := range defects {
		if since[defect.Path].IsZero() {
			since[defect.Path] = r.Clock.Now()
			r.Metrics.JournalFailed(string(defect.Kind))
			log.Info("A file of the journal cannot be used", "file", defect.Path, "because", defect.Kind, "nothingSent", defect.Unsent)
		}
		isOld := r.Clock.Now().Sub(since[defect.Path]) >= claimLife
		left = r.sweepWithin(ctx, defect, isOld) || left
	}
	for _, entry := range entries {
		if r.memory.holds(types.UID(entry.UID)) || !known.isDue(entry.ID, r.Clock.Now()) {
			left, unstored = true, true // a pass of this process is at work on it, or its next try comes later
			continue
		}
		kept, err := r.recoverWithin(ctx, entry)
		known.note(entry.ID, r.Clock.Now(), err)
		if err != nil {
			log.Error(err, "A reply in the journal could not be stored yet", "namespace", entry.Namespace, "name", entry.Name)
		}
		left = left || kept || err != nil
		unstored = unstored || err != nil
	}
	return left, unstored
}

// recoverWithin and sweepWithin have a deadline: a Kubernetes API that does not answer must not end the recovery for
// good. The file stays, and the next round continues with it.
func (r *Reconciler) recoverWithin(ctx context.Context, entry *journal.Entry) (kept bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, PassTimeout)
	defer cancel()
	return r.recoverEntry(ctx, entry)
}

func (r *Reconciler) sweepWithin(ctx context.Context, defect *journal.Defect, isOld bool) (left bool) {
	ctx, cancel := context.WithTimeout(ctx, PassTimeout)
	defer cancel()
	return r.sweep(ctx, defect, isOld)
}

// sweep removes a slot that nobody will write to or ask for any more, and tells whether it is still there. Its process is gone, or
// was for as long as any exchange takes, and its claim is settled. Files of other kinds are left for a person to look at.
func (r *Reconciler) sweep(ctx context.Context, defect *journal.Defect, isOld bool) (left bool) {
	if defect.Kind == journal.Unbegun {
		if isOld {
			r.forgetSlot(ctx, defect.Claim)
		}
		return !isOld // its process is gone, or makes it right now
	}
	var claim custody.Claim
	if defect.Head == nil || json.Unmarshal(defect.Head.Claim, &claim) != nil || claim.Holder == r.Holder {
		return false // not a slot, or one of our own exchanges that began meanwhile
	}
	if !r.isHolderGone(claim.Holder) && !isOld {
		return true
	}
	owner := custody.Owner{Namespace: defect.Head.Namespace, Name: defect.Head.Name, UID: types.UID(defect.Head.UID)}
	state, err := r.Custody.Open(ctx, owner)
	if !errors.Is(err, custody.ErrGone) && (err != nil || state.Holds(claim)) {
		return true // whoever settles the claim looks at the slot
	}
	if _, err := r.Journal.Find(claim.ID); err == nil {
		return true // its reply was sealed meanwhile: the next round stores it
	}
	r.forgetSlot(ctx, claim.ID)
	return false
}

// recoverEntry stores one reply, and tells whether its file has to stay.
func (r *Reconciler) recoverEntry(ctx context.Context, entry *journal.Entry) (kept bool, err error) {
	var cred v1alpha1.FluentCredential
	err = r.Live.Get(ctx, types.NamespacedName{Namespace: entry.Namespace, Name: entry.Name}, &cred)
	if apierrors.IsNotFound(err) || err == nil && string(cred.UID) != entry.UID {
		return false, r.dropStale(ctx, entry, "the FluentCredential is gone")
	}
	if err != nil {
		return true, err
	}
	seen, err := r.observe(ctx, &cred, &remembered{}) // not the memory of the controller, which may be at work on it
	if err != nil {
		return true, err
	}
	var claim custody.Claim
	if err := json.Unmarshal(entry.Claim, &claim); err != nil {
		return false, fmt.Errorf("the claim cannot be read: %w", err)
	}
	seen.journaled = entry
	switch state := seen.record; {
	case claim.Holder == r.Holder:
		return false, nil // an exchange of our own that began meanwhile
	case seen.api == nil:
		return true, nil // what it says cannot be read with this spec
	case state.Awaits(claim), isNewest(seen, entry) && (!state.Exists() || state.Damaged):
		return r.recoverReply(ctx, seen, &attempt{claim: claim, replied: r.Clock.Now()})
	case state.Claim != nil && state.LastClaim != claim.ID:
		return true, nil // another exchange is under way, and may end without a token
	}
	return false, r.dropStale(ctx, entry, "it is stored, or a newer token is")
}

// recoverReply makes one try to store a reply, and reports whether its file has to stay. A denied reply must not delay
// those of other credentials: the next round retries it.
func (r *Reconciler) recoverReply(ctx context.Context, seen *observation, try *attempt) (kept bool, err error) {
	h := r.replay(ctx, seen, try)
	if h == nil {
		return r.ended(ctx, try)
	}
	r.spendSeed(ctx, seen, try)
	if err := r.commit(ctx, seen, h, 1); err != nil && !isUnwanted(err) {
		return true, err
	}
	r.Metrics.Recovered("journal")
	return r.ended(ctx, try)
}

// isNewest tells whether nobody has seen a token that came after the reply: one that did outlives a state that is lost, and what the
// reply holds is spent.
func isNewest(seen *observation, entry *journal.Entry) bool {
	return seen.witnessed() <= entry.Serial+1
}

// staleReply is the kind, in a metric, of a whole reply that nobody waits for any more.
const staleReply = "stale"

// dropStale removes a reply that nobody waits for any more. It is told, because there is a token in it.
func (r *Reconciler) dropStale(ctx context.Context, entry *journal.Entry, because string) error {
	r.Metrics.JournalFailed(staleReply)
	ctrl.LoggerFrom(ctx).Info("A reply in the journal is not wanted any more", "namespace", entry.Namespace, "name", entry.Name,
		"claim", entry.ID, "because", because)
	return r.unlink(entry.ID)
}
