package localcluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// patience is how long a process may take to stop before it is killed.
const patience = 15 * time.Second

// Process is a child of this one.
type Process struct {
	// Name is what it is called in messages.
	Name string
	// Log is the path of the file with its output.
	Log string

	cmd  *exec.Cmd
	done chan struct{}
	err  error // how it ended; to be read once done is closed
}

// program is what to start.
type program struct {
	name, path  string
	args        []string
	environment []string // beside our own
	stdout      *os.File // nil: the log
	atExec      func(pid int) error
}

// launch starts a program. Its output goes to a log file.
func (c *Cluster) launch(program program) (*Process, error) {
	log, err := os.OpenFile(c.logPath(program.name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() //nolint:errcheck // the process holds a copy of its own
	process := &Process{Name: program.name, Log: log.Name(), cmd: exec.Command(program.path, program.args...), done: make(chan struct{})}
	process.cmd.Env = append(os.Environ(), program.environment...)
	process.cmd.Stdout, process.cmd.Stderr, process.cmd.SysProcAttr = log, log, bound()
	if program.stdout != nil {
		process.cmd.Stdout = program.stdout
	}
	if err := onLauncher(func() error { return startStopped(process.cmd, program.atExec) }); err != nil {
		return nil, fmt.Errorf("%s does not start: %w", program.name, err)
	}
	go func() {
		process.err = process.cmd.Wait()
		close(process.done)
	}()
	c.keep(process)
	return process, nil
}

// keep remembers a process for Stop, and forgets those that are over.
func (c *Cluster) keep(process *Process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.processes = append(slices.DeleteFunc(c.processes, (*Process).over), process)
}

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Ended says how the process ended, of which nobody had asked it. To be called once Done is closed.
func (p *Process) Ended() error {
	how := "exit status 0"
	if p.err != nil {
		how = p.err.Error()
	}
	return fmt.Errorf("%s has ended by itself: %s", p.Name, how)
}

// Until looks every so often whether something holds, for as long as the process lives and the context lasts.
func (p *Process) Until(ctx context.Context, every time.Duration, holds func() (bool, error)) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		ok, err := holds()
		if err != nil || ok {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-p.done:
			return p.Ended()
		}
	}
}

// Stop asks the process to end, and kills it where it takes too long, which is an error. It may be called again.
func (p *Process) Stop() error {
	if p.over() {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails only where it has just ended
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
	}
	_ = p.cmd.Process.Kill()
	<-p.done
	return fmt.Errorf("%s did not stop within %s and was killed", p.Name, patience)
}

// Terminate asks the process to end, and does not wait. Who asks again takes away its time to end well: Done tells when it has.
func (p *Process) Terminate() { _ = p.cmd.Process.Signal(syscall.SIGTERM) }

// Kill ends the process as a crash would, and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // fails only where it has ended
	<-p.done
}

func (p *Process) over() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// LastLines returns the end of the log.
func (p *Process) LastLines(count int) string { return lastLines(p.Log, count) }

// lastLines returns the last lines of a file; nothing where it cannot be read.
func lastLines(path string, count int) string {
	text, err := tail(path, 64<<10)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}

// tail reads the last bytes of a file.
func tail(path string, most int64) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close() //nolint:errcheck // it was only read
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	if _, err := file.Seek(max(0, info.Size()-most), io.SeekStart); err != nil {
		return "", err
	}
	text, err := io.ReadAll(file)
	return string(text), err
}

// Run runs a program to its end and returns all it printed.
func Run(ctx context.Context, environment []string, path string, args ...string) (string, error) {
	var out strings.Builder
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), environment...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &out, &out, bound()
	if err := onLauncher(cmd.Start); err != nil {
		return "", err
	}
	err := cmd.Wait()
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	return out.String(), err
}
