package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// shelf is a journal with limits, and a clock for its exchanges.
type shelf struct {
	*Journal
	t    *testing.T
	dir  string
	made int
}

func newShelf(t *testing.T, limits Limits) *shelf {
	t.Helper()
	s := &shelf{t: t, dir: t.TempDir()}
	s.Journal = opened(t, s.dir, 1)
	s.Limit(limits)
	return s
}

func (s *shelf) reserve(namespace, uid string) (*Slot, error) {
	s.made++
	return s.Reserve(Head{
		ID: fmt.Sprintf("%08x", s.made), Namespace: namespace, Name: uid, UID: uid, Claim: json.RawMessage(`{}`),
		Started: time.Unix(int64(s.made), 0),
	})
}

// sealed is a slot with a reply of that size.
func (s *shelf) sealed(namespace, uid string, size int) *Slot {
	s.t.Helper()
	slot, err := s.reserve(namespace, uid)
	if err != nil {
		s.t.Fatal(err)
	}
	_, _ = slot.Write(bytes.Repeat([]byte("x"), size))
	if err := slot.Seal(); err != nil {
		s.t.Fatal(err)
	}
	return slot
}

// keep returns the claim of a reply that is kept.
func (s *shelf) keep(namespace, uid string, size int) string {
	s.t.Helper()
	slot := s.sealed(namespace, uid, size)
	if _, err := slot.Keep(); err != nil {
		s.t.Fatal(err)
	}
	return slot.claim
}

func (s *shelf) left() []string {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "*"+extension))
	if err != nil {
		s.t.Fatal(err)
	}
	var claims []string
	for _, file := range files {
		claim, _ := claimOf(file)
		claims = append(claims, claim)
	}
	return claims
}

func (s *shelf) mustHave(why string, want ...string) {
	s.t.Helper()
	if got := s.left(); !slices.Equal(got, want) {
		s.t.Errorf("the journal holds %v, want %v: %s", got, want, why)
	}
}

