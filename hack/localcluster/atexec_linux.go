package localcluster

import (
	"errors"
	"fmt"
	"os/exec"
	"syscall"
)

// startStopped starts a command and, where there is something to do before it runs, holds it at its execve for that long
// (ptrace(2), PTRACE_TRACEME). To be called on the launcher's thread, which is the tracer then.
func startStopped(cmd *exec.Cmd, atExec func(pid int) error) error {
	if atExec == nil {
		return cmd.Start()
	}
	cmd.SysProcAttr.Ptrace = true
	if err := cmd.Start(); err != nil {
		return err
	}
	pid := cmd.Process.Pid
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil || !status.Stopped() {
		return errors.Join(fmt.Errorf("it does not stop at its execve: %w", err), cmd.Process.Kill())
	}
	err := atExec(pid)
	if detached := syscall.PtraceDetach(pid); err == nil {
		err = detached
	}
	if err != nil {
		err = errors.Join(err, cmd.Process.Kill())
		_ = cmd.Wait() // says that it was killed
	}
	return err
}
