package cli

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/fluent-credential/operator/api/v1alpha1"
	failures "github.com/fluent-credential/operator/internal/failure"
)

const listExample = `  # The credentials of this namespace, the most urgent first
  kubectl fluent list

  # Those of the whole cluster, with the cause
  kubectl fluent list -A -o wide

  # In a script: exit code 3 where one needs a person
  kubectl fluent list -A -l team=orders --exit-code >/dev/null || alert-somebody`

type listOptions struct {
	*session
	selection
	output    objectOutput
	noHeaders bool
	exitCode  bool
}

func (s *session) list() *cobra.Command {
	o := &listOptions{session: s}
	command := &cobra.Command{
		Use: "list [NAME ...]", Aliases: []string{"ls", "get"},
		Short: "List credentials by urgency, with the time that is left",
		Long: `List credentials by urgency: those without a valid token first, then those whose next refresh waits for a change, then those that are
tried again, then the suspended ones, then all others. Of equals, the one that expires first comes first. FluentTokens are listed below
them, those without a token first. On a terminal, red has no valid token, yellow soon may have none, and cyan is suspended.`,
		Example: listExample, Args: args(cobra.ArbitraryArgs), ValidArgsFunction: s.completeNames,
		RunE: func(command *cobra.Command, names []string) error { return o.run(command.Context(), names) },
	}
	o.addSelector(command)
	o.output = newObjectOutput(command, "wide, ")
	command.Flags().BoolVar(&o.noHeaders, "no-headers", false, "Leave out the line of headers.")
	command.Flags().BoolVar(&o.exitCode, "exit-code", false, "Exit with 3 where a credential needs a person.")
	return command
}

func (o *listOptions) run(ctx context.Context, names []string) error {
	if len(names) > 0 && (o.allNamespaces || o.selector != "") {
		return usage("a NAME goes with neither -A nor -l")
	}
	cluster, found, err := o.pick(ctx, names, o.selection)
	if err != nil {
		return err
	}
	var tokens []v1alpha1.FluentToken
	if len(names) == 0 {
		if tokens, err = o.findTokens(ctx, cluster, o.selection); err != nil {
			return err
		}
	}
	now := o.now()
	byUrgency(found, now)
	if err := o.show(found, tokens, now); err != nil {
		return err
	}
	needed := len(found) > 0 && urgencyOf(&found[0], now).needsPerson() ||
		slices.ContainsFunc(tokens, func(token v1alpha1.FluentToken) bool { return tokenNeedsPerson(&token) })
	if o.exitCode && needed {
		return attention()
	}
	return nil
}

// show prints the credentials; on a screen, the FluentTokens below them.
func (o *listOptions) show(found []v1alpha1.FluentCredential, tokens []v1alpha1.FluentToken, now time.Time) error {
	if format := o.output.format(); format != "" && format != "wide" {
		return o.showObjects(found)
	}
	if len(found) == 0 {
		o.ErrOut.printf("No FluentCredentials found.\n")
	} else {
		o.printTable(o.table(found, now))
	}
	if len(tokens) > 0 {
		o.Out.printf("\n")
		o.printTable(o.tokenTable(tokens, now))
	}
	return nil
}

// showObjects prints the objects as kubectl get does: a list, but for -o name, which knows none.
func (o *listOptions) showObjects(found []v1alpha1.FluentCredential) error {
	for i := range found {
		found[i].SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("FluentCredential"))
	}
	if o.output.format() != "name" {
		return o.output.print(o.session, &v1alpha1.FluentCredentialList{Items: found})
	}
	for i := range found {
		if err := o.output.print(o.session, &found[i]); err != nil {
			return err
		}
	}
	return nil
}

