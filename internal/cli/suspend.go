package cli

import (
	"context"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

const suspendExample = `  # Spend nothing for orders; the published token stays until it expires
  kubectl fluent suspend orders -n shop

  # Everything, before a maintenance of the API
  kubectl fluent suspend --all -A`

const resumeExample = `  # Go on with orders
  kubectl fluent resume orders -n shop

  # Go on with everything
  kubectl fluent resume --all -A`

type suspendOptions struct {
	*session
	selection
	suspend bool
}

// suspend is the command suspend, or resume.
func (s *session) suspend(suspend bool) *cobra.Command {
	o := &suspendOptions{session: s, suspend: suspend}
	command := &cobra.Command{
		Args: args(cobra.ArbitraryArgs), ValidArgsFunction: s.completeNames,
		RunE: func(command *cobra.Command, names []string) error { return o.run(command.Context(), names) },
	}
	if suspend {
		command.Use, command.Short, command.Example = "suspend (NAME ... | -l SELECTOR | --all)", "Spend nothing until resumed", suspendExample
		command.Long = "Spend nothing for a credential until it is resumed. The published token stays, and its expiry is still reported."
	} else {
		command.Use, command.Short, command.Example = "resume (NAME ... | -l SELECTOR | --all)", "Go on after a suspend", resumeExample
		command.Long = "Go on with a credential that was suspended. What is due is done at once."
	}
	o.addAll(command)
	return command
}

func (o *suspendOptions) run(ctx context.Context, names []string) error {
	if err := o.checkChosen(names); err != nil {
		return err
	}
	cluster, found, err := o.pick(ctx, names, o.selection)
	if err != nil {
		return err
	}
	for i := range found {
		if err := o.set(ctx, cluster, &found[i]); err != nil {
			return err
		}
	}
	return o.noneFound(found)
}

func (o *suspendOptions) set(ctx context.Context, cluster client.Client, cred *v1alpha1.FluentCredential) error {
	done := "resumed"
	if o.suspend {
		done = "suspended"
	}
	if cred.Spec.Suspend == o.suspend {
		o.Out.printf("%s %s already\n", nameOf(cred), done)
		return nil
	}
	before := cred.DeepCopy()
	cred.Spec.Suspend = o.suspend
	if err := cluster.Patch(ctx, cred, client.MergeFrom(before), client.FieldOwner(fieldManager)); err != nil {
		return err
	}
	o.Out.printf("%s %s\n", nameOf(cred), done)
	return nil
}

// nameOf names an object as kubectl does.
func nameOf(cred *v1alpha1.FluentCredential) string { return resourceName + "/" + cred.Name }

// noneFound makes a selection that matches nothing an error: whoever asked for a change wants to know.
func (s *session) noneFound(found []v1alpha1.FluentCredential) error {
	if len(found) == 0 {
		return failWith(exitFailed, "no FluentCredential matches")
	}
	return nil
}
