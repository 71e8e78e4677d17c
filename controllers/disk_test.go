package controllers

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/failure"
	"github.com/fluent-credential/operator/internal/journal"
	"github.com/fluent-credential/operator/internal/metrics"
	"github.com/fluent-credential/operator/internal/plan"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
	"github.com/fluent-credential/operator/internal/watchdog"
)

// badDisk hangs or fails at the operations that a test names.
type badDisk struct {
	journal.Disk
	mu    sync.Mutex
	fails map[string]error         // by operation
	hangs map[string]chan struct{} // likewise
	syncs int                      // of the present file
}

func newBadDisk(t *testing.T) *badDisk {
	t.Helper()
	d := &badDisk{Disk: journal.OS(), fails: map[string]error{}, hangs: map[string]chan struct{}{}}
	t.Cleanup(d.heal)
	return d
}

func (d *badDisk) hang(operation string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hangs[operation] = make(chan struct{})
}

func (d *badDisk) heal() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for operation, hold := range d.hangs {
		close(hold)
		delete(d.hangs, operation)
	}
	clear(d.fails)
}

func (d *badDisk) pass(operation, path string) error {
	d.mu.Lock()
	hold, err := d.hangs[operation], d.fails[operation]
	d.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if err != nil {
		return &fs.PathError{Op: operation, Path: path, Err: err}
	}
	return nil
}

func (d *badDisk) Create(path string) (journal.File, error) {
	d.mu.Lock()
	d.syncs = 0
	d.mu.Unlock()
	if err := d.pass("create", path); err != nil {
		return nil, err
	}
	file, err := d.Disk.Create(path)
	return &badFile{File: file, disk: d, path: path}, err
}

type badFile struct {
	journal.File
	disk *badDisk
	path string
}

func (f *badFile) Allocate(size int64) error {
	if err := f.disk.pass("allocate", f.path); err != nil {
		return err
	}
	return f.File.Allocate(size)
}

// Sync is "sync" while the slot is made, and "seal" when the reply is written down.
func (f *badFile) Sync() error {
	f.disk.mu.Lock()
	f.disk.syncs++
	operation := map[bool]string{true: "seal", false: "sync"}[f.disk.syncs > 1]
	f.disk.mu.Unlock()
	if err := f.disk.pass(operation, f.path); err != nil {
		return err
	}
	return f.File.Sync()
}

// impatient lets every deadline pass after a moment: an operation that hangs is given up, and one that works has ended by then.
func impatient(time.Duration) <-chan time.Time { return time.After(2 * time.Second) }

// onBadDisk gives the operator a journal on a disk that can fail.
func (d *driven) onBadDisk() *badDisk {
	d.t.Helper()
	disk := newBadDisk(d.t)
	watch := func(operation journal.Operation) func() { return d.Watchdog.Disk(string(operation)) }
	opened, err := journal.OpenWithin(journal.Bounds{After: impatient, Watch: watch}, disk, d.t.TempDir(), make([]byte, journal.KeySize))
	if err != nil {
		d.t.Fatal(err)
	}
	d.Journal, d.Holder.Pod = opened, "pod"
	return disk
}

func TestNothingIsSpentOnADiskThatFails(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		spoil func(*badDisk)
		words string
		why   string
	}{
		"full":        {func(d *badDisk) { d.fails["allocate"] = syscall.ENOSPC }, "no space left on device", "it is found before the claim"},
		"read-only":   {func(d *badDisk) { d.fails["create"] = syscall.EROFS }, "read-only file system", "nothing can be written down"},
		"hangs":       {func(d *badDisk) { d.hang("sync") }, "the disk does not answer", "the pass is not held up"},
		"hangs early": {func(d *badDisk) { d.hang("create") }, "the disk does not answer", "likewise"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDriven(t, nil)
			disk := d.onBadDisk()
			d.sleep(d.settle())
			test.spoil(disk)
			for range 5 {
				d.sleep(max(d.settle(), time.Second))
			}
			ledger := d.server.Ledger()
			if ledger.RefreshGrants != 0 || len(ledger.Presentations) != 0 {
				t.Errorf("presented %v: %s", ledger.Presentations, test.why)
			}
			said := false
			for _, condition := range d.status().Conditions {
				said = said || condition.Reason == v1alpha1.ReasonJournalUnwritable && strings.Contains(condition.Message, test.words)
			}
			if !said {
				t.Errorf("no condition says %q: %+v", test.words, d.status().Conditions)
			}
			disk.heal()
			d.runFor(20 * time.Minute)
			if status := d.status(); status.Summary.Reason != v1alpha1.ReasonTokenPublished || d.server.Ledger().Reuses != 0 {
				t.Errorf("after the disk is well again: %s", status.Summary.Reason)
			}
		})
	}
}

