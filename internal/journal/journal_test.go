package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

const (
	claimID = "0123456789abcdef0123456789abcdef"
	reply   = "HTTP/1.1 200 OK\r\n\r\n{\"access_token\":\"a\",\"refresh_token\":\"the-only-copy\"}"
)

func opened(t *testing.T, dir string, fill byte) *Journal {
	t.Helper()
	journal, err := Open(dir, bytes.Repeat([]byte{fill}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return journal
}

func reserved(t *testing.T, journal *Journal) *Slot {
	t.Helper()
	slot, err := journal.Reserve(Head{ID: claimID, Namespace: "shop", Name: "orders", UID: "uid", Claim: json.RawMessage(`{"id":"x"}`)})
	if err != nil {
		t.Fatal(err)
	}
	return slot
}

// written is a sealed entry, its reply written in two parts.
func written(t *testing.T, journal *Journal) string {
	t.Helper()
	slot := reserved(t, journal)
	for _, part := range []string{reply[:20], reply[20:]} {
		if _, err := slot.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if err := slot.Seal(); err != nil {
		t.Fatal(err)
	}
	if err := slot.Close(); err != nil {
		t.Fatal(err)
	}
	return journal.path(claimID)
}

func TestSealedReplyIsFoundByAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	path := written(t, opened(t, dir, 1))
	entry, err := opened(t, dir, 1).Find(claimID)
	if err != nil || entry.Reply.Reveal() != reply || entry.Name != "orders" {
		t.Fatalf("found %+v, %v", entry, err)
	}
	content, err := os.ReadFile(path)
	if err != nil || bytes.Contains(content, []byte("the-only-copy")) {
		t.Errorf("the reply is on disk in the clear, %v", err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v", info.Mode())
	}
	if err := opened(t, dir, 1).Remove(claimID); err != nil {
		t.Error(err)
	}
	if _, err := opened(t, dir, 1).Find(claimID); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the removal: %v", err)
	}
}

func TestDefects(t *testing.T) {
	cases := map[string]struct {
		spoil func(t *testing.T, dir, path string)
		key   byte
		want  DefectKind
		why   string
	}{
		"unsealed": {func(t *testing.T, dir, path string) {
			remove(t, path)
			slot := reserved(t, opened(t, dir, 1))
			_, _ = slot.Write([]byte(reply))
		}, 1, Unsealed, "the process ended while the reply was being read"},
		"nothing written": {func(t *testing.T, dir, path string) {
			remove(t, path)
			reserved(t, opened(t, dir, 1))
		}, 1, Unsealed, "the process ended before the reply came"},
		"another key": {func(*testing.T, string, string) {}, 2, OtherKey, "the key's Secret was deleted and made anew"},
		"foreign":     {func(t *testing.T, _, path string) { write(t, path, []byte("hello")) }, 1, Foreign, "nobody's file"},
		"empty":       {func(t *testing.T, _, path string) { write(t, path, nil) }, 1, Unbegun, "the process ended before it wrote"},
		"only room":   {func(t *testing.T, _, path string) { write(t, path, make([]byte, Room)) }, 1, Unbegun, "the process ended before it wrote more"},
		"no head": {func(t *testing.T, dir, path string) {
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			write(t, path, append(whole[:preambleSize], make([]byte, Room)...))
		}, 1, Unbegun, "the process ended between the preamble and the head"},
		"renamed": {func(t *testing.T, dir, path string) {
			if err := os.Rename(path, filepath.Join(dir, "ffffffffffffffffffffffffffffffff"+extension)); err != nil {
				t.Fatal(err)
			}
		}, 1, Damaged, "it is not the reply of the claim that its name says"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := written(t, opened(t, dir, 1))
			test.spoil(t, dir, path)
			entries, defects, err := opened(t, dir, test.key).Scan()
			if err != nil || len(entries) != 0 || len(defects) != 1 || defects[0].Kind != test.want {
				t.Errorf("entries %d, defects %+v, %v; want one that is %s (%s)", len(entries), defects, err, test.want, test.why)
			}
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTornAtAnyByteAndAnyBitFlipped(t *testing.T) {
	dir := t.TempDir()
	journal := opened(t, dir, 1)
	path := written(t, journal)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used := bytes.LastIndexFunc(whole, func(r rune) bool { return r != 0 }) + 1
	for at := range used {
		mustNotBeTaken(t, journal, whole[:at], "torn", at)
		flipped := bytes.Clone(whole)
		flipped[at] ^= 1 << (at % 8)
		mustNotBeTaken(t, journal, flipped, "flipped", at)
	}
}

func mustNotBeTaken(t *testing.T, journal *Journal, content []byte, how string, at int) {
	t.Helper()
	if entry, defect := journal.decode(content); defect == "" {
		t.Errorf("%s at byte %d, and taken for whole: %d bytes of reply", how, at, len(entry.Reply.Reveal()))
	}
}

func TestNothingIsSpentWithoutAPlaceOnDisk(t *testing.T) {
	dir := t.TempDir()
	journal := opened(t, dir, 1)
	reserved(t, journal)
	if _, err := journal.Reserve(Head{ID: claimID}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second slot for one claim: %v", err)
	}
	if _, err := journal.Reserve(Head{ID: "../escape"}); err == nil {
		t.Error("a claim's id that is a path was taken")
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := journal.Reserve(Head{ID: "aa"}); err == nil {
		t.Error("a slot in a directory that is gone was reserved")
	}
}

func TestLenCountsOurFilesOnly(t *testing.T) {
	dir := t.TempDir()
	journal := opened(t, dir, 1)
	mustBe := func(when string, want int) {
		t.Helper()
		if got, err := journal.Len(); err != nil || got != want {
			t.Errorf("%s: %d files, %v, want %d", when, got, err, want)
		}
	}
	mustBe("empty", 0)
	write(t, filepath.Join(dir, "lost+found"), nil)
	written(t, journal)
	mustBe("a reply beside a file of somebody else's", 1)
	if err := journal.Remove(claimID); err != nil {
		t.Fatal(err)
	}
	mustBe("the reply is stored", 0)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if count, err := journal.Len(); err == nil {
		t.Errorf("a directory that is gone has %d files, and no error", count)
	}
}
