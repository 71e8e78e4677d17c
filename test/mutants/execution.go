package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// execution is one run of a test binary, up to its first failure.
type execution struct {
	binary string
	dir    string
	args   []string
	seeds  bool
	limit  time.Duration
}

// timedOut names the killer of a mutant that hangs.
const timedOut = "time-out"

var (
	failedSeed = regexp.MustCompile(`^seed (\d+): (.*)`)
	failedTest = regexp.MustCompile(`^\s*--- FAIL: (\S+)`)
)

// run returns what failed first; empty if everything passed.
func (e execution) run(ctx context.Context) (string, error) {
	limited, cancel := context.WithTimeout(ctx, e.limit)
	defer cancel()
	command := exec.CommandContext(limited, e.binary, append([]string{"-test.failfast", "-test.timeout=0"}, e.args...)...)
	command.Dir = e.dir
	// A session of its own: what the test has started, such as an API server, is found and ended with it.
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	read, write, err := os.Pipe()
	if err != nil {
		return "", err
	}
	command.Stdout, command.Stderr = write, write
	if err := command.Start(); err != nil {
		return "", errors.Join(err, read.Close(), write.Close())
	}
	_ = write.Close() // the test binary has its own
	lines := make(chan string, 1024)
	go scan(read, lines)
	seen := e.watch(lines, func() { _ = command.Process.Kill() })
	err = command.Wait()
	endSession(command.Process.Pid)
	found := <-seen
	_ = read.Close()
	switch {
	case found.killer != "":
		return found.killer, nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	case limited.Err() != nil:
		return timedOut, nil
	case err != nil:
		return "", fmt.Errorf("%s failed without the name of a test: %w\n%s", filepath.Base(e.binary), err, found.last)
	case !found.ran:
		return "", fmt.Errorf("%s ran no test: %s", filepath.Base(e.binary), strings.Join(e.args, " "))
	}
	return "", nil
}

// scan hands the lines of the output on.
func scan(from io.Reader, lines chan<- string) {
	defer close(lines)
	reader := bufio.NewReader(from)
	for {
		line, err := reader.ReadString('\n')
		if line != "" {
			lines <- strings.TrimRight(line, "\n")
		}
		if err != nil {
			return
		}
	}
}

// sighting is what the output of a test binary said.
type sighting struct {
	killer string
	last   string // the end of the output
	ran    bool
}

// subtestPatience is how long the names of subtests can come after the name of their test.
const subtestPatience = 300 * time.Millisecond

// watch looks for the first failure, and ends the run then.
func (e execution) watch(lines <-chan string, end func()) <-chan sighting {
	seen := make(chan sighting, 1)
	go func() {
		found := sighting{ran: true}
		var patience <-chan time.Time
		for {
			select {
			case <-patience:
				end()
				patience = nil
			case line, more := <-lines:
				if !more {
					seen <- found
					return
				}
				if e.look(line, &found) && patience == nil {
					patience = time.After(subtestPatience)
				}
			}
		}
	}()
	return seen
}

// look reads one line of the output, and reports whether it names a failure.
func (e execution) look(line string, found *sighting) bool {
	found.last = (found.last + "\n" + line)[max(0, len(found.last)+1+len(line)-2000):]
	if strings.Contains(line, "no tests to run") {
		found.ran = false
	}
	if e.seeds {
		if seed := failedSeed.FindStringSubmatch(line); seed != nil && found.killer == "" {
			found.killer = fmt.Sprintf("seed %s: %s", seed[1], seed[2])
		}
	}
	test := failedTest.FindStringSubmatch(line)
	switch {
	case test == nil && (strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ")) && found.killer == "":
		found.killer = line
	case test != nil && (found.killer == "" || strings.HasPrefix(test[1], found.killer+"/")):
		found.killer = test[1]
	}
	return found.killer != ""
}

// endSession ends the processes that a test binary has left behind.
func endSession(leader int) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return
	}
	for _, stat := range stats {
		content, err := os.ReadFile(stat)
		if err != nil {
			continue
		}
		// pid (name) state ppid pgrp session
		_, rest, ok := strings.Cut(string(content), ") ")
		fields := strings.Fields(rest)
		if !ok || len(fields) < 4 || fields[3] != strconv.Itoa(leader) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(stat))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}
