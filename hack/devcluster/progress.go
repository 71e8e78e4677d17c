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
	place      map[string]int // a package's place in the order of the build, from 1
	done       int
}

func newProgress(out *os.File, now func() time.Time) *progress {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return &progress{out: out, terminal: terminal, now: now, started: now(), printed: now()}
}

// expect names the packages to be built, in the order of the build.
func (p *progress) expect(packages []string) {
	p.doing = "compiling"
	p.place = make(map[string]int, len(packages))
	for i, name := range packages {
		p.place[name] = i + 1
	}
}

// advance reports whether the go command's message tells of progress, and notes it. A package that is named has begun;
// what comes before it in the order is built, or was in the build cache and is never named.
func (p *progress) advance(message string) bool {
	if strings.HasPrefix(message, "go: downloading ") {
		p.downloaded++
		return true
	}
	place, known := p.place[message]
	if !known {
		return false
	}
	p.done = max(p.done, place)
	if p.done == len(p.place) {
		p.doing = "linking"
	}
	return true
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
	if p.place != nil {
		line += fmt.Sprintf(", %d of %d packages", p.done, len(p.place))
	} else if p.downloaded > 0 {
		line += fmt.Sprintf(", %d downloaded", p.downloaded)
	}
	return line + ", " + p.now().Sub(p.started).Round(time.Second).String()
}
