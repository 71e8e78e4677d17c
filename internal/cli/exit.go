package cli

import (
	"context"
	"errors"
	"fmt"
)

// Exit codes. Scripts may rely on them.
const (
	exitOK          = 0
	exitFailed      = 1   // the command could not do its work: no cluster, no permission, no such object
	exitUsage       = 2   // the command line is wrong
	exitAttention   = 3   // the command did its work, and what it looked at needs a person
	exitTimeout     = 4   // --wait: not in the time of --timeout
	exitRefused     = 5   // the API, or the operator, refused what was asked for
	exitInterrupted = 130 // by Ctrl-C, as shells count it: 128 and the number of the signal
)

// exitError is an error that knows its exit code. One without a text was told already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// failWith makes an error of our words. What it repeats of others is in one line.
func failWith(code int, format string, args ...any) error {
	shown := make([]any, len(args))
	for i, arg := range args {
		shown[i] = inOneLine(arg)
	}
	return &exitError{code: code, err: fmt.Errorf(format, shown...)}
}

func usage(format string, args ...any) error { return failWith(exitUsage, format, args...) }

// attention ends a command that has told everything and found something that needs a person.
func attention() error { return &exitError{code: exitAttention} }

// outcome is the exit code of an error and what to say of it; empty: nothing.
func outcome(err error) (code int, message string) {
	var known *exitError
	switch {
	case err == nil:
		return exitOK, ""
	case errors.Is(err, context.Canceled):
		return exitInterrupted, "interrupted"
	case errors.As(err, &known) && known.err == nil:
		return known.code, ""
	case errors.As(err, &known):
		return known.code, explain(known)
	}
	return exitFailed, explain(err)
}
