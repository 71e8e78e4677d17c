package journal

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

const (
	ownProcess   = "00000000000000000000000000000001"
	otherProcess = "00000000000000000000000000000002"
)

// TestMain is another process, where it is started as one: it holds a lock until it is killed, or the test is gone.
func TestMain(m *testing.M) {
	if dir := os.Getenv("JOURNAL_LOCKED_DIR"); dir != "" {
		held, err := Open(dir, make([]byte, KeySize))
		if err == nil {
			err = held.Hold(otherProcess)
		}
		fmt.Println(err)
		_, _ = io.Copy(io.Discard, os.Stdin)
		runtime.KeepAlive(held)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// otherIn starts a process that holds its lock, and returns what kills it.
func otherIn(t *testing.T, dir string) (kill func(os.Signal)) {
	t.Helper()
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), "JOURNAL_LOCKED_DIR="+dir)
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.StdinPipe(); err != nil { // its end is the end of this process
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = other.Process.Kill()
		_ = other.Wait()
	})
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "<nil>\n" {
		t.Skipf("no lock on this file system: %s", line)
	}
	return func(signal os.Signal) {
		_ = other.Process.Signal(signal)
		if signal == syscall.SIGKILL {
			_ = other.Wait()
		}
	}
}

func TestKilledProcessIsProvenToBeGone(t *testing.T) {
	dir := t.TempDir()
	kill := otherIn(t, dir)
	journal := opened(t, dir, 0)
	if err := journal.Hold(ownProcess); err != nil {
		t.Fatal(err)
	}
	if journal.IsGone(otherProcess) {
		t.Error("a process that lives is taken for gone")
	}
	kill(syscall.SIGSTOP)
	if journal.IsGone(otherProcess) {
		t.Error("a process that is frozen is taken for gone: it can wake")
	}
	kill(syscall.SIGCONT)
	kill(syscall.SIGKILL)
	if !journal.IsGone(otherProcess) || !opened(t, dir, 0).IsGone(otherProcess) {
		t.Error("a process that was killed is not proven to be gone")
	}
	if journal.IsGone(ownProcess) {
		t.Error("this process takes itself for gone")
	}
}

func TestLockThatProvesNothing(t *testing.T) {
	content := func(text string) func(*testing.T, string) {
		return func(t *testing.T, path string) { write(t, path, []byte(text)) }
	}
	boot := osDisk{}.BootID()
	cases := map[string]struct {
		make func(t *testing.T, path string)
		disk Disk
		gone bool
		why  string
	}{
		"free, of this boot":    {content(boot), osDisk{}, true, "nothing but a process's end releases it"},
		"none":                  {func(*testing.T, string) {}, osDisk{}, false, "it was another directory's"},
		"empty":                 {content(""), osDisk{}, false, "the lock is taken in this moment"},
		"of another boot":       {content("0" + boot[1:]), osDisk{}, false, "it is another machine's, which may be up"},
		"longer":                {content(boot + "0"), osDisk{}, false, "nobody wrote that"},
		"the boot is not known": {content(""), rebooted{boot: ""}, false, "any machine may have written it"},
		"no flock":              {content(boot), unlockable{}, false, "the file system cannot tell"},
		"a directory":           {func(t *testing.T, path string) { _ = os.Mkdir(path, 0o700) }, osDisk{}, false, "nobody wrote that"},
		"a link": {func(t *testing.T, path string) {
			content(boot)(t, path+".target")
			_ = os.Symlink(path+".target", path)
		}, osDisk{}, false, "no process makes one"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			journal, err := OpenOn(test.disk, dir, make([]byte, KeySize))
			if err != nil {
				t.Fatal(err)
			}
			test.make(t, journal.lockPath(otherProcess))
			if got := journal.IsGone(otherProcess); got != test.gone {
				t.Errorf("gone: %t, want %t: %s", got, test.gone, test.why)
			}
		})
	}
}

// unlockable is a file system without locks.
type unlockable struct{ osDisk }

func (unlockable) IsUnlocked(string) (bool, error) { return true, syscall.ENOLCK }

// TestNoNameOfAProcessLeavesTheDirectory: the name is read from a Secret.
func TestNoNameOfAProcessLeavesTheDirectory(t *testing.T) {
	journal := opened(t, t.TempDir(), 0)
	for _, name := range []string{"", ".", "../../etc/passwd", "a/b", "start"} {
		if journal.IsGone(name) || journal.Hold(name) == nil {
			t.Errorf("%q is taken for a process", name)
		}
	}
}

func TestOldLocksAreRemoved(t *testing.T) {
	dir := t.TempDir()
	otherIn(t, dir)
	for i := range 3 * locksKept {
		path := filepath.Join(dir, fmt.Sprintf("%032x.lock", 0x100+i))
		write(t, path, []byte(osDisk{}.BootID()))
		at := time.Now().Add(time.Duration(i) * time.Hour)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	journal := opened(t, dir, 0)
	if err := journal.Hold(ownProcess); err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*.lock"))
	if len(left) != locksKept+2 {
		t.Errorf("%d locks are left, want the %d newest, our own, and the one that is held", len(left), locksKept)
	}
	if entries, defects, err := journal.Scan(); len(entries)+len(defects) != 0 || err != nil {
		t.Errorf("locks are taken for replies: %d, %v, %v", len(entries), defects, err)
	}
	if count, _ := journal.Len(); count != 0 {
		t.Errorf("locks are counted as replies: %d", count)
	}
}

// listless is a disk whose directory cannot be listed.
type listless struct{ osDisk }

func (listless) ReadDir(string) ([]os.DirEntry, error) { return nil, syscall.EIO }

// TestLockIsHeldThoughOldOnesStay: Hold fails only if this process has no lock.
func TestLockIsHeldThoughOldOnesStay(t *testing.T) {
	dir := t.TempDir()
	journal, err := OpenOn(listless{}, dir, make([]byte, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	if err := opened(t, dir, 0).Hold(otherProcess); err != nil {
		t.Skip(err) // this file system has no locks that prove anything
	}
	if err := journal.Hold(ownProcess); err != nil {
		t.Errorf("the lock is held, and Hold says: %v", err)
	}
	if opened(t, dir, 0).IsGone(ownProcess) {
		t.Error("the lock is not held")
	}
	runtime.KeepAlive(journal)
}