// TestReplyGoesOnInMemoryWhenTheSealHangs: it is committed and published, and the file is removed when the disk answers again.
func TestReplyGoesOnInMemoryWhenTheSealHangs(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	disk := d.onBadDisk()
	d.sleep(d.settle())
	disk.hang("seal")
	d.settle()
	if status := d.status(); status.Token.Serial != 2 || status.Summary.Reason != v1alpha1.ReasonTokenPublished {
		t.Errorf("serial %d, %s; want 2, published", status.Token.Serial, status.Summary.Reason)
	}
	if d.Holds() {
		t.Error("it says that a reply is held, and the reply is stored")
	}
	disk.heal()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		entries, defects, err := d.Journal.Scan()
		if err == nil && len(entries)+len(defects) == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the journal holds %d entries and %d defects, %v", len(entries), len(defects), err)
		}
	}
}

// TestUnitReservationSaysWhatItWaitsFor: a disk that is full empties; one that is read-only is changed by a person.
func TestUnitReservationSaysWhatItWaitsFor(t *testing.T) {
	for errno, want := range map[syscall.Errno]failure.Cause{
		syscall.ENOSPC: failure.Passing(), syscall.EROFS: failure.WaitsFor(failure.LogDirectory), syscall.EACCES: failure.WaitsFor(failure.LogDirectory),
	} {
		for _, operation := range []journal.Operation{journal.Reserving, journal.Marking} {
			answer := unwritable(operation, &fs.PathError{Op: "open", Path: "/journal/x", Err: errno})
			if answer.Verdict != token.Unsent || answer.Cause != want || strings.Contains(answer.Problem.Description, "journal/x") {
				t.Errorf("%s: %v: %+v, want %+v", operation, errno, answer, want)
			}
		}
	}
}

// TestUnitSlotHasRoomForTheLargestReply: a disk that fills up is found before the token is spent.
func TestUnitSlotHasRoomForTheLargestReply(t *testing.T) {
	const frames = 16 << 10 // and the head
	if need := exchange.MaxWire + frames; journal.Room < need {
		t.Errorf("a slot has room for %d bytes, and a reply can need %d", journal.Room, need)
	}
}

// former is the claim of a former process.
func (s *scene) former(done time.Duration) custody.Claim {
	claim := custody.Claim{
		ID: "aa", Grant: token.RefreshToken, Attempt: 1, Spends: s.record.Chain.Refresh.Hash(s.record.Salt),
		Holder: custody.Holder{Start: custody.NewID()}, Started: s.now, SpendBefore: s.now.Add(SpendBefore),
	}
	if done != 0 {
		claim.DoneBefore = s.now.Add(done)
	}
	s.record.State = s.record.Claimed(claim, "")
	return claim
}

// TestUnitClaimOfAProcessThatIsProvenToBeGone: outside of a pod the lock in the journal's directory is the only proof.
func TestUnitClaimOfAProcessThatIsProvenToBeGone(t *testing.T) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Skip("this system names no boot")
	}
	for locked, want := range map[bool]plan.Action{true: plan.Settle, false: plan.Wait} {
		s, dir := newScene(t), t.TempDir()
		s.r.Holder = custody.Holder{Start: custody.NewID()}
		if s.r.Journal, err = journal.Open(dir, make([]byte, journal.KeySize)); err != nil {
			t.Fatal(err)
		}
		claim := s.former(0)
		if locked {
			path := filepath.Join(dir, claim.Holder.Start+".lock")
			if err := os.WriteFile(path, []byte(strings.TrimSpace(string(boot))), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if next := s.next(); next.Do != want {
			t.Errorf("a lock that is free: %t: %+v, want %s", locked, next, want)
		}
	}
}

// TestUnitClaimIsWaitedForAsLongAsItSays: within bounds, since it can be edited, and on this process's own clock.
func TestUnitClaimIsWaitedForAsLongAsItSays(t *testing.T) {
	cases := map[string]struct {
		done, want time.Duration
		why        string
	}{
		"an older version's": {0, claimLife, "it does not say"},
		"as this version's":  {claimLife, claimLife, "that is what it says"},
		"a longer reply":     {2 * time.Minute, 2 * time.Minute, "its process may wait longer for replies"},
		"shorter":            {time.Second, claimLife, "its process may still be at work"},
		"before it began":    {-time.Hour, claimLife, "somebody edited it"},
		"a year":             {365 * 24 * time.Hour, longestClaim, "somebody edited it"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.former(test.done)
			s.next()
			if got := s.facts.Claim.Until.Sub(s.now); got != test.want || s.facts.Claim.Gone {
				t.Errorf("waits %s, want %s: %s", got, test.want, test.why)
			}
		})
	}
}