// takes returns the bytes that the file of a claim takes of the disk.
func (s *shelf) takes(claim string) int64 {
	s.t.Helper()
	info, err := os.Stat(s.path(claim))
	if err != nil {
		s.t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}

func TestKeptReplyTakesNoMoreRoomThanItNeeds(t *testing.T) {
	s := newShelf(t, Limits{})
	claim := s.keep("shop", "a", 100)
	if took := s.takes(claim); took > 2*block {
		t.Errorf("a reply of 100 bytes takes %d bytes", took)
	}
	for _, journal := range []*Journal{s.Journal, opened(t, s.dir, 1)} {
		if entry, err := journal.Find(claim); err != nil || len(entry.Reply.Reveal()) != 100 {
			t.Errorf("it cannot be read: %v", err)
		}
	}
}

func TestReplyThatWaitsCanBeTrimmedAndIsStillWhole(t *testing.T) {
	s := newShelf(t, Limits{})
	slot, err := s.reserve("shop", "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := slot.Trim(); err != nil || s.takes(slot.claim) < Room {
		t.Errorf("before it is sealed it needs its room: %d, %v", s.takes(slot.claim), err)
	}
	_, _ = slot.Write([]byte(reply))
	if err := errors.Join(slot.Seal(), slot.Trim(), slot.Trim()); err != nil {
		t.Fatal(err)
	}
	if took := s.takes(slot.claim); took > 2*block {
		t.Errorf("it takes %d bytes", took)
	}
	if entry, err := s.Find(slot.claim); err != nil || entry.Reply.Reveal() != reply {
		t.Errorf("it cannot be read: %v", err)
	}
	if err := slot.Discard(); err != nil || len(s.left()) != 0 {
		t.Errorf("it stays: %v, %v", s.left(), err)
	}
}

func TestOneReplyIsKeptPerCredential(t *testing.T) {
	s := newShelf(t, Limits{})
	s.keep("shop", "a", 10)
	b := s.keep("shop", "b", 10)
	newest := s.keep("shop", "a", 10)
	s.mustHave("the newest of each", b, newest)
	if s.Kept() != 2 {
		t.Errorf("it counts %d", s.Kept())
	}
}

func TestKeptRepliesAreBoundedPerNamespaceAndInAll(t *testing.T) {
	s := newShelf(t, Limits{Kept: 8 * block})
	friend := s.keep("friend", "f", 10)
	var last []string
	for i := range 10 {
		last = append(last, s.keep("greedy", fmt.Sprint(i), 10))
	}
	s.mustHave("half is the most for one namespace", append([]string{friend}, last[6:]...)...)
	another := s.keep("another", "1", 10)
	for i := range 2 {
		s.keep("another", fmt.Sprint(2+i), 10)
	}
	s.mustHave("all is used up", friend, last[6], last[7], last[8], last[9], another, "0000000d", "0000000e")
	fourth := s.keep("another", "4", 10)
	left := s.left()
	if !slices.Contains(left, friend) || !slices.Contains(left, fourth) || len(left) != 8 {
		t.Errorf("the namespace with the most loses its oldest: %v", left)
	}
	large := s.keep("friend", "large", 5*block)
	if slices.Contains(s.left(), large) {
		t.Error("one that is larger than a namespace's share is kept")
	}
}

func TestReplyThatWaitsIsNeverDropped(t *testing.T) {
	s := newShelf(t, Limits{Kept: 2 * block, Waiting: 100 * Room})
	waits := s.sealed("shop", "a", 10)
	for i := range 5 {
		s.keep("shop", fmt.Sprint("b", i), 10)
	}
	s.keep("shop", "a", 10)
	if !slices.Contains(s.left(), waits.claim) {
		t.Error("the reply of a claim that waits for its commit was removed")
	}
}

func TestNamespaceCannotTakeTheWholeJournal(t *testing.T) {
	s := newShelf(t, Limits{Waiting: 16 * Room})
	var waiting []*Slot
	take := func(namespace string) (took int) {
		for {
			slot, err := s.reserve(namespace, "a")
			if errors.Is(err, ErrQuota) {
				return took
			}
			if err != nil {
				t.Fatal(err)
			}
			waiting = append(waiting, slot)
			took++
		}
	}
	for i, want := range []int{8, 4, 2, 1} {
		if got := take(fmt.Sprint("greedy-", i)); got != want {
			t.Errorf("namespace %d takes %d of 16, want %d: half of what the others leave", i, got, want)
		}
	}
	before := len(s.left())
	if got := take("greedy-0"); got != 0 || len(s.left()) != before {
		t.Errorf("a refused reservation leaves a file behind")
	}
	for _, slot := range waiting[:4] {
		if err := slot.Discard(); err != nil {
			t.Fatal(err)
		}
	}
	if got := take("friend"); got != 2 {
		t.Errorf("another namespace takes %d of the 5 that are free, want 2", got)
	}
}

func TestTrimmedRepliesLeaveRoomForOthers(t *testing.T) {
	s := newShelf(t, Limits{Waiting: 8 * Room})
	for range 100 {
		if err := s.sealed("shop", "a", 10).Trim(); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.left()) != 100 {
		t.Errorf("%d replies wait", len(s.left()))
	}
}

// TestFilesOfAFormerProcessCount: a restart gives no namespace a new share.
func TestFilesOfAFormerProcessCount(t *testing.T) {
	s := newShelf(t, Limits{})
	for range 4 {
		s.sealed("shop", "a", 10)
	}
	unsealed, err := s.reserve("shop", "b")
	if err != nil {
		t.Fatal(err)
	}
	s.Journal = opened(t, s.dir, 1)
	s.Limit(Limits{Waiting: 10 * Room, Kept: 4 * block})
	entries, _, err := s.Scan()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.reserve("shop", "c"); !errors.Is(err, ErrQuota) {
		t.Errorf("with five files left behind: %v", err)
	}
	for _, entry := range entries {
		if _, err := s.Keep(entry.ID); err != nil {
			t.Fatal(err)
		}
	}
	newest := entries[len(entries)-1].ID
	s.mustHave("the newest of the credential is kept", newest, unsealed.claim)
	if took := s.takes(newest); took > 2*block {
		t.Errorf("it takes %d bytes", took)
	}
	if dropped, err := s.Keep(newest); len(dropped) > 0 || err != nil {
		t.Errorf("again: %v, %v", dropped, err)
	}
	if _, err := s.reserve("shop", "c"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if _, err := s.Keep("ffff"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("one that is not there: %v", err)
	}
}

// TestFilesThatAnotherReplicaRemovedDoNotCount: they share a volume.
func TestFilesThatAnotherReplicaRemovedDoNotCount(t *testing.T) {
	s := newShelf(t, Limits{Waiting: 2 * Room})
	slot := s.sealed("shop", "a", 10)
	if _, err := s.reserve("shop", "b"); !errors.Is(err, ErrQuota) {
		t.Fatalf("a second one: %v", err)
	}
	if err := opened(t, s.dir, 1).Remove(slot.claim); err != nil {
		t.Fatal(err)
	}
	if _, err := s.reserve("shop", "b"); err != nil {
		t.Errorf("after the first is gone: %v", err)
	}
}

func TestKeptReplyGoesWithItsCredential(t *testing.T) {
	s := newShelf(t, Limits{})
	waits := s.sealed("shop", "a", 10)
	s.keep("shop", "a", 10)
	other := s.keep("shop", "b", 10)
	if err := s.ForgetKept("a"); err != nil {
		t.Fatal(err)
	}
	s.mustHave("what waits is stored or dropped by those who know of it", waits.claim, other)
}

func TestFailedReservationTakesNoShare(t *testing.T) {
	s := newShelf(t, Limits{Waiting: 2 * Room})
	if err := os.Chmod(s.dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // root may write there all the same
		write(t, s.path("00000001"), nil)
	}
	if _, err := s.reserve("shop", "a"); err == nil || errors.Is(err, ErrQuota) {
		t.Fatalf("the disk refuses it: %v", err)
	}
	if err := os.Chmod(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := s.reserve("shop", "a"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestLimitsLeaveRoom(t *testing.T) {
	const size = 64 << 20
	got := LimitsOf(size, 16)
	if got.Kept+got.Waiting > size-size/8 || got.Waiting/2 < 16*Room {
		t.Errorf("%+v of %d: all exchanges of one namespace have room, and an eighth is left", got, size)
	}
	if got := LimitsOf(size, 500); got.Waiting < 2*500*Room {
		t.Errorf("%+v: more exchanges need more", got)
	}
}
