package journal

import (
	"bytes"
	"errors"
	"os"
	"testing"
)

// rebooted is a disk of a machine that was down since.
type rebooted struct {
	osDisk
	boot string
}

func (d rebooted) BootID() string { return d.boot }

func TestUnsent(t *testing.T) {
	cases := map[string]struct {
		made, found string // the machine's boots
		sending     bool
		want        bool
		why         string
	}{
		"no mark":                 {"a", "a", false, true, "the mark comes before the first byte"},
		"marked":                  {"a", "a", true, false, "nobody knows how far it came"},
		"the machine went down":   {"a", "b", false, false, "the mark is not synced: it may be lost"},
		"the boot was not known":  {"", "", false, false, "the machine may have been down"},
		"the boot is not known":   {"a", "", false, false, "the machine may have been down"},
		"an older version's slot": {"", "a", false, false, "it made no marks"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			on := func(boot string) *Journal {
				opened, err := OpenOn(rebooted{boot: boot}, dir, make([]byte, KeySize))
				if err != nil {
					t.Fatal(err)
				}
				return opened
			}
			slot := reserved(t, on(test.made))
			if test.sending {
				if err := slot.Sending(); err != nil {
					t.Fatal(err)
				}
			}
			_ = slot.Close()
			var defect *Defect
			if _, err := on(test.found).Find(claimID); !errors.As(err, &defect) || defect.Kind != Unsealed || defect.Unsent != test.want {
				t.Errorf("%v, %+v; want unsealed, unsent %v: %s", err, defect, test.want, test.why)
			}
		})
	}
}

func TestMachineHasABootID(t *testing.T) {
	if first := (osDisk{}).BootID(); first == "" || first != (osDisk{}).BootID() {
		t.Errorf("%q is no name of a boot", first)
	}
}

// TestDamageNeverSaysThatNothingWasSent: whatever of the file was zeroed, cut off or changed.
func TestDamageNeverSaysThatNothingWasSent(t *testing.T) {
	dir := t.TempDir()
	opened := opened(t, dir, 1)
	slot := reserved(t, opened)
	if err := slot.Sending(); err != nil {
		t.Fatal(err)
	}
	_ = slot.Close()
	path := opened.path(claimID)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	written := len(bytes.TrimRight(whole, "\x00"))
	for at := range written {
		zeroed := append(bytes.Clone(whole[:at]), make([]byte, len(whole)-at)...)
		flipped := bytes.Clone(whole)
		flipped[at] ^= 0x13
		hole := bytes.Clone(whole)
		hole[at] = 0
		for how, content := range map[string][]byte{"zeros from": zeroed, "cut off at": whole[:at], "changed at": flipped, "a zero at": hole} {
			write(t, path, content)
			var defect *Defect
			if _, err := opened.Find(claimID); !errors.As(err, &defect) || defect.Unsent {
				t.Fatalf("%s byte %d: %v, %+v; the request may have been sent", how, at, err, defect)
			}
		}
	}
}
