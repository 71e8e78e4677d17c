package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// traceIfAsked has to be called early in main. It returns, unless this process is to be a tracer.
func traceIfAsked() {
	if os.Getenv(traceVariable) == "" {
		return
	}
	runtime.LockOSThread() // ptrace(2) binds a tracee to a thread
	if err := traceMain(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "tracer:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// tracer counts the stops of a process.
type tracer struct {
	pid   int
	at    int64 // the stop to kill at
	count atomic.Int64
	armed bool
	known map[int]bool // seized: every thread of the beginning
	begun map[int]bool // of those, the ones that run from system call to system call
}

func traceMain(args []string) error {
	if len(args) != 2 {
		return errors.New("want a process and a number")
	}
	pid, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	at, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	t := &tracer{pid: pid, at: at}
	if err := t.attach(); err != nil {
		return fmt.Errorf("ptrace: %w (root may, or who started the process where kernel.yama.ptrace_scope is 0)", err)
	}
	go t.untilClosed()
	return t.follow()
}

// untilClosed ends the tracer when nobody needs it any more; the kernel detaches what it traced.
func (t *tracer) untilClosed() {
	_, _ = bufio.NewReader(os.Stdin).ReadByte()
	fmt.Println(tracePassed, t.count.Load())
	os.Exit(0)
}

// attach seizes every thread; those that are made while it does are found by looking again.
func (t *tracer) attach() error {
	t.known, t.begun = map[int]bool{}, map[int]bool{}
	for {
		fresh := false
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", t.pid))
		if err != nil || len(tasks) == 0 {
			return errors.Join(errors.New("there is no such process"), err)
		}
		for _, task := range tasks {
			thread, err := strconv.Atoi(filepath.Base(task))
			if err != nil || t.known[thread] {
				continue
			}
			t.known[thread], fresh = true, true
			switch err := seize(thread); {
			case err == nil:
			case errors.Is(err, syscall.ESRCH), errors.Is(err, syscall.EPERM) && thread != t.pid:
				t.begun[thread] = true // it ended meanwhile, or came with the thread that made it
			default:
				return err
			}
		}
		if !fresh {
			return nil
		}
	}
}

func seize(thread int) error {
	if err := ptrace(unix.PTRACE_SEIZE, thread, 0, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_TRACECLONE); err != nil {
		return err
	}
	return unix.PtraceInterrupt(thread)
}

func ptrace(request, thread int, address, data uintptr) error {
	_, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, uintptr(request), uintptr(thread), address, data, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// follow lets the process run from stop to stop.
func (t *tracer) follow() error {
	for {
		if !t.armed && len(t.begun) >= len(t.known) {
			t.armed = true
			fmt.Println(traceAttached)
		}
		var status unix.WaitStatus
		thread, err := unix.Wait4(-1, &status, unix.WALL, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.ECHILD):
			return nil // it is gone, whoever did it
		case err != nil:
			return err
		case status.Stopped():
			if err := t.stopped(thread, status); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
			fallthrough
		default:
			if t.known[thread] {
				t.begun[thread] = true
			}
		}
	}
}

// syscallStop is what PTRACE_O_TRACESYSGOOD makes of a stop at a system call.
const syscallStop = syscall.SIGTRAP | 0x80

// stopped lets a thread that has stopped go on, or ends all.
func (t *tracer) stopped(thread int, status unix.WaitStatus) error {
	signal := status.StopSignal()
	switch event := int(status) >> 16; {
	case signal == syscallStop:
		if t.armed && t.count.Add(1) == t.at {
			return t.kill(thread)
		}
		return unix.PtraceSyscall(thread, 0)
	case event == unix.PTRACE_EVENT_STOP && signal != syscall.SIGTRAP:
		return ptrace(unix.PTRACE_LISTEN, thread, 0, 0) // a SIGSTOP of somebody else's: it stays stopped
	case event != 0:
		return unix.PtraceSyscall(thread, 0)
	}
	return unix.PtraceSyscall(thread, int(signal))
}

func (t *tracer) kill(thread int) error {
	number, phase := whichCall(thread)
	if err := syscall.Kill(t.pid, syscall.SIGKILL); err != nil {
		return err
	}
	_, err := fmt.Println(traceKilled, t.at, number, phase)
	return err
}

// whichCall asks the kernel which system call a thread has stopped at (PTRACE_GET_SYSCALL_INFO).
func whichCall(thread int) (number uint64, phase string) {
	var info [88]byte // struct ptrace_syscall_info
	if err := ptrace(unix.PTRACE_GET_SYSCALL_INFO, thread, uintptr(len(info)), uintptr(unsafe.Pointer(&info[0]))); err != nil {
		return 0, "unknown"
	}
	const entry = 1 // PTRACE_SYSCALL_INFO_ENTRY
	if info[0] != entry {
		return 0, "exit"
	}
	return *(*uint64)(unsafe.Pointer(&info[24])), "entry"
}
