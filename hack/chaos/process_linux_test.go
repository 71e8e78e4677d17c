package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fluent-credential/operator/hack/localcluster"
)

// busy is a program that makes system calls all the time, in several threads.
func busy(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), clockVariable+"=1")
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	if _, err := bufio.NewReader(output).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = bufio.NewReader(output).WriteTo(drain{}) }()
	return cmd
}

type drain struct{}

// Write takes everything.
func (drain) Write(p []byte) (int, error) { return len(p), nil }

func TestTracerKills(t *testing.T) {
	mayTrace(t)
	victim := busy(t)
	tracing, err := killAtStop(victim.Process.Pid, 25)
	if err != nil {
		t.Fatal(err)
	}
	struck, err := tracing.outcome(t.Context(), nil)
	if err != nil || struck == nil || struck.stop != 25 {
		t.Fatalf("struck %+v, %v", struck, err)
	}
	var ended *exec.ExitError
	if err := victim.Wait(); !errors.As(err, &ended) || ended.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("it ended by %v, want SIGKILL", err)
	}
}

func TestTracerLetsGo(t *testing.T) {
	mayTrace(t)
	victim := busy(t)
	tracing, err := killAtStop(victim.Process.Pid, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	through := make(chan error, 1)
	through <- nil
	if struck, err := tracing.outcome(t.Context(), through); struck != nil || err != nil {
		t.Fatalf("struck %+v, %v", struck, err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", victim.Process.Pid))
	if err != nil || readField(string(status), "TracerPid:") != "0" {
		t.Errorf("it is not free: %v\n%s", err, status)
	}
}

func TestTracerOfNobody(t *testing.T) {
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	if _, err := killAtStop(gone.Process.Pid, 1); err == nil {
		t.Error("a process that is gone can be traced")
	}
}

// mayTrace skips where a process may not trace one that it did not start itself.
func mayTrace(t *testing.T) {
	t.Helper()
	scope, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	if err == nil && strings.TrimSpace(string(scope)) != "0" && os.Geteuid() != 0 {
		t.Skip("kernel.yama.ptrace_scope forbids it")
	}
}

// TestClockOfOneProcess moves the wall clock of a real program, and leaves its monotonic clock alone.
func TestClockOfOneProcess(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the clock of one process can be moved on amd64 only")
	}
	cluster := &localcluster.Cluster{Dir: t.TempDir()}
	t.Cleanup(func() { _ = cluster.Stop() })
	var clock *wallClock
	process, err := cluster.Launch(localcluster.Program{
		Name: "clock", Path: os.Args[0], Environment: []string{clockVariable + "=1"},
		AtExec: func(pid int) (err error) { clock, err = takeClock(pid, time.Hour); return err },
	})
	if err != nil {
		t.Fatal(err)
	}
	told := func(offset time.Duration) {
		t.Helper()
		err := until(t.Context(), 20*time.Second, fmt.Sprintf("it tells the time %s ahead", offset), lookAt(process, offset))
		if err != nil {
			t.Error(err)
		}
	}
	told(time.Hour)
	if err := clock.set(-24 * time.Hour); err != nil {
		t.Fatal(err)
	}
	told(-24 * time.Hour)
}

func TestSmallDisk(t *testing.T) {
	s := &stage{}
	s.replicas = []*replica{{journal: filepath.Join(t.TempDir(), "journal")}}
	if err := s.mountJournal(); errors.Is(err, syscall.EPERM) {
		t.Skip("mounting takes root")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cleanups[0]() })
	file := filepath.Join(s.replicas[0].journal, "file")
	write := func() error { return os.WriteFile(file, make([]byte, 64<<10), 0o600) }
	for _, step := range []struct {
		do   func() error
		want error
	}{
		{func() error { return nil }, nil},
		{s.fill, syscall.ENOSPC}, {s.empty, nil}, {s.remount("ro"), syscall.EROFS}, {s.remount("rw"), nil},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if err := write(); !errors.Is(err, step.want) {
			t.Errorf("writing gives %v, want %v", err, step.want)
		}
		_ = os.Remove(file)
	}
}

// lookAt reads the last line that the process printed.
func lookAt(process *localcluster.Process, offset time.Duration) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		var wall, monotonic int64
		line := process.LastLines(1)
		if _, err := fmt.Sscan(line, &wall, &monotonic); err != nil {
			return "", err
		}
		if off := time.Until(time.Unix(wall, 0)) - offset; off.Abs() > time.Minute {
			return "it says " + line, nil
		}
		if monotonic < 0 || monotonic > time.Minute.Milliseconds() {
			return "its monotonic clock has jumped: " + line, nil
		}
		return "", nil
	}
}
