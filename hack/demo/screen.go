package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// screen writes the story. Only a terminal gets colours.
type screen struct {
	out     io.Writer
	colours bool
}

func newScreen(out *os.File) *screen {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return &screen{out: out, colours: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// style is a way to print: a parameter of the terminal's SGR control (ECMA-48 section 8.3.117).
type style string

const (
	bold   style = "1"
	faint  style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
)

func (s *screen) in(style style, text string) string {
	if !s.colours || text == "" {
		return text
	}
	return "\x1b[" + string(style) + "m" + text + "\x1b[0m"
}

func (s *screen) line(text string) { fmt.Fprintln(s.out, text) }

// chapter opens a part of the story.
func (s *screen) chapter(text string) { s.line("\n" + s.in(bold, text)) }

func (s *screen) note(format string, args ...any) { s.block(fmt.Sprintf(format, args...)) }

// command shows what is run, as a person would type it.
func (s *screen) command(text string) { s.line("  " + s.in(cyan, "$ "+text)) }

// block shows what a program printed.
func (s *screen) block(text string) {
	for line := range strings.Lines(text) {
		s.line("  " + strings.TrimRight(line, "\n"))
	}
}

// failure shows the end of a log.
func (s *screen) failure(title, text string) {
	s.line("\n" + s.in(red, title))
	s.block(text)
}
