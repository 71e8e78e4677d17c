package journal

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// hanging is a disk whose operations hang where a test says so, until it lets them go.
type hanging struct {
	osDisk
	mu    sync.Mutex
	holds map[string]chan struct{} // by the name of the operation
	begun chan string
}

func newHanging() *hanging {
	return &hanging{holds: map[string]chan struct{}{}, begun: make(chan string, 1000)}
}

// hold makes an operation hang, and returns what lets it go.
func (d *hanging) hold(operation string) (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	hold := make(chan struct{})
	d.holds[operation] = hold
	return sync.OnceFunc(func() {
		d.mu.Lock()
		delete(d.holds, operation)
		d.mu.Unlock()
		close(hold)
	})
}

func (d *hanging) pass(operation string) {
	d.mu.Lock()
	hold := d.holds[operation]
	d.mu.Unlock()
	if hold != nil {
		d.begun <- operation
		<-hold
	}
}

func (d *hanging) Create(path string) (File, error) {
	d.pass("create")
	file, err := d.osDisk.Create(path)
	if err != nil {
		return nil, err
	}
	return hangingFile{file, d}, nil
}

func (d *hanging) MkdirAll(dir string, mode os.FileMode) error {
	d.pass("mkdir")
	return d.osDisk.MkdirAll(dir, mode)
}

func (d *hanging) ReadFile(path string) ([]byte, error) {
	d.pass("read")
	return d.osDisk.ReadFile(path)
}
func (d *hanging) Remove(path string) error { d.pass("remove"); return d.osDisk.Remove(path) }

type hangingFile struct {
	File
	disk *hanging
}

func (f hangingFile) Close() error { f.disk.pass("close"); return f.File.Close() }

func (f hangingFile) Sync() error { f.disk.pass("sync"); return f.File.Sync() }

func (f hangingFile) WriteAt(part []byte, at int64) (int, error) {
	f.disk.pass("write")
	return f.File.WriteAt(part, at)
}

// timers let every deadline pass when a test says so.
type timers struct {
	mu    sync.Mutex
	armed []chan time.Time
	asked []time.Duration
}

func (c *timers) after(wait time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	timer := make(chan time.Time, 1)
	c.armed, c.asked = append(c.armed, timer), append(c.asked, wait)
	return timer
}

func (c *timers) pass() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, timer := range c.armed {
		timer <- time.Time{}
	}
	c.armed = nil
}

// scene is a journal on a disk that can hang.
type scene struct {
	*Journal
	t      *testing.T
	disk   *hanging
	clock  *timers
	dir    string
	mu     sync.Mutex
	begun  map[Operation]int
	active int
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{t: t, disk: newHanging(), clock: &timers{}, dir: t.TempDir(), begun: map[Operation]int{}}
	var err error
	s.Journal, err = OpenWithin(Bounds{After: s.clock.after, Watch: s.watch}, s.disk, s.dir, make([]byte, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *scene) watch(operation Operation) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun[operation]++
	s.active++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.active--
	}
}

// hangs performs an operation that hangs, and lets its deadline pass.
func (s *scene) hangs(at string, work func() error) (release func()) {
	s.t.Helper()
	release = s.disk.hold(at)
	s.t.Cleanup(func() {
		release()
		s.settles()
	})
	done := make(chan error, 1)
	go func() { done <- work() }()
	if got := <-s.disk.begun; got != at {
		s.t.Fatalf("%s hangs, want %s", got, at)
	}
	s.clock.pass()
	if err := <-done; !errors.Is(err, ErrHangs) {
		s.t.Fatalf("%s hangs, and the operation ends with %v", at, err)
	}
	return release
}

// settles waits until nothing is at work any more.
func (s *scene) settles() {
	s.t.Helper()
	s.until("the operation that hung has ended", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.active == 0
	})
}

func (s *scene) until(what string, isTrue func() bool) {
	s.t.Helper()
	for end := time.Now().Add(10 * time.Second); !isTrue(); runtime.Gosched() {
		if time.Now().After(end) {
			s.t.Fatalf("never: %s", what)
		}
	}
}