// TestRestartOutsideOfAPodWaitsForNothing: the process that made the claim was killed, and its lock proves it.
func TestRestartOutsideOfAPodWaitsForNothing(t *testing.T) {
	t.Parallel()
	d, dir := newDriven(t, nil), t.TempDir()
	begin := func() {
		d.journalIn(dir)
		d.Holder = custody.Holder{Start: custody.NewID()}
		if err := d.Journal.Hold(d.Holder.Start); err != nil {
			t.Skip(err)
		}
	}
	begin()
	d.sleep(d.settle())
	d.crashAt(1, true)
	if err := d.Journal.Release(); err != nil { // as the operating system does for a process that ends
		t.Fatal(err)
	}
	d.memory = newMemory()
	begin()
	d.runFor(8 * time.Second)
	d.mustBeWell()
}

// silentAPI accepts connections, and answers nothing.
func silentAPI(t *testing.T) *rest.Config {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
		}
	}()
	return &rest.Config{Host: "http://" + listener.Addr().String(), QPS: -1}
}

// TestPassEndsThoughTheKubernetesAPINeverAnswers: the end of its time is an error, which is backed off, and not the end of the process.
func TestPassEndsThoughTheKubernetesAPINeverAnswers(t *testing.T) {
	t.Parallel()
	d := newDriven(t, nil)
	d.settle()
	silent, err := client.New(silentAPI(t), client.Options{Scheme: testScheme(), Mapper: live.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	d.Custody.Reader = silent
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	request := ctrl.Request{NamespacedName: types.NamespacedName{Namespace: d.cred.Namespace, Name: d.cred.Name}}
	if _, err := d.reconcileKey(ctx, request); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a pass without an answer ends with %v; without an error it would not be made again", err)
	}
	stopping, stop := context.WithCancel(t.Context())
	stop()
	if _, err := d.reconcileKey(stopping, request); err != nil {
		t.Errorf("the process ends, and says %v", err)
	}
}

// TestHealthzFailsWhileTheDiskHangs asks the probe of a real manager.
func TestHealthzFailsWhileTheDiskHangs(t *testing.T) {
	t.Parallel()
	anyName, namespace := true, newNamespace(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	mgr, err := ctrl.NewManager(cluster, ctrl.Options{
		Scheme: testScheme(), Cache: CacheOptions([]string{namespace}), HealthProbeBindAddress: address,
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: &anyName},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := NewReconciler(mgr, Options{Metrics: metrics.New(prometheus.NewRegistry()), Namespace: namespace})
	var mu sync.Mutex
	now := start
	r.Watchdog = watchdog.New(func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	})
	r.Watchdog.Holds = r.Holds
	if err := errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddHealthzCheck("watchdog", r.Watchdog.Check)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the manager stopped with: %v", err)
		}
	})
	mustSay := func(when string, want int) {
		t.Helper()
		got := 0
		for end := time.Now().Add(10 * time.Second); got != want && time.Now().Before(end); time.Sleep(time.Millisecond) {
			if response, err := http.Get("http://" + address + "/healthz"); err == nil {
				got = response.StatusCode
				_ = response.Body.Close()
			}
		}
		if got != want {
			t.Errorf("%s: /healthz says %d, want %d", when, got, want)
		}
	}
	disk := newBadDisk(t)
	watch := func(operation journal.Operation) func() { return r.Watchdog.Disk(string(operation)) }
	if r.Journal, err = journal.OpenWithin(journal.Bounds{After: impatient, Watch: watch}, disk, t.TempDir(), make([]byte, journal.KeySize)); err != nil {
		t.Fatal(err)
	}
	disk.hang("sync")
	if _, err := r.Journal.Reserve(journal.Head{ID: "aa"}); !errors.Is(err, journal.ErrHangs) {
		t.Fatalf("reserved: %v", err)
	}
	mustSay("the disk hangs for a moment", http.StatusOK)
	mu.Lock()
	now = now.Add(watchdog.DiskLimit + time.Second)
	mu.Unlock()
	mustSay("the disk hangs for long", http.StatusInternalServerError)
	letGo := r.hold()
	mustSay("a reply is held that is not durable", http.StatusOK)
	letGo()
	mustSay("it is stored", http.StatusInternalServerError)
	disk.heal()
	mustSay("the disk answers again", http.StatusOK)
}

// TestUnitReplyThatIsHeldIsAtStakeUnlessTheJournalHasIt: the probe must not end a process that holds the only copy.
func TestUnitReplyThatIsHeldIsAtStakeUnlessTheJournalHasIt(t *testing.T) {
	tests := map[string]struct {
		journaled bool
		verdict   token.Verdict
		want      bool
	}{
		"in the journal": {true, token.Granted, false},
		"only here":      {false, token.Granted, true},
		"a refusal":      {false, token.RefusedDead, true},
		"nothing sent":   {false, token.Unsent, false},
	}
	for name, test := range tests {
		s := newScene(t)
		if s.r.Holds() {
			t.Error("nothing is held, and something is said to be")
		}
		try := &attempt{answer: provider.Answer{Verdict: test.verdict}}
		s.r.memory.hold(&held{seen: s.observation, try: try, journaled: test.journaled})
		if got := s.r.Holds(); got != test.want {
			t.Errorf("%s: at stake %t, want %t", name, got, test.want)
		}
	}
}
