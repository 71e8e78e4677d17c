package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// quiet is how long a log goes without a line of progress; a terminal's line is rewritten every second.
const quiet = 10 * time.Second

// progress tells on one rewritten line of a terminal, or on a line now and then of a log, how far the build is.
type progress struct {
	out      io.Writer
	terminal bool
	now      func() time.Time
	started  time.Time
	printed  time.Time

	doing      string
	downloaded int
	imports    map[string][]string // of every package of the build
	reached    map[string]bool     // packages that are compiled, or being compiled
}

func newProgress(out *os.File, now func() time.Time) *progress {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return &progress{out: out, terminal: terminal, now: now, started: now(), printed: now()}
}

// expect names the packages to be built, and what each imports.
func (p *progress) expect(imports map[string][]string) {
	p.doing = "compiling"
	p.imports = imports
	p.reached = make(map[string]bool, len(imports))
}

// advance reports whether the go command's message tells of progress, and notes it. A package is named when its
// compilation begins; one from the build cache never is.
func (p *progress) advance(message string) bool {
	if strings.HasPrefix(message, "go: downloading ") {
		p.downloaded++
		return true
	}
	if _, known := p.imports[message]; !known {
		return false
	}
	p.reach(message)
	if len(p.reached) == len(p.imports) {
		p.doing = "linking"
	}
	return true
}

// reach notes that a package has begun, so that all it imports is done, be it compiled or from the build cache.
func (p *progress) reach(name string) {
	imports, known := p.imports[name]
	if !known || p.reached[name] {
		return
	}
	p.reached[name] = true
	for _, imported := range imports {
		p.reach(imported)
	}
}

// print shows the state, in a log only when the last line is old.
func (p *progress) print() {
	switch {
	case p.terminal:
		fmt.Fprintf(p.out, "\r\x1b[K%s", p)
	case p.now().Sub(p.printed) >= quiet:
		p.printed = p.now()
		fmt.Fprintln(p.out, p)
	}
}

// end clears a terminal's line.
func (p *progress) end() {
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

func (p *progress) String() string {
	line := "k8s: " + p.doing
	if p.imports != nil {
		line += fmt.Sprintf(", %d of %d packages", len(p.reached), len(p.imports))
	} else if p.downloaded > 0 {
		line += fmt.Sprintf(", %d downloaded", p.downloaded)
	}
	return line + ", " + p.now().Sub(p.started).Round(time.Second).String()
}
