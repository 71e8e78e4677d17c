package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// failingDisks are journals that cannot be written, before a token is spent and after.
func failingDisks() []scenario {
	return []scenario{
		{name: "full", quick: true, setting: setting{idle: true}, run: func(ctx context.Context, s *stage) error {
			return unwritable(ctx, s, s.fill, s.empty)
		}},
		{name: "read-only", quick: true, setting: setting{idle: true}, run: func(ctx context.Context, s *stage) error {
			return unwritable(ctx, s, s.remount("ro"), s.remount("rw"))
		}},
		{name: "fsync fails after the reply", quick: true, run: fsyncFails},
	}
}

// roomyDisk is the size of the journal's file system: room for some replies.
const roomyDisk = "2m"

// mountJournal puts the first replica's journal on a small file system of its own.
func (s *stage) mountJournal() error {
	dir := s.replicas[0].journal
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := mountTmpfs(dir, roomyDisk); err != nil {
		return fmt.Errorf("a tmpfs for the journal cannot be mounted (it takes root): %w", err)
	}
	s.atEnd(func() error { return unmount(dir) })
	return nil
}

func (s *stage) ballast() string { return filepath.Join(s.replicas[0].journal, "ballast") }

// fill fills the journal's file system.
func (s *stage) fill() error {
	file, err := os.Create(s.ballast())
	if err != nil {
		return err
	}
	for err == nil {
		_, err = file.Write(make([]byte, 4096))
	}
	return file.Close()
}

func (s *stage) empty() error { return os.Remove(s.ballast()) }

func (s *stage) remount(mode string) func() error {
	return func() error { return remountTmpfs(s.replicas[0].journal, mode == "ro") }
}

// unwritable: nothing is spent while the journal cannot be written, and it goes on by itself when it can.
func unwritable(ctx context.Context, s *stage, spoil, mend func() error) error {
	if err := s.mountJournal(); err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	if err := spoil(); err != nil {
		return err
	}
	before := len(s.tokens.sendings())
	if err := s.creds[0].rotate(ctx); err != nil {
		return err
	}
	if err := s.creds[0].failsWith(ctx, v1alpha1.ReasonJournalUnwritable); err != nil {
		return err
	}
	pause(ctx, 5*time.Second)
	if sent := len(s.tokens.sendings()) - before; sent > 0 {
		s.find("%d requests were sent whose reply could not have been written down", sent)
	}
	if err := s.alarmed(ctx, "reserve"); err != nil {
		return err
	}
	if err := mend(); err != nil {
		return err
	}
	return s.settled(ctx)
}

// failsWith waits until the state tells of a failure with a reason.
func (c *credential) failsWith(ctx context.Context, reason string) error {
	return until(ctx, time.Minute, c.name+" failed with "+reason, func(ctx context.Context) (string, error) {
		state, err := c.readState(ctx)
		if err != nil {
			return "", err
		}
		if state.failure != reason {
			return fmt.Sprintf("the failure is %q", state.failure), nil
		}
		return "", nil
	})
}

// alarmed looks whether the metric on which people alert has moved.
func (s *stage) alarmed(ctx context.Context, kind string) error {
	failed, err := s.replicas[0].counter(ctx, fmt.Sprintf("fluent_credential_journal_errors_total{kind=%q}", kind))
	if err == nil && failed == 0 {
		s.find("no alarm: journal_errors_total{kind=%q} is 0", kind)
	}
	return err
}

// fsyncFails: the reply is there, and the disk fails; memory and the state have to do. strace makes the fsync fail.
func fsyncFails(ctx context.Context, s *stage) error {
	trap := s.tokens.hold(answered, 1, isRefresh)
	if err := s.creds[0].rotate(ctx); err != nil {
		return err
	}
	if _, err := trap.wait(ctx); err != nil {
		return err
	}
	stop, err := s.replicas[0].failFsync(ctx)
	if err != nil {
		return err
	}
	trap.let(fate{})
	err = s.silently(0, func() error { return s.settled(ctx) })
	return errors.Join(err, s.alarmed(ctx, "write"), stop())
}

// failFsync makes every fsync of the replica's process fail until stop is called.
func (r *replica) failFsync(ctx context.Context) (stop func() error, err error) {
	path, err := exec.LookPath("strace")
	if err != nil {
		return nil, errors.New("there is no strace (Debian: apt-get install strace)")
	}
	log := filepath.Join(r.stage.dir, r.name+".strace")
	cmd := exec.Command(path, "-f", "-q", "-o", log, "-e", "trace=fsync", "-e", "inject=fsync:error=EIO", "-p", fmt.Sprint(r.pid()))
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() error { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait(); return nil }
	err = until(ctx, 20*time.Second, "strace is attached", func(context.Context) (string, error) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.pid()))
		if err != nil || isTracedBy(string(text), cmd.Process.Pid) {
			return "", err
		}
		return "it is not", nil
	})
	return stop, err
}

// isTracedBy reads TracerPid of /proc/PID/status.
func isTracedBy(status string, pid int) bool {
	return readField(status, "TracerPid:") == fmt.Sprint(pid)
}
