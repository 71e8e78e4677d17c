package localcluster

import (
	"syscall"
)

// Program is a program of one's own to start beside the control plane.
type Program struct {
	// Name is for messages and the log, to which programs of one name append.
	Name        string
	Path        string
	Args        []string
	Environment []string // beside our own
	// AtExec is called, where it is set, when the program is loaded and nothing of it has run yet (Linux only).
	AtExec func(pid int) error
}

// Launch starts a program. It ends with the Cluster.
func (c *Cluster) Launch(start Program) (*Process, error) {
	return c.launch(program{
		name: start.Name, path: start.Path, args: start.Args, environment: start.Environment, atExec: start.AtExec,
	})
}

// Signal sends a signal; a process that has ended does not mind.
func (p *Process) Signal(signal syscall.Signal) { _ = p.cmd.Process.Signal(signal) }

// Offline stops the control plane, does something with etcd's data directory, and starts the control plane again where it was.
func (c *Cluster) Offline(do func(dataDir string) error) error {
	plane := &c.env.ControlPlane
	_ = plane.APIServer.Stop() // an error says that it had to be killed: watches do not end by themselves
	_ = plane.Etcd.Stop()
	if err := do(plane.Etcd.DataDir); err != nil {
		return err
	}
	if err := onLauncher(plane.Etcd.Start); err != nil {
		return err
	}
	return onLauncher(plane.APIServer.Start)
}
