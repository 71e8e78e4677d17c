package journal

import (
	"os"
	"path/filepath"
	"testing"
)

const markedUID = "5f0c8a3e-7d1b-4b7e-9c55-2f1f0c9a7e11"

func marked(t *testing.T, journal *Journal, serial int64) {
	t.Helper()
	if err := journal.Mark(markedUID, serial); err != nil {
		t.Fatal(err)
	}
}

func TestMarkIsFoundByAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	for _, serial := range []int64{1, 17, 1 << 40, 3} {
		marked(t, opened(t, dir, 1), serial)
		if got := opened(t, dir, 2).Marked(markedUID); got != serial {
			t.Errorf("marked %d, found %d", serial, got)
		}
	}
	if got := opened(t, dir, 1).Marked("another"); got != 0 {
		t.Errorf("another credential is marked with %d", got)
	}
	if uids, err := opened(t, dir, 1).Marks(); err != nil || len(uids) != 1 || uids[0] != markedUID {
		t.Errorf("marks %v, %v", uids, err)
	}
	for range 2 { // there is none the second time
		if err := opened(t, dir, 1).Unmark(markedUID); err != nil {
			t.Error(err)
		}
	}
	if got := opened(t, dir, 1).Marked(markedUID); got != 0 {
		t.Errorf("forgotten, and marked with %d", got)
	}
}

// TestMarksAreNoReplies holds them out of what is recovered, told as strange, and counted.
func TestMarksAreNoReplies(t *testing.T) {
	dir := t.TempDir()
	journal := opened(t, dir, 1)
	marked(t, journal, 4)
	write(t, journal.markPath("torn"), []byte("000"))
	written(t, journal)
	entries, defects, err := journal.Scan()
	if err != nil || len(entries) != 1 || len(defects) != 0 {
		t.Errorf("%d entries, %d defects, %v; want the reply alone", len(entries), len(defects), err)
	}
	if count, err := journal.Len(); err != nil || count != 1 {
		t.Errorf("counted %d, %v; want the reply alone", count, err)
	}
	write(t, filepath.Join(dir, "of a person.serial"), nil)
	if _, defects, _ := journal.Scan(); len(defects) != 1 || defects[0].Kind != Foreign {
		t.Errorf("a file that is no mark: %v", defects)
	}
}

func TestSpoiltMarkIsNone(t *testing.T) {
	cases := map[string]struct {
		spoil func(t *testing.T, journal *Journal, path string, content []byte)
		why   string
	}{
		"empty":  {func(t *testing.T, _ *Journal, path string, _ []byte) { write(t, path, nil) }, "made, and the machine went down"},
		"zeros":  {func(t *testing.T, _ *Journal, path string, _ []byte) { write(t, path, make([]byte, markSize)) }, "its size was kept, its content not"},
		"longer": {func(t *testing.T, _ *Journal, path string, content []byte) { write(t, path, append(content, '\n')) }, "no mark is"},
		"another credential's": {func(t *testing.T, journal *Journal, path string, content []byte) {
			write(t, journal.markPath("another"), content)
			remove(t, path)
			if got := journal.Marked("another"); got != 0 {
				t.Errorf("found %d under another name", got)
			}
		}, "a mark is one credential's"},
		"a directory": {func(t *testing.T, _ *Journal, path string, _ []byte) {
			remove(t, path)
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "nothing to read"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			journal := opened(t, t.TempDir(), 1)
			marked(t, journal, 12)
			path := journal.markPath(markedUID)
			content, err := os.ReadFile(path)
			if err != nil || len(content) != markSize {
				t.Fatalf("%d bytes, %v; want %d", len(content), err, markSize)
			}
			test.spoil(t, journal, path, content)
			if got := journal.Marked(markedUID); got != 0 {
				t.Errorf("found %d (%s)", got, test.why)
			}
		})
	}
}

func TestMarkCutOrFlippedAnywhereIsNone(t *testing.T) {
	journal := opened(t, t.TempDir(), 1)
	marked(t, journal, 12)
	path := journal.markPath(markedUID)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := range whole {
		flipped := append([]byte(nil), whole...)
		flipped[at] ^= 1 << (at % 8)
		for how, content := range map[string][]byte{"cut": whole[:at], "flipped": flipped} {
			write(t, path, content)
			if got := journal.Marked(markedUID); got != 0 {
				t.Errorf("%s at byte %d, and taken for %d", how, at, got)
			}
		}
	}
}

func TestMarkThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	journal := opened(t, dir, 1)
	if err := journal.Mark("../escape", 1); err == nil {
		t.Error("a UID that is a path was taken")
	}
	if got := journal.Marked("../escape"); got != 0 {
		t.Errorf("a path is marked with %d", got)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := journal.Mark(markedUID, 1); err == nil {
		t.Error("a mark in a directory that is gone was written")
	}
}
