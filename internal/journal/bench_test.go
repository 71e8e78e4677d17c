package journal

import (
	"encoding/json"
	"fmt"
	"testing"
)

// writing is a disk that takes up room by writing zeros, as file systems without fallocate do, and as every version before did.
type writing struct {
	osDisk
	room int64
}

func (d writing) Create(path string) (File, error) {
	file, err := d.osDisk.Create(path)
	if err != nil {
		return nil, err
	}
	return writingFile{file, d.room}, nil
}

type writingFile struct {
	File
	room int64
}

func (f writingFile) Allocate(int64) error {
	_, err := f.WriteAt(make([]byte, f.room), 0)
	return err
}

// BenchmarkReserveAndSeal is what a rotation waits for of its disk.
func BenchmarkReserveAndSeal(b *testing.B) {
	disks := []struct {
		name string
		disk Disk
	}{
		{"zeros of 192 KiB, as before", writing{room: 192 << 10}},
		{"zeros of 384 KiB", writing{room: Room}},
		{"allocated 384 KiB", osDisk{}},
	}
	for _, test := range disks {
		b.Run(test.name, func(b *testing.B) {
			journal, err := OpenOn(test.disk, b.TempDir(), make([]byte, KeySize))
			if err != nil {
				b.Fatal(err)
			}
			for i := 0; b.Loop(); i++ {
				slot, err := journal.Reserve(Head{ID: fmt.Sprintf("%08x", i), Claim: json.RawMessage(`{}`)})
				if err != nil {
					b.Fatal(err)
				}
				_ = slot.Sending()
				_, _ = slot.Write([]byte(reply))
				if err := slot.Seal(); err != nil {
					b.Fatal(err)
				}
				_ = slot.Discard()
			}
		})
	}
}

// TestSlotHasItsRoomWhereNothingCanBeAllocated: zeros take it up.
func TestSlotHasItsRoomWhereNothingCanBeAllocated(t *testing.T) {
	for name, disk := range map[string]Disk{"zeros": writing{room: Room}, "allocated": osDisk{}} {
		dir := t.TempDir()
		journal, err := OpenOn(disk, dir, make([]byte, KeySize))
		if err != nil {
			t.Fatal(err)
		}
		slot := reserved(t, journal)
		info, err := disk.Lstat(journal.path(claimID))
		if err != nil || info.Size() != Room {
			t.Errorf("%s: %v, %v", name, info, err)
		}
		_, _ = slot.Write(make([]byte, Room-1024))
		if err := slot.Seal(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if info, err := disk.Lstat(journal.path(claimID)); err != nil || info.Size() != Room {
			t.Errorf("%s: the largest reply outgrows its room: %v, %v", name, info, err)
		}
		if entry, err := journal.Find(claimID); err != nil || len(entry.Reply.Reveal()) != Room-1024 {
			t.Errorf("%s: it does not come back: %v", name, err)
		}
	}
}
