package cli

import (
	"os"

	"golang.org/x/term"
)

// colour is a colour of a terminal; empty: its own.
type colour string

// The colours are the escape sequences of ECMA-48, section 8.3.117 (SGR).
const (
	plain  colour = ""
	red    colour = "\x1b[31m"
	green  colour = "\x1b[32m"
	yellow colour = "\x1b[33m"
	cyan   colour = "\x1b[36m"
	bold   colour = "\x1b[1m"

	colourOff = "\x1b[0m"
)

// isTerminal tells whether a stream is one.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
