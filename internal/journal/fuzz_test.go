package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"testing"
)

// memory is a disk of one file that is never on a disk: fuzzing writes many.
type memory struct {
	osDisk
	file *memoryFile
}

type memoryFile struct{ content []byte }

func (m memory) MkdirAll(string, fs.FileMode) error { return nil }
func (m memory) Create(string) (File, error)        { return m.file, nil }
func (m memory) SyncDir(string) error               { return nil }
func (m memory) Remove(string) error                { return nil }
func (*memoryFile) Close() error                    { return nil }
func (*memoryFile) Sync() error                     { return nil }
func (*memoryFile) Truncate(int64) error            { return nil }
func (f *memoryFile) Allocate(size int64) error {
	f.content = make([]byte, size)
	return nil
}
func (f *memoryFile) WriteAt(p []byte, at int64) (int, error) {
	if end := int(at) + len(p); end > len(f.content) {
		return 0, errors.New("the room is used up")
	}
	return copy(f.content[at:], p), nil
}

// filed is what a slot leaves behind that was sealed or not, without the room that it did not use.
func filed(t testing.TB, parts []string, sealed bool) (*Journal, []byte) {
	t.Helper()
	disk := memory{file: &memoryFile{}}
	journal, err := OpenOn(disk, "memory", bytes.Repeat([]byte{1}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	slot, err := journal.Reserve(Head{ID: claimID, Namespace: "shop", Name: "orders", UID: "uid", Claim: json.RawMessage(`{"id":"x"}`)})
	if err != nil {
		t.Fatal(err)
	}
	_ = slot.Sending()
	for _, part := range parts {
		_, _ = slot.Write([]byte(part))
	}
	if !sealed {
		return journal, disk.file.content[:slot.file.size+frameHeader]
	}
	if err := slot.Seal(); err != nil {
		t.Fatal(err)
	}
	return journal, disk.file.content[:slot.file.size]
}

// FuzzDecode: bytes that nobody sealed are never taken for a reply, and bring nothing down. The corpus has files that were sealed
// under this key; whatever is made of them, there is one reply to be had from them.
func FuzzDecode(f *testing.F) {
	journal, whole := filed(f, []string{reply[:20], reply[20:]}, true)
	_, half := filed(f, []string{reply[:20]}, false)
	f.Add(whole)
	f.Add(half)
	f.Fuzz(func(t *testing.T, content []byte) {
		entry, defect := journal.decode(content)
		switch {
		case defect == "" && entry.Reply.Reveal() != reply:
			t.Errorf("a reply of %d bytes was taken that nobody sealed", len(entry.Reply.Reveal()))
		case defect == Unsealed && entry != nil && !entry.Reply.IsZero(): // without its head there is no entry at all
			t.Error("of a file that was not sealed more than its beginning is told")
		case defect != "" && defect != Unsealed && entry != nil:
			t.Errorf("of a file that is %s something is told", defect)
		}
	})
}

// FuzzSpoil writes a reply, and overwrites, cuts and lengthens the file: the reply comes back as it was, or not at all; where the
// slot was not sealed, not at all.
func FuzzSpoil(f *testing.F) {
	f.Fuzz(func(t *testing.T, first, second string, sealed bool, at, keep uint16, patch []byte) {
		journal, content := filed(t, []string{first, second}, sealed)
		spoiled := bytes.Clone(content)
		if len(patch) > 0 {
			copy(spoiled[int(at)%len(spoiled):], patch)
		}
		if keep > 0 {
			spoiled = spoiled[:int(keep)%len(spoiled)]
		}
		entry, defect := journal.decode(spoiled)
		if defect == "" && (!sealed || entry.Reply.Reveal() != first+second || entry.ID != claimID) {
			t.Errorf("a spoiled file is taken for a reply of %d bytes", len(entry.Reply.Reveal()))
		}
		if bytes.Equal(spoiled, content) && sealed != (defect == "") {
			t.Errorf("a file that was left alone, sealed %t, is %q", sealed, defect)
		}
		if first != "" && len(first) > 16 && strings.Contains(string(content), first) {
			t.Error("the reply is in the file in the clear")
		}
	})
}
