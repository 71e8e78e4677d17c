package cli

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// terminal is the program at work in a pseudo-terminal.
type terminal struct {
	t       *testing.T
	command *exec.Cmd
	control *os.File // what a person sees and types
	line    *os.File // the program's side

	mu    sync.Mutex
	shown bytes.Buffer
	read  chan struct{} // closed at the end of the output
}

// onTerminal starts the program on a terminal of its own, with more of an environment.
func onTerminal(t *testing.T, environment []string, arguments ...string) *terminal {
	t.Helper()
	control, line, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	command := fluentCommand(t.Context(), arguments...)
	command.Env = append(command.Env, environment...)
	command.Stdin, command.Stdout, command.Stderr = line, line, line
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	running := &terminal{t: t, command: command, control: control, line: line, read: make(chan struct{})}
	go running.watch()
	t.Cleanup(func() { _ = line.Close(); _ = control.Close() })
	return running
}

func (r *terminal) watch() {
	defer close(r.read)
	_, _ = io.Copy(r, r.control)
}

// Write takes what the terminal shows.
func (r *terminal) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.shown.Write(p)
}

// text is what was shown so far.
func (r *terminal) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.ReplaceAll(r.shown.String(), "\r\n", "\n")
}

// patience is how long a test waits for what has to come; only a failure takes as long.
const patience = 2 * time.Minute

func (r *terminal) until(what string, is func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for !is() {
		if time.Now().After(deadline) {
			r.t.Fatalf("never: %s. The terminal shows\n%s", what, r.text())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// shows waits for a text.
func (r *terminal) shows(text string) {
	r.t.Helper()
	r.until("shows "+text, func() bool { return strings.Contains(r.text(), text) })
}

// hides waits until the terminal does not show what is typed.
func (r *terminal) hides() {
	r.t.Helper()
	r.until("hides what is typed", func() bool { return !r.echoes() })
}

// echoes tells whether the terminal shows what is typed.
func (r *terminal) echoes() bool {
	state, err := unix.IoctlGetTermios(int(r.line.Fd()), readTermios)
	if err != nil {
		r.t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

func (r *terminal) types(text string) {
	r.t.Helper()
	if _, err := io.WriteString(r.control, text); err != nil {
		r.t.Fatal(err)
	}
}

// ends waits for the end of the program, and of what it showed.
func (r *terminal) ends(code int) {
	r.t.Helper()
	err := r.command.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	if got := r.command.ProcessState.ExitCode(); got != code {
		r.t.Errorf("exit code %d, want %d. The terminal shows\n%s", got, code, r.text())
	}
	r.drain()
}

// drain reads on until a mark of ours has come through: then all that the program wrote has.
func (r *terminal) drain() {
	const mark = "\x00end\x00"
	if _, err := io.WriteString(r.line, mark); err != nil {
		r.t.Fatal(err)
	}
	r.until("the end of the output", func() bool { return strings.Contains(r.text(), mark) })
}