func (s *scene) files() []string {
	s.t.Helper()
	found, err := filepath.Glob(filepath.Join(s.dir, "*"+extension))
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

func (s *scene) reserve(id string) (*Slot, error) {
	return s.Reserve(Head{ID: id, Claim: json.RawMessage(`{}`)})
}

func TestReserveThatHangsIsGivenUp(t *testing.T) {
	for _, at := range []string{"create", "write", "sync"} {
		t.Run(at, func(t *testing.T) {
			s := newScene(t)
			release := s.hangs(at, func() error { _, err := s.reserve("aa"); return err })
			before := runtime.NumGoroutine()
			for range 100 {
				if _, err := s.reserve("bb"); !errors.Is(err, ErrHangs) {
					t.Fatalf("while it hangs: %v", err)
				}
			}
			if after := runtime.NumGoroutine(); after > before+1 {
				t.Errorf("%d goroutines, and %d after a hundred more tries", before, after)
			}
			release()
			s.settles()
			if files := s.files(); len(files) != 0 {
				t.Errorf("the slot that nobody waits for is still there: %v", files)
			}
			if _, err := s.reserve("bb"); err != nil {
				t.Errorf("after the hang: %v", err)
			}
		})
	}
}

func TestReserveHasOneDeadline(t *testing.T) {
	s := newScene(t)
	s.clock.asked = nil
	if _, err := s.reserve("aa"); err != nil {
		t.Fatal(err)
	}
	if len(s.clock.asked) != 1 || s.clock.asked[0] != 5*time.Second {
		t.Errorf("the deadlines are %v, want one of 5 s for all of it", s.clock.asked)
	}
}

func TestMarkThatHangsSendsNothing(t *testing.T) {
	s := newScene(t)
	slot, err := s.reserve("aa")
	if err != nil {
		t.Fatal(err)
	}
	release := s.hangs("write", slot.Sending)
	if err := slot.Seal(); !errors.Is(err, ErrHangs) {
		t.Errorf("a seal behind a mark that hangs: %v", err)
	}
	if err := slot.Discard(); !errors.Is(err, ErrHangs) {
		t.Errorf("a removal behind a mark that hangs: %v", err)
	}
	release()
	s.settles()
	if files := s.files(); len(files) != 0 {
		t.Errorf("after the hang %v is still there", files)
	}
}

// TestSealThatHangsIsFinishedLater: the exchange goes on in memory, and the file ends as the exchange does.
func TestSealThatHangsIsFinishedLater(t *testing.T) {
	cases := map[string]struct {
		at        string
		discarded bool
	}{
		"sync, stored":     {"sync", true},
		"write, stored":    {"write", true},
		"sync, not stored": {"sync", false},
	}
	for name, test := range cases {
		at, discarded := test.at, test.discarded
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			slot, err := s.reserve("aa")
			if err != nil {
				t.Fatal(err)
			}
			_, _ = slot.Write([]byte(reply))
			release := s.hangs(at, slot.Seal)
			if slot.Err() == nil {
				t.Error("it counts as sealed")
			}
			if discarded {
				_ = slot.Discard() // the result is stored
			}
			release()
			s.settles()
			entry, err := s.Find("aa")
			if discarded && err == nil || !discarded && (err != nil || entry.Reply.Reveal() != reply) {
				t.Errorf("discarded %t, and found %v, %v", discarded, entry, err)
			}
		})
	}
}

func TestSealIsTriedThoughAnotherOperationHangs(t *testing.T) {
	s := newScene(t)
	slot, err := s.reserve("aa")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = slot.Write([]byte(reply))
	s.hangs("create", func() error { _, err := s.reserve("bb"); return err })
	if err := slot.Seal(); err != nil {
		t.Errorf("the only copy of a reply was not written because another file hangs: %v", err)
	}
}

