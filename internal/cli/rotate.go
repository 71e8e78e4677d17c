package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/printable"
)

const rotateExample = `  # A new token for orders, now
  kubectl fluent rotate orders -n shop

  # And wait until workloads have it
  kubectl fluent rotate orders -n shop --wait

  # All of a team, with five minutes' patience
  kubectl fluent rotate -A -l team=orders --wait --timeout 5m`

type rotateOptions struct {
	*session
	selection
	waiting
}

// waiting is --wait and --timeout.
type waiting struct {
	wait    bool
	timeout time.Duration
}

func (o *waiting) addFlags(command *cobra.Command, what string) {
	command.Flags().BoolVar(&o.wait, "wait", false, what)
	command.Flags().DurationVar(&o.timeout, "timeout", 2*time.Minute, "How long to --wait; exit code 4 after that.")
}

func (s *session) rotate() *cobra.Command {
	o := &rotateOptions{session: s}
	command := &cobra.Command{
		Use:   "rotate (NAME ... | -l SELECTOR | --all)",
		Short: "Ask for a new token now",
		Long: `Ask the operator for a new token now, past any back-off, but never past a refused login: that would lock the user. With --wait the
command ends when the new token is in the Secret that workloads mount: exit code 0. It ends with 5 where only a person can help, and with
4 when the time is up; the operator goes on all the same. Of a selection, those that are suspended are left out.`,
		Example: rotateExample, Args: args(cobra.ArbitraryArgs), ValidArgsFunction: s.completeNames,
		RunE: func(command *cobra.Command, names []string) error { return o.run(command.Context(), names) },
	}
	o.addAll(command)
	o.addFlags(command, "Wait until the new token is published, and tell the progress.")
	return command
}

func (o *rotateOptions) run(ctx context.Context, names []string) error {
	if err := o.checkChosen(names); err != nil {
		return err
	}
	cluster, found, err := o.pick(ctx, names, o.selection)
	if err != nil {
		return err
	}
	rotations, err := o.ask(ctx, cluster, found)
	if err != nil {
		return err
	}
	if !o.wait {
		return nil
	}
	return o.await(ctx, o.session, cluster, rotations)
}

// ask sets the rotate annotation of each.
func (o *rotateOptions) ask(ctx context.Context, cluster client.Client, found []v1alpha1.FluentCredential) ([]expectation, error) {
	if err := o.noneFound(found); err != nil {
		return nil, err
	}
	found, err := o.awake(found)
	if err != nil {
		return nil, err
	}
	value := o.now().UTC().Format(time.RFC3339Nano)
	var asked []expectation
	for i := range found {
		cred := &found[i]
		before := cred.DeepCopy()
		asked = append(asked, &rotation{value: value, serial: serialOf(cred), of: keyOf(cred)})
		if cred.Annotations == nil {
			cred.Annotations = map[string]string{}
		}
		cred.Annotations[v1alpha1.RotateAnnotation] = value
		if err := cluster.Patch(ctx, cred, client.MergeFrom(before), client.FieldOwner(fieldManager)); err != nil {
			return nil, err
		}
		o.Out.printf("%s rotation asked for\n", nameOf(cred))
	}
	return asked, nil
}

// awake are those that are not suspended. Of a selection the suspended ones are left out, and told; one that was named is refused, before
// anything is asked for.
func (o *rotateOptions) awake(found []v1alpha1.FluentCredential) ([]v1alpha1.FluentCredential, error) {
	var awake []v1alpha1.FluentCredential
	for i := range found {
		cred := &found[i]
		switch {
		case !cred.Spec.Suspend:
			awake = append(awake, *cred)
		case o.selector == "" && !o.all:
			return nil, failWith(exitRefused, "%s is suspended, so no token is obtained.\nkubectl fluent resume %s -n %s ends that.",
				cred.Name, cred.Name, cred.Namespace)
		default:
			o.ErrOut.printf("%s is suspended, and left out\n", nameOf(cred))
		}
	}
	if len(awake) == 0 {
		return nil, failWith(exitRefused, "all of them are suspended")
	}
	return awake, nil
}

func serialOf(cred *v1alpha1.FluentCredential) int64 {
	if cred.Status.Token == nil {
		return 0
	}
	return cred.Status.Token.Serial
}

// rotation is a rotation that was asked for.
type rotation struct {
	of     key
	value  string // of the rotate annotation
	serial int64  // of the token before
}

func (r *rotation) key() key { return r.of }

// judge: the operator echoes the annotation in the status that tells what came of it.
func (r *rotation) judge(cred *v1alpha1.FluentCredential, now time.Time) (progress, string) {
	why := causeOf(cred, now)
	switch handled := cred.Status.LastHandledRotateAt == r.value; {
	case handled && serialOf(cred) > r.serial && hasValidToken(cred, now):
		return done, fmt.Sprintf("rotated: token %d, valid until %s", serialOf(cred), stamp(cred.Status.Token.ExpirationTime))
	case handled && isTrue(cred, v1alpha1.ConditionStalled):
		return failed, printable.Visible(why.Reason+": "+why.Message) + "\n  " +
			printable.Visible(adviceFor(why.Reason, cred))
	case handled, isTrue(cred, v1alpha1.ConditionStalled):
		return pending, why.Reason + ": " + why.Message
	}
	return pending, "waiting for the operator"
}
