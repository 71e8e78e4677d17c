package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// traceVariable makes of this program a tracer: it attaches to the process that its first argument names, tells when it is there,
// and sends SIGKILL at the n-th stop at a system call, n being its second argument. Every system call of every thread stops twice,
// before and after. It is a process of its own because a tracer sees what the parent of a process waits for, too.
const traceVariable = "CHAOS_TRACE"

// What a tracer prints.
const (
	traceAttached = "attached"
	traceKilled   = "killed" // and the number of the stop, the number of the system call, and whether it was made: entry, exit
	tracePassed   = "passed" // and how many stops there were until the tracer's input was closed
)

// trace is a tracer at work on a process.
type trace struct {
	cmd   *exec.Cmd
	input io.Closer
	lines chan string
}

// killAtStop attaches a tracer that kills the process at its n-th stop from now on.
func killAtStop(pid, n int) (*trace, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	t := &trace{cmd: exec.Command(self, fmt.Sprint(pid), fmt.Sprint(n)), lines: make(chan string, 4)}
	t.cmd.Env, t.cmd.Stderr = append(os.Environ(), traceVariable+"=1"), os.Stderr
	if t.input, err = t.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	output, err := t.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	go t.read(output)
	if line := <-t.lines; line != traceAttached {
		return nil, fmt.Errorf("the tracer does not attach: %q: %w", line, t.end())
	}
	return t, nil
}

func (t *trace) read(output io.Reader) {
	defer close(t.lines)
	for scanner := bufio.NewScanner(output); scanner.Scan(); {
		t.lines <- scanner.Text()
	}
}

// end lets the process go, and waits until the tracer has ended.
func (t *trace) end() error {
	_ = t.input.Close()
	for range t.lines { // what it says now is of no interest
	}
	return t.cmd.Wait()
}

// blow is a SIGKILL at a system call.
type blow struct {
	stop   int
	number int    // of the system call, 0 at its exit
	phase  string // entry or exit
}

// outcome waits until the tracer has killed, or until the process was seen to be through with everything; then it is nil.
func (t *trace) outcome(ctx context.Context, through <-chan error) (*blow, error) {
	select {
	case line, ok := <-t.lines:
		if !ok || !strings.HasPrefix(line, traceKilled) {
			return nil, fmt.Errorf("the tracer says %q: %w", line, t.end())
		}
		struck := &blow{}
		_, err := fmt.Sscanf(line, traceKilled+" %d %d %s", &struck.stop, &struck.number, &struck.phase)
		return struck, firstError(err, t.end())
	case err := <-through:
		return nil, firstError(err, t.end())
	case <-ctx.Done():
		return nil, firstError(context.Cause(ctx), t.end())
	}
}
