package journal

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestLockKeepsNoFileOpenForWriting: a volume on which a file is open for writing cannot be made read-only.
func TestLockKeepsNoFileOpenForWriting(t *testing.T) {
	dir := t.TempDir()
	if err := opened(t, dir, 0).Hold(ownProcess); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, ownProcess+lockExtension)
	if content, err := os.ReadFile(path); err != nil || string(content) != bootID() {
		t.Errorf("the lock holds %q (%v), want the name of this boot", content, err)
	}
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		target, err := os.Readlink("/proc/self/fd/" + file.Name())
		if err != nil || target != path {
			continue // another file, or the one that this directory was read with
		}
		found++
		if mode := accessMode(t, file.Name()); mode != syscall.O_RDONLY {
			t.Errorf("descriptor %s of the lock has the access mode %d", file.Name(), mode)
		}
	}
	if found != 1 {
		t.Errorf("%d descriptors of the lock are open, want 1", found)
	}
}

// accessMode is how a descriptor of this process was opened.
func accessMode(t *testing.T, descriptor string) int64 {
	t.Helper()
	info, err := os.ReadFile("/proc/self/fdinfo/" + descriptor)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(info)) {
		if octal, isFlags := strings.CutPrefix(line, "flags:"); isFlags {
			flags, err := strconv.ParseInt(strings.TrimSpace(octal), 8, 64)
			if err != nil {
				t.Fatal(err)
			}
			return flags & syscall.O_ACCMODE
		}
	}
	t.Fatalf("descriptor %s has no flags", descriptor)
	return 0
}
