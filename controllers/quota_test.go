package controllers

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/journal"
)

// onSmallDisk gives the operator a journal with limits, and returns its directory.
func (d *driven) onSmallDisk(limits journal.Limits) (dir string) {
	d.t.Helper()
	dir = d.t.TempDir()
	opened, err := journal.OpenOn(journal.OS(), dir, make([]byte, journal.KeySize))
	if err != nil {
		d.t.Fatal(err)
	}
	opened.Limit(limits)
	d.Journal = opened
	return dir
}

// diskUsage returns the number of files of replies, and what they take of the disk.
func diskUsage(t *testing.T, dir string) (files int, size int64) {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range found {
		info, err := file.Info()
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file.Name(), ".reply") {
			files++
			size += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
	}
	return files, size
}

// TestRepliesThatCannotBeUnderstoodDoNotFillTheDisk: each seed is spent for a reply that this operator cannot read. One reply is kept, it
// takes no more room than it needs, and it goes with its FluentCredential.
func TestRepliesThatCannotBeUnderstoodDoNotFillTheDisk(t *testing.T) {
	t.Parallel()
	b := newBesetWith(t, withoutUser)
	dir := b.onSmallDisk(journal.Limits{})
	odd := raw(said("200 OK", "application/json", `{"tokenData":{"a":"hidden-7391"}}`))
	b.rogue.manners.Store(&odd)
	for i := range 4 {
		b.setSeed("refresh_token", fmt.Sprint("seed-number-", i))
		b.settle()
		b.sleep(time.Hour)
	}
	if requests, _ := b.rogue.seen(); requests < 4 {
		t.Fatalf("%d seeds were spent", requests)
	}
	if files, size := diskUsage(t, dir); files != 1 || size > 16<<10 {
		t.Errorf("the journal has %d files, which take %d bytes", files, size)
	}
	newest := ""
	for _, lost := range stateOf(t, b.driven).Lost {
		newest = lost
	}
	if _, err := b.Journal.Find(newest); err != nil {
		t.Errorf("the newest reply is not there: %v", err)
	}
	b.forget(keyOf(b.cred))
	if files, _ := diskUsage(t, dir); files != 0 {
		t.Errorf("the FluentCredential is gone, and %d files are left", files)
	}
}

func stateOf(t *testing.T, d *driven) *custody.Record {
	t.Helper()
	record, err := d.Custody.Open(t.Context(), custody.Owner{Namespace: d.cred.Namespace, Name: d.cred.Name, UID: reread(t, d.cred).UID})
	if err != nil {
		t.Fatal(err)
	}
	return record
}

// TestKeptRepliesOfAFormerProcessAreBounded: an older version kept each of them, with all the room that was reserved.
func TestKeptRepliesOfAFormerProcessAreBounded(t *testing.T) {
	t.Parallel()
	b := newBesetWith(t, withoutUser)
	dir := b.onSmallDisk(journal.Limits{})
	odd := raw(said("200 OK", "application/json", `{"tokenData":{}}`))
	b.rogue.manners.Store(&odd)
	b.setSeed("refresh_token", "seed-number-1")
	b.settle()
	if kept := b.Journal.Kept(); kept != 1 {
		t.Fatalf("%d replies are kept", kept)
	}
	b.Journal = reopen(t, dir)
	b.Holder = custody.Holder{Pod: "pod", Start: custody.NewID()}
	left, unstored := b.recoverEntries(t.Context(), newRecovery())
	if !left || unstored || b.Journal.Kept() != 1 {
		t.Errorf("after a restart %d are kept (left %v, unstored %v)", b.Journal.Kept(), left, unstored)
	}
	if _, size := diskUsage(t, dir); size > 16<<10 {
		t.Errorf("it takes %d bytes", size)
	}
}

func reopen(t *testing.T, dir string) *journal.Journal {
	t.Helper()
	opened, err := journal.OpenOn(journal.OS(), dir, make([]byte, journal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// TestNamespaceWhoseRepliesWaitIsRefusedBeforeTheClaim: nothing is spent while the namespace has used up its share of the journal, the
// condition names the cause, and it goes on by itself. Another namespace's replies change nothing.
func TestNamespaceWhoseRepliesWaitIsRefusedBeforeTheClaim(t *testing.T) {
	t.Parallel()
	for _, whose := range []string{"its own", "another's"} {
		t.Run(whose, func(t *testing.T) {
			t.Parallel()
			d := newDriven(t, nil)
			d.onSmallDisk(journal.Limits{Waiting: 8 * journal.Room})
			d.sleep(d.settle())
			namespace := d.cred.Namespace
			if whose != "its own" {
				namespace = "another"
			}
			waiting := d.fillJournal(namespace)
			d.sleep(max(d.settle(), time.Second))
			status, spent := d.status(), len(d.server.Ledger().Presentations)
			if whose != "its own" {
				if spent != 1 || status.Summary.Reason != v1alpha1.ReasonTokenPublished {
					t.Errorf("%d presentations, %s: another namespace is of no concern", spent, status.Summary.Reason)
				}
				return
			}
			said := false
			for _, condition := range status.Conditions {
				said = said || condition.Reason == v1alpha1.ReasonStateUnwritable &&
					strings.Contains(condition.Message, "take its share of the write-ahead log")
			}
			if spent != 0 || !said {
				t.Errorf("%d presentations; the conditions are %+v", spent, status.Conditions)
			}
			if stateOf(t, d).Claim != nil {
				t.Error("a claim was made")
			}
			for _, slot := range waiting {
				if err := slot.Discard(); err != nil {
					t.Fatal(err)
				}
			}
			d.runFor(10 * time.Minute)
			if status := d.status(); status.Summary.Reason != v1alpha1.ReasonTokenPublished || d.server.Ledger().Reuses != 0 {
				t.Errorf("after they are stored: %s", status.Summary.Reason)
			}
		})
	}
}

// fillJournal takes a namespace's share.
func (d *driven) fillJournal(namespace string) (waiting []*journal.Slot) {
	d.t.Helper()
	for {
		slot, err := d.Journal.Reserve(journal.Head{ID: custody.NewID(), Namespace: namespace, Name: "greedy", UID: "greedy", Claim: []byte("{}")})
		if errors.Is(err, journal.ErrQuota) {
			return waiting
		}
		if err != nil {
			d.t.Fatal(err)
		}
		waiting = append(waiting, slot)
	}
}
