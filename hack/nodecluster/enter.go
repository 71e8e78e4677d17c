//go:build linux

package nodecluster

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// The roles of a program inside of the node's namespaces, which it learns from its environment.
const (
	roleVariable = "NODECLUSTER_ROLE"
	dirVariable  = "NODECLUSTER_DIR"

	roleInit      = "init"      // the first process: it lives as long as its lifeline, and buries the dead
	roleSupervise = "supervise" // sets the node up, and keeps its programs running
	roleProbe     = "probe"     // tries what a node needs, and says what cannot be had
)

// namespaces are those that a node has for itself.
const namespaces = syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS

// Files that the first process is given: indices of exec.Cmd.ExtraFiles.
const (
	lifelineFD = 0
	listenerFD = 1
	firstExtra = 3 // the number that the first of ExtraFiles has in the child
)

// Enter has to be the first call of main in a program that starts a Node. It returns at once, unless the process was
// started as a part of a node; then it never returns.
func Enter() {
	dir := os.Getenv(dirVariable)
	switch os.Getenv(roleVariable) {
	case roleInit:
		exit(beInit(dir))
	case roleSupervise:
		exit(supervise(dir))
	case roleProbe:
		exit(probe(dir))
	}
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// enteringCommand is this very program in another role.
func enteringCommand(role, dir string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args[0] = "nodecluster-" + role
	cmd.Env = append(os.Environ(), roleVariable+"="+role, dirVariable+"="+dir)
	return cmd
}

// beInit starts the supervisor, and waits for every process that loses its parent: that is what the first process of a
// PID namespace is for. It ends, and with it everything in the namespace, when the supervisor does, or the lifeline.
func beInit(dir string) error {
	if err := mountProc(); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.NewFile(firstExtra+lifelineFD, "lifeline"))
		os.Exit(0)
	}()
	supervisor := enteringCommand(roleSupervise, dir)
	supervisor.Stdout, supervisor.Stderr = os.Stdout, os.Stderr
	supervisor.ExtraFiles = []*os.File{os.NewFile(firstExtra+listenerFD, "listener")}
	if err := supervisor.Start(); err != nil {
		return err
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == nil && pid == supervisor.Process.Pid {
			return fmt.Errorf("the supervisor has ended with exit status %d", status.ExitStatus())
		}
	}
}

// mountProc keeps what is mounted from here on to this namespace, shared with nobody but the pods, and shows its own
// processes in /proc.
func mountProc() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mounts cannot be made private: %w", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return fmt.Errorf("mounts cannot be shared with pods: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("/proc cannot be mounted: %w", err)
	}
	return nil
}
