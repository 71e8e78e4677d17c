package cli

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/fluent-credential/operator/internal/printable"
)

// level is how much a finding matters.
type level string

const (
	okay    level = "ok"
	warning level = "warn"
	failure level = "FAIL"
	skipped level = "skip" // it could not be looked at
)

// finding is what one look found.
type finding struct {
	Check   string `json:"check"`
	Level   level  `json:"level"`
	Message string `json:"message"`
	Advice  string `json:"advice,omitempty"`
}

// findings are collected in the order of looking.
type findings struct {
	check string
	all   []finding
}

// about names what is looked at from here on.
func (f *findings) about(check string) { f.check = check }

func (f *findings) ok(format string, args ...any) { f.add(okay, "", format, args...) }

func (f *findings) skip(format string, args ...any) { f.add(skipped, "", format, args...) }

func (f *findings) warn(advice, format string, args ...any) { f.add(warning, advice, format, args...) }

func (f *findings) fail(advice, format string, args ...any) { f.add(failure, advice, format, args...) }

func (f *findings) add(how level, advice, format string, args ...any) {
	f.all = append(f.all, finding{Check: f.check, Level: how, Message: fmt.Sprintf(format, args...), Advice: advice})
}

func (f *findings) failed() bool { return f.count(failure) > 0 }

func (f *findings) count(how level) int {
	count := 0
	for _, each := range f.all {
		if each.Level == how {
			count++
		}
	}
	return count
}

var levelColours = map[level]colour{okay: green, warning: yellow, failure: red, skipped: cyan}

// report prints the findings, and ends with exit code 3 where one is a failure.
func (f *findings) report(s *session, output dataOutput) error {
	if err := output.print(s, f.all, func() { f.print(s) }); err != nil {
		return err
	}
	if f.failed() {
		return attention()
	}
	return nil
}

func (f *findings) print(s *session) {
	width := 0
	for _, each := range f.all {
		width = max(width, utf8.RuneCountInString(printable.Visible(each.Check)))
	}
	for _, each := range f.all {
		mark := painted{levelColours[each.Level], fmt.Sprintf("%-4s", each.Level)}
		s.Out.printf("%s  %-*s  %s\n", mark, width, each.Check, each.Message)
		if each.Advice != "" {
			s.Out.printf("%s-> %s\n", strings.Repeat(" ", width+8), each.Advice)
		}
	}
	s.Out.printf("\n%d ok, %d to mind, %d failed, %d not looked at\n",
		f.count(okay), f.count(warning), f.count(failure), f.count(skipped))
}