func (o *listOptions) table(found []v1alpha1.FluentCredential, now time.Time) []row {
	var rows []row
	if !o.noHeaders {
		rows = append(rows, row{cells: o.columns("NAMESPACE",
			[]string{"NAME", "READY", "STATUS", "TIME LEFT", "NEXT REFRESH", "SECRET"},
			[]string{"SERIAL", "GRANT", "PROVIDER", "AGE", "MESSAGE"})})
	}
	for i := range found {
		rows = append(rows, o.line(&found[i], now))
	}
	return rows
}

// columns are those of the table that was asked for.
func (o *listOptions) columns(namespace string, narrow, wide []string) []string {
	var cells []string
	if o.allNamespaces {
		cells = append(cells, namespace)
	}
	cells = append(cells, narrow...)
	if o.output.format() == "wide" {
		cells = append(cells, wide...)
	}
	return cells
}

func (o *listOptions) line(cred *v1alpha1.FluentCredential, now time.Time) row {
	why := causeOf(cred, now)
	serial, grant := "-", "-"
	if known := cred.Status.Token; known != nil {
		serial, grant = strconv.FormatInt(known.Serial, 10), known.Grant
	}
	cells := o.columns(cred.Namespace,
		[]string{cred.Name, yesOrNo(hasValidToken(cred, now)), why.Reason, timeLeft(cred, now), nextRefresh(cred, now), cred.TargetName()},
		[]string{serial, grant, providerName(cred), duration.HumanDuration(now.Sub(cred.CreationTimestamp.Time)), why.Message})
	return row{cells, colourOf(urgencyOf(cred, now))}
}

func yesOrNo(is bool) string {
	if is {
		return "True"
	}
	return "False"
}

func colourOf(how urgency) colour {
	switch how {
	case down, missing:
		return red
	case ending, retrying:
		return yellow
	case suspended:
		return cyan
	case fine:
	}
	return plain
}

func timeLeft(cred *v1alpha1.FluentCredential, now time.Time) string {
	if cred.Status.Token == nil {
		return "-"
	}
	return fromNow(cred.Status.Token.ExpirationTime.Time, now, "", "expired ")
}

// nextRefresh returns the time of the next try. A credential that waits for a change is not late; a failure of class
// Input may be probed as well.
func nextRefresh(cred *v1alpha1.FluentCredential, now time.Time) string {
	retry := cred.Status.NextRefreshTime // unless an exchange has failed
	failed := cred.Status.Failures != nil && cred.Status.Failures.RetryTime != nil
	if failed {
		retry = cred.Status.Failures.RetryTime
	}
	isAhead := retry != nil && retry.After(now)
	switch {
	case cred.Spec.Suspend:
		return "suspended"
	case isTrue(cred, v1alpha1.ConditionStalled) && !isAhead:
		return "needs manual action"
	case isWaiting(cred, now) && !(failed && isAhead):
		return "waits for a change"
	case failed:
		return fromNow(retry.Time, now, "retry in ", "due ")
	case retry == nil:
		return "-"
	}
	return fromNow(cred.Status.NextRefreshTime.Time, now, "in ", "due ")
}

// isWaiting reports whether the next refresh waits for an object to change.
func isWaiting(cred *v1alpha1.FluentCredential, now time.Time) bool {
	seen := outlookOf(cred, causeOf(cred, now))
	return seen.Class == failures.Input && seen.NextTry == nil
}

// fromNow tells a time as a person would say it.
func fromNow(at, now time.Time, ahead, behind string) string {
	if at.After(now) {
		return ahead + duration.HumanDuration(at.Sub(now))
	}
	return behind + duration.HumanDuration(now.Sub(at)) + " ago"
}

func providerName(cred *v1alpha1.FluentCredential) string {
	spec := cred.Spec.Provider
	switch {
	case spec.Fluent != nil:
		return "fluent"
	case spec.CommerceLayer != nil:
		return "commerceLayer"
	case spec.Nordea != nil:
		return "nordea"
	case spec.OAuth2 != nil:
		return "oauth2"
	}
	return "-"
}
