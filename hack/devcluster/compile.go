package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// compile builds the multi-call binary into the file binary, and shows how far it is.
func (s set) compile(ctx context.Context, binary string, release release) error {
	show := newProgress(os.Stdout, time.Now)
	fmt.Printf("k8s: building %s of Kubernetes %s from its modules: about 5 minutes and 3 GB of build cache the first time\n", s.title, release)

	show.doing = "loading modules"
	packages, err := s.listPackages(ctx, show)
	if err != nil {
		return err
	}
	show.expect(packages)
	return runGo(ctx, io.Discard, show,
		"build", "-modfile", s.modfile, "-v", "-trimpath", "-buildvcs=false", "-ldflags", release.linkerFlags(), "-o", binary, s.pkg())
}

// listPackages returns every package of the binary with what it imports.
func (s set) listPackages(ctx context.Context, show *progress) (map[string][]string, error) {
	var list strings.Builder
	if err := runGo(ctx, &list, show, "list", "-modfile", s.modfile, "-deps", "-f", `{{.ImportPath}} {{join .Imports " "}}`, s.pkg()); err != nil {
		return nil, err
	}
	imports := map[string][]string{}
	for line := range strings.Lines(list.String()) {
		if names := strings.Fields(line); len(names) > 0 {
			imports[names[0]] = names[1:]
		}
	}
	return imports, nil
}

// runGo runs the go command. Its messages move show along; those that tell of no progress become the error's text.
func runGo(ctx context.Context, stdout io.Writer, show *progress, args ...string) error {
	cmd := exec.CommandContext(ctx, cmp.Or(os.Getenv("GO"), "go"), args...)
	// Without cgo no C compiler is needed, and the result does not depend on whether there is one.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stdout = stdout
	messages, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("the go command does not start: %w", err)
	}
	said := follow(lines(messages), show)
	show.end()
	err = cmd.Wait()
	if ctx.Err() != nil {
		return errors.New("interrupted; what was compiled is kept in Go's build cache")
	}
	if err != nil {
		return failure(args[0], err, said)
	}
	return nil
}

// lines sends what reader says, line by line, and closes the channel at its end.
func lines(reader io.Reader) <-chan string {
	said := make(chan string)
	go func() {
		defer close(said)
		scanner := bufio.NewScanner(reader)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			said <- scanner.Text()
		}
		_, _ = io.Copy(io.Discard, reader) // a line too long must not block the writer
	}()
	return said
}

// follow shows progress until the messages end, and returns those that are no progress.
func follow(messages <-chan string, show *progress) []string {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var rest []string
	for {
		select {
		case message, open := <-messages:
			if !open {
				return rest
			}
			if !show.advance(message) {
				rest = append(rest, message)
			}
		case <-ticker.C:
			show.print()
		}
	}
}

// failure explains why "go <verb>" failed: with the compiler's own words, and with advice where the cause is known.
func failure(verb string, err error, said []string) error {
	text := strings.Join(said, "\n")
	advice := ""
	switch {
	case strings.Contains(text, "no space left on device"):
		advice = "\nThe disk is full. The build needs about 3 GB in Go's build cache (go env GOCACHE) and 1 GB in the temporary directory."
	case strings.Contains(text, "signal: killed"):
		advice = "\nThe compiler or the linker was killed, most often for want of memory: about 3 GB have to be free."
	}
	return fmt.Errorf("go %s failed: %w\n%s%s", verb, err, text, advice)
}
