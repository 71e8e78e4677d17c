// Command demo shows the life of a credential on this machine: it starts a control plane, a simulated authorization server whose
// tokens live for 30 seconds, and the operator; applies a login and a FluentCredential with kubectl; and tells what happens as it
// happens, until Ctrl-C, or after DEMO_ROTATIONS rotations. "make demo" calls it, in the root of the repository.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/fluent-credential/operator/hack/localcluster"
)

// rotationsVariable is the environment variable that says after how many rotations the demo ends.
const rotationsVariable = "DEMO_ROTATIONS"

func main() { localcluster.Main("demo", run) }

// run plays the demo. That a person ends it is no error.
func run([]string) error {
	rotations, err := rotationsWanted(os.Getenv(rotationsVariable))
	if err != nil {
		return err
	}
	ctx, stop := localcluster.UntilInterrupted()
	defer stop()
	demo := &demo{screen: newScreen(os.Stdout), rotations: rotations}
	err = demo.play(ctx)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// rotationsWanted reads the number of rotations; 0 means until Ctrl-C.
func rotationsWanted(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	count, err := strconv.ParseInt(text, 10, 32)
	if err != nil || count < 1 {
		return 0, fmt.Errorf("%s is %q, which is not a number of rotations", rotationsVariable, text)
	}
	return count, nil
}
