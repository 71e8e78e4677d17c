//go:build linux

package nodecluster

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// assetsVariable names the directory of the programs of Kubernetes, as everywhere in this project.
const assetsVariable = "KUBEBUILDER_ASSETS"

// restartDelay is how long a program that has ended stays down.
const restartDelay = time.Second

// apiServerAddress is where the API server answers inside of the node's network namespace.
const apiServerAddress = "127.0.0.1:6443"

// supervise sets the node up and keeps its programs running, until the process is killed.
func supervise(dir string) error {
	if err := layOutMachine(dir); err != nil {
		return err
	}
	listener, err := net.FileListener(os.NewFile(firstExtra, "listener"))
	if err != nil {
		return err
	}
	for _, program := range programs(dir) {
		go program.keepRunning(dir)
	}
	for {
		outside, err := listener.Accept()
		if err != nil {
			return err
		}
		go forward(outside)
	}
}

// forward connects one client from outside to the API server.
func forward(outside net.Conn) {
	defer outside.Close() //nolint:errcheck // nobody is left to be told
	inside, err := net.Dial("tcp", apiServerAddress)
	if err != nil {
		return // the client sees the end of its connection, as with an API server that is not up
	}
	defer inside.Close() //nolint:errcheck // nobody is left to be told
	ended := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{inside, outside}, {outside, inside}} {
		go func() {
			_, _ = io.Copy(way[0], way[1])
			ended <- struct{}{}
		}()
	}
	<-ended
}

// program is one that runs for as long as the node does.
type program struct {
	name string
	path string
	args []string
}

// keepRunning starts the program, and starts it again whenever it ends, as a service manager does.
func (p program) keepRunning(dir string) {
	for {
		fmt.Printf("%s has ended: %v\n", p.name, p.run(dir))
		time.Sleep(restartDelay)
	}
}

// run runs the program to its end, its number in a file for those who want to signal it.
func (p program) run(dir string) error {
	log, err := os.OpenFile(filepath.Join(dir, "log", p.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the program holds a copy of its own
	cmd := exec.Command(p.path, p.args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := os.WriteFile(pidFile(dir, p.name), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
		return err
	}
	return cmd.Wait()
}

func pidFile(dir, program string) string { return filepath.Join(dir, "pid", program) }
