package cli

import (
	"fmt"
	"io"
	"os"
	"reflect"

	"github.com/fluent-credential/operator/internal/printable"
)

// screen is the output or the error stream. What clusters, files and token endpoints say reaches a person only through
// it: every character that is not printable is shown as an escape. Only a screen writes colors.
type screen struct {
	*printable.Writer
	colored bool
}

func newScreen(to io.Writer) *screen {
	return &screen{Writer: printable.NewWriter(to), colored: isColored(to)}
}

// isColored reports whether a stream is a terminal that shows colors. NO_COLOR turns them off (https://no-color.org).
func isColored(to io.Writer) bool {
	return isTerminal(to) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// painted is a text of one line in a color.
type painted struct {
	in   colour
	text string
}

// lines is a text whose line ends stay.
type lines string

// printf formats a text of ours. An argument is shown in one line: a line end in a name or in a message of others
// cannot forge a line.
func (s *screen) printf(format string, args ...any) {
	shown := make([]any, len(args))
	for i, arg := range args {
		shown[i] = s.shown(arg)
	}
	_ = s.Flush()
	_, _ = fmt.Fprintf(s.To(), format, shown...)
}

func (s *screen) shown(arg any) any {
	switch arg := arg.(type) {
	case painted:
		text := printable.Visible(arg.text)
		if arg.in == plain || !s.colored {
			return text
		}
		return string(arg.in) + text + colourOff
	case lines:
		return printable.VisibleLines(string(arg))
	}
	return inOneLine(arg)
}

// inOneLine returns an argument of a format in a form that has one line and is printable. Numbers stay as they are.
func inOneLine(arg any) any {
	if err, ok := arg.(error); ok {
		return lineOf(err)
	}
	switch value := reflect.ValueOf(arg); value.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8,
		reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		return arg
	case reflect.String:
		if _, formats := arg.(fmt.Stringer); !formats {
			return printable.Visible(value.String())
		}
	}
	return printable.Visible(fmt.Sprint(arg))
}

// lineError is an error whose text has one line.
type lineError struct{ err error }

// lineOf keeps the lines of an error that this package made.
func lineOf(err error) error {
	if known, ok := err.(*exitError); ok { //nolint:errorlint // the error itself, not what it wraps
		return known
	}
	return &lineError{err}
}

func (e *lineError) Error() string { return printable.Visible(e.err.Error()) }

func (e *lineError) Unwrap() error { return e.err }