// TestWhatCouldNotBeRemovedIsRemovedLater: a reply that is stored must not wait for the next start, nor be counted until then.
func TestWhatCouldNotBeRemovedIsRemovedLater(t *testing.T) {
	s := newScene(t)
	sealed, err := s.reserve("aa")
	if err != nil || sealed.Seal() != nil {
		t.Fatal(err)
	}
	release := s.hangs("create", func() error { _, err := s.reserve("bb"); return err })
	if err := sealed.Discard(); !errors.Is(err, ErrHangs) {
		t.Errorf("discarded: %v", err)
	}
	if err := s.Remove("cc"); !errors.Is(err, ErrHangs) {
		t.Errorf("removed: %v", err)
	}
	release()
	s.settles()
	if files := s.files(); len(files) != 0 {
		t.Errorf("after the hang %v is still there", files)
	}
}

// TestCloseThatHangsIsGivenUp: a network mount writes when a file is closed.
func TestCloseThatHangsIsGivenUp(t *testing.T) {
	s := newScene(t)
	slot, err := s.reserve("aa")
	if err != nil || slot.Seal() != nil {
		t.Fatal(err)
	}
	release := s.hangs("close", slot.Discard)
	release()
	s.settles()
	if files := s.files(); len(files) != 0 {
		t.Errorf("after the hang %v is still there", files)
	}
}

// TestStartEndsThoughTheDirectoryHangs: the process ends with an error that names the cause, and is started again.
func TestStartEndsThoughTheDirectoryHangs(t *testing.T) {
	s := newScene(t)
	s.hangs("mkdir", func() error {
		_, err := OpenWithin(Bounds{After: s.clock.after, Watch: s.watch}, s.disk, filepath.Join(s.dir, "more"), make([]byte, KeySize))
		return err
	})
}

func TestReadThatHangsIsNoAnswer(t *testing.T) {
	s := newScene(t)
	slot, err := s.reserve("aa")
	if err != nil || slot.Seal() != nil || slot.Close() != nil {
		t.Fatal(err)
	}
	s.hangs("read", func() error { _, err := s.Find("aa"); return err })
	if _, _, err := s.Scan(); !errors.Is(err, ErrHangs) {
		t.Errorf("scan: %v", err)
	}
	if _, err := s.Len(); !errors.Is(err, ErrHangs) {
		t.Errorf("count: %v", err)
	}
	if err := s.Mark("uid", 3); !errors.Is(err, ErrHangs) {
		t.Errorf("mark: %v", err)
	}
}

func TestEveryOperationIsWatched(t *testing.T) {
	s := newScene(t)
	slot, err := s.reserve("aa")
	if err := errors.Join(err, slot.Sending(), slot.Seal(), slot.Discard(), s.Mark("uid", 1)); err != nil {
		t.Fatal(err)
	}
	_, _ = s.Find("aa")
	for _, operation := range Operations() {
		if s.begun[operation] == 0 {
			t.Errorf("%s is not watched", operation)
		}
	}
	s.settles()
}

// TestDirectoryThatIsGoneIsNoMissingReply: its volume is not mounted, and a reply may be on it.
func TestDirectoryThatIsGoneIsNoMissingReply(t *testing.T) {
	s := newScene(t)
	if err := os.RemoveAll(s.dir); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Find("aa"); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that is gone says %v of a reply", err)
	}
}

// unreadable is a disk with one bad sector.
type unreadable struct {
	osDisk
	bad string
}

func (d unreadable) ReadFile(path string) ([]byte, error) {
	if strings.Contains(path, d.bad) {
		return nil, &os.PathError{Op: "read", Path: path, Err: errnos[Broken][0]}
	}
	return d.osDisk.ReadFile(path)
}

func TestOneBadSectorKeepsNoOtherReply(t *testing.T) {
	dir := t.TempDir()
	journal, err := OpenOn(unreadable{bad: "aa"}, dir, make([]byte, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"aa", "bb"} {
		slot, err := journal.Reserve(Head{ID: id, Claim: json.RawMessage(`{}`)})
		if err != nil || slot.Seal() != nil {
			t.Fatal(err)
		}
	}
	entries, _, err := journal.Scan()
	if err == nil || len(entries) != 1 || entries[0].ID != "bb" {
		t.Errorf("%d entries, %v; want the one that can be read, and an error", len(entries), err)
	}
}
