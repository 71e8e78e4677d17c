package localcluster

import "syscall"

// bound are the attributes of a child: a group of its own, which the terminal's Ctrl-C does not reach, and death together with
// the thread that started it.
func bound() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// dieWithParent does for the calling thread what bound does for a child. It outlives execve (prctl(2)).
func dieWithParent() {
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0)
}
