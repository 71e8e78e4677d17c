package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/fluent-credential/operator/internal/token"
)

// prompter asks a person. Questions go to the error stream, so that the output can be piped.
type prompter struct {
	*session
	lines *bufio.Reader
}

func (s *session) prompter() *prompter { return &prompter{session: s, lines: bufio.NewReader(s.In)} }

// errNoTerminal says that there is nobody to ask.
var errNoTerminal = errors.New("there is no terminal to ask on")

// ask asks for something that may be seen; an empty answer takes the proposal.
func (p *prompter) ask(ctx context.Context, question, proposal string) (string, error) {
	if !isTerminal(p.In) {
		return proposal, nil
	}
	if proposal != "" {
		question += " [" + proposal + "]"
	}
	p.ErrOut.printf("%s: ", question)
	line, err := interruptible(ctx, p.line)
	if err != nil || line == "" {
		return proposal, err
	}
	return line, nil
}

// askHidden asks for a secret: what is typed is not shown.
func (p *prompter) askHidden(ctx context.Context, question string) (token.Secret, error) {
	file, ok := p.In.(*os.File)
	if !ok || !isTerminal(file) {
		return token.Secret{}, errNoTerminal
	}
	descriptor := int(file.Fd())
	before, err := term.GetState(descriptor)
	if err != nil {
		return token.Secret{}, err
	}
	p.ErrOut.printf("%s: ", question)
	typed, err := interruptible(ctx, func() (string, error) {
		typed, err := term.ReadPassword(descriptor)
		return string(typed), err
	})
	p.ErrOut.printf("\n")
	if err != nil {
		_ = term.Restore(descriptor, before) // interrupted: without this the shell would go on unseen
	}
	return token.NewSecret(typed), err
}

// readHidden reads a secret that was piped in. One line end at its end is not a part of it.
func (p *prompter) readHidden() (token.Secret, error) {
	text, err := io.ReadAll(io.LimitReader(p.lines, maxPiped))
	if err != nil {
		return token.Secret{}, err
	}
	piped := strings.TrimRight(string(text), "\r\n")
	if piped == "" {
		return token.Secret{}, errors.New("nothing was piped in")
	}
	return token.NewSecret(piped), nil
}

// maxPiped bounds what is read: no password and no code is as long.
const maxPiped = 64 << 10

func (p *prompter) line() (string, error) {
	line, err := p.lines.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("the answer cannot be read: %w", err)
	}
	return strings.TrimSpace(line), nil
}

// interruptible reads until Ctrl-C. The read itself cannot be ended: it is left behind, and the process is about to end.
func interruptible(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		text, err := read()
		answered <- answer{text, err}
	}()
	select {
	case got := <-answered:
		return got.text, got.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
