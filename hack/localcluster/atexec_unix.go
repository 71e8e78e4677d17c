//go:build unix && !linux

package localcluster

import (
	"errors"
	"os/exec"
)

func startStopped(cmd *exec.Cmd, atExec func(pid int) error) error {
	if atExec != nil {
		return errors.New("a program can be held at its execve on Linux only")
	}
	return cmd.Start()
}
