//go:build unix && !linux

package localcluster

import "syscall"

// bound are the attributes of a child: a group of its own, which the terminal's Ctrl-C does not reach. There is no death signal
// here: who kills the program that started the child has to kill the child too.
func bound() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func dieWithParent() {}
