package localcluster

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Server is a process that serves on the loopback.
type Server struct {
	*Process
	// URL is what it serves on.
	URL string
	// Version is what it says about itself beside its URL.
	Version string
}

// ServerProgram is a program that prints the URL that it serves on, and perhaps its version after a space, as the first line that
// begins with http://. What it prints otherwise goes to its log.
type ServerProgram struct {
	// Name is for messages and the log.
	Name string
	// Path is the executable's.
	Path string
	// Args are its arguments.
	Args []string
	// Environment is beside our own, as NAME=value.
	Environment []string
}

// StartServer starts a server and waits until it serves.
func (c *Cluster) StartServer(wanted ServerProgram) (*Server, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	process, err := c.launch(program{
		name: wanted.Name, path: wanted.Path, args: wanted.Args, environment: wanted.Environment, stdout: write,
	})
	_ = write.Close() // the process holds a copy of its own
	if err != nil {
		_ = read.Close()
		return nil, err
	}
	tooLong := time.AfterFunc(startTimeout, func() { _ = process.cmd.Process.Kill() })
	defer tooLong.Stop()
	return process.awaitURL(read)
}

// awaitURL reads until the server says where it serves, and then leaves its output to its log.
func (p *Process) awaitURL(output io.ReadCloser) (*Server, error) {
	log, err := os.OpenFile(p.Log, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		_ = output.Close()
		return nil, err
	}
	lines := bufio.NewReader(output)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			_, _ = log.Close(), output.Close()
			return nil, fmt.Errorf("%s does not serve\n%s", p.Name, p.LastLines(5))
		}
		if strings.HasPrefix(line, "http://") {
			url, version, _ := strings.Cut(strings.TrimSpace(line), " ")
			go follow(log, lines, output)
			return &Server{Process: p, URL: url, Version: version}, nil
		}
		fmt.Fprint(log, line)
	}
}

// follow copies the output to the log for as long as there is any.
func follow(log io.WriteCloser, lines io.Reader, output io.Closer) {
	_, _ = io.Copy(log, lines)
	_, _ = log.Close(), output.Close()
}
