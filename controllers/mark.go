package controllers

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
)

// highWater is the highest serial that this process, or one before it on this volume, has seen of a credential. Everything in the
// cluster can come back out of one backup, and then agrees that an old refresh token is the newest.
type highWater struct {
	serial   int64
	recalled bool // what the journal's directory says is in it
}

// recallMark reads the mark when this process first sees the credential.
func (r *Reconciler) recallMark(seen *observation) {
	mark := &seen.memory.mark
	if r.Journal == nil || mark.recalled {
		return
	}
	mark.recalled = true
	if serial := r.Journal.Marked(string(seen.cred.UID)); custody.CanBeCounted(serial, serial) {
		mark.serial = max(mark.serial, serial)
	}
}

// mark notes a serial that is higher than any before. It comes after the publication, which shall not wait for it. A mark that
// cannot be written costs the knowledge, and nothing else; the next serial is another try.
func (r *Reconciler) mark(ctx context.Context, seen *observation) {
	mark, record := &seen.memory.mark, seen.record
	if record.Damaged || record.Serial <= mark.serial {
		return
	}
	mark.serial = record.Serial
	if r.Journal == nil {
		return
	}
	if err := r.Journal.Mark(string(seen.cred.UID), record.Serial); err != nil {
		ctrl.LoggerFrom(ctx).Info("The serial could not be noted beside the journal", "because", rootOf(err))
	}
}

// witnessed is the highest serial that the status shows or the mark remembers.
func (o *observation) witnessed() int64 { return max(o.statusSerial(), o.memory.mark.serial) }

// forgetMark removes the mark of an object that is gone. One that stays is swept at the next start.
func (r *Reconciler) forgetMark(uid types.UID) {
	if r.Journal != nil {
		_ = r.Journal.Unmark(string(uid))
	}
}

// sweepMarks removes the marks of credentials that went while another replica led, or none. The directory is read before the
// credentials are: what is marked later is not looked at.
func (r *Reconciler) sweepMarks(ctx context.Context) {
	uids, err := r.Journal.Marks()
	if err != nil || len(uids) == 0 {
		return
	}
	var list v1alpha1.FluentCredentialList
	if err := r.Client.List(ctx, &list); err != nil {
		ctrl.LoggerFrom(ctx).Info("Nobody knows which marks beside the journal are still wanted", "because", err.Error())
		return
	}
	wanted := map[types.UID]bool{}
	for i := range list.Items {
		wanted[list.Items[i].UID] = true
	}
	for _, uid := range uids {
		if !wanted[types.UID(uid)] {
			r.forgetMark(types.UID(uid))
		}
	}
}
