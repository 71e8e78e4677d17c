package cli

import (
	"context"
	"io"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

const rootLong = `See which credentials need you, understand why, and act.

A FluentCredential keeps an access token fresh in a Secret. These commands show the credentials of a cluster by urgency, tell the
cause of a trouble and what to do about it, and do it.

Exit codes:
  0    everything is fine
  1    the command could not do its work: no cluster, no permission, no such object
  2    the command line is wrong
  3    the command did its work, and what it looked at needs a person
  4    --wait: not in the time of --timeout
  5    the API, or the operator, refused what was asked for
  130  interrupted`

// New is the command kubectl fluent. The version is what the binary was built from, and now its clock.
func New(streams genericiooptions.IOStreams, version string, now func() time.Time) *cobra.Command {
	log.SetLogger(logr.Discard()) // controller-runtime complains where nobody does this
	s := &session{
		In: streams.In, Out: newScreen(streams.Out), ErrOut: newScreen(streams.ErrOut),
		cluster: genericclioptions.NewConfigFlags(true), now: now, version: version,
	}
	root := &cobra.Command{
		Use: "fluent", Short: "See, understand and mend the credentials of a cluster", Long: rootLong,
		Version: version, SilenceErrors: true, SilenceUsage: true, SuggestionsMinimumDistance: 2,
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl fluent"},
		Args:        cobra.ArbitraryArgs,
		RunE:        noCommand,
	}
	root.SetIn(streams.In)
	root.SetOut(s.Out)
	root.SetErr(s.ErrOut)
	root.SetFlagErrorFunc(func(command *cobra.Command, err error) error {
		return usage("%w\nSee \"%s --help\".", err, command.CommandPath())
	})
	s.cluster.AddFlags(root.PersistentFlags())
	root.AddCommand(s.list(), s.status(), s.rotate(), s.login(), s.suspend(true), s.suspend(false), s.check(), s.doctor())
	s.completeFlags(root)
	return root
}

// noCommand is what the root does by itself: it shows the help, or says that there is no such command.
func noCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return root.Help()
	}
	if similar := root.SuggestionsFor(args[0]); len(similar) > 0 {
		return usage("there is no command %q: did you mean %q?", args[0], similar[0])
	}
	return usage("there is no command %q: see \"%s --help\"", args[0], root.CommandPath())
}

// args makes a wrong number of arguments an error of usage.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		if err := check(command, args); err != nil {
			return usage("%w\nUsage: %s", err, command.UseLine())
		}
		return nil
	}
}

// Execute runs the command line and returns the exit code. What went wrong is told on the error stream.
func Execute(ctx context.Context, root *cobra.Command) int {
	code, message := outcome(root.ExecuteContext(ctx))
	for _, stream := range []io.Writer{root.OutOrStdout(), root.ErrOrStderr()} {
		if shown, ok := stream.(*screen); ok {
			_ = shown.Flush()
		}
	}
	if shown, ok := root.ErrOrStderr().(*screen); ok && message != "" {
		tellError(shown, message)
	}
	return code
}

func tellError(shown *screen, message string) {
	shown.printf("error: %s\n", lines(message))
}
