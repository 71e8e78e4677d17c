package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

const statusExample = `  # What is with orders?
  kubectl fluent status orders -n shop

  # The same for a program; exit code 3 where it needs a person
  kubectl fluent status orders -n shop -o json`

type statusOptions struct {
	*session
	dataOutput
}

func (s *session) status() *cobra.Command {
	o := &statusOptions{session: s}
	command := &cobra.Command{
		Use: "status NAME [NAME ...]", Aliases: []string{"describe", "explain"},
		Short: "Tell the story of a credential: what happened, the cause, what to do",
		Long: `Tell the story of a credential: what happened and what is to come, from its status and its events, then the cause of its state, its
class, what the operator does by itself and when, and what to do about it. Class Time passes by itself, class Input lasts until an object
or a flag changes, class Person until a person acts. A FluentToken is named with its kind: ftok/NAME. The exit code is 3 where a person
can help.`,
		Example: statusExample, Args: args(cobra.MinimumNArgs(1)), ValidArgsFunction: s.completeNames,
		RunE: func(command *cobra.Command, names []string) error { return o.run(command.Context(), names) },
	}
	o.addFlag(command)
	return command
}

// story is what is told of one credential.
type story struct {
	Namespace   string                  `json:"namespace"`
	Name        string                  `json:"name"`
	Provider    string                  `json:"provider"`
	Target      string                  `json:"target"`
	Valid       bool                    `json:"valid"`       // workloads have a token that is valid now
	NeedsPerson bool                    `json:"needsPerson"` // nothing gets better, or it gets worse, unless somebody acts
	Token       *v1alpha1.TokenStatus   `json:"token,omitempty"`
	NextRefresh *metav1.Time            `json:"nextRefreshTime,omitempty"`
	Failures    *v1alpha1.FailureStatus `json:"failures,omitempty"`
	Conditions  []metav1.Condition      `json:"conditions,omitempty"`
	Timeline    []moment                `json:"timeline"`
	Notes       []string                `json:"notes,omitempty"` // what could not be found out
	Cause       cause                   `json:"cause"`
	outlook     `json:",inline"`
	Advice      string `json:"advice"`
	cred        *v1alpha1.FluentCredential
	urgency     urgency
}

func (o *statusOptions) run(ctx context.Context, names []string) error {
	if err := o.validate(); err != nil {
		return err
	}
	cluster, err := o.client()
	if err != nil {
		return err
	}
	var stories []any
	needed := false
	for _, name := range names {
		told, needs, err := o.story(ctx, cluster, name)
		if err != nil {
			return err
		}
		stories, needed = append(stories, told), needed || needs
	}
	if err := o.show(stories); err != nil {
		return err
	}
	if needed {
		return attention()
	}
	return nil
}

// story is that of a FluentCredential, or of a FluentToken, and whether it needs a person.
func (o *statusOptions) story(ctx context.Context, cluster client.Client, name string) (any, bool, error) {
	if name, isToken := tokenName(name); isToken {
		token, err := o.findToken(ctx, cluster, name)
		if err != nil {
			return nil, false, err
		}
		told := tokenStoryOf(token, o.now())
		return &told, told.NeedsPerson, nil
	}
	found, err := o.find(ctx, cluster, []string{name}, selection{})
	if err != nil {
		return nil, false, err
	}
	told := storyOf(ctx, cluster, &found[0], o.now())
	return &told, told.NeedsPerson, nil
}

func storyOf(ctx context.Context, from client.Reader, cred *v1alpha1.FluentCredential, now time.Time) story {
	events, err := eventsOf(ctx, from, cred)
	why, how := causeOf(cred, now), urgencyOf(cred, now)
	told := story{
		Namespace: cred.Namespace, Name: cred.Name, Provider: providerName(cred), Target: cred.TargetName(),
		Valid: hasValidToken(cred, now), NeedsPerson: how.needsPerson(), Token: cred.Status.Token,
		NextRefresh: cred.Status.NextRefreshTime, Failures: cred.Status.Failures, Conditions: cred.Status.Conditions,
		Timeline: timelineOf(cred, events, now), Cause: why, outlook: outlookOf(cred, why),
		Advice: adviceFor(why.Reason, cred),
		cred:   cred, urgency: how,
	}
	if err != nil {
		told.Notes = append(told.Notes, "the events cannot be read: "+err.Error())
	}
	return told
}

// show prints one story as it is, and several as a list.
func (o *statusOptions) show(stories []any) error {
	var data any = stories
	if len(stories) == 1 {
		data = stories[0]
	}
	return o.print(o.session, data, func() {
		for i := range stories {
			if i > 0 {
				o.Out.printf("\n")
			}
			switch told := stories[i].(type) {
			case *story:
				o.tell(told)
			case *tokenStory:
				o.tellToken(told)
			}
		}
	})
}

func (o *statusOptions) tell(told *story) {
	now := o.now()
	o.printHeading(told.Namespace + "/" + told.Name)
	o.printTable(factsOf(told, now))
	o.Out.printf("\n%s\n", painted{bold, "Timeline"})
	o.printTable(timelineRows(told.Timeline, now))
	for _, note := range told.Notes {
		o.Out.printf("  note: %s\n", note)
	}
	o.printEnd(painted{colourOf(told.urgency), told.Cause.Reason + ": " + told.Cause.Message}, told.outlook, told.Advice)
}

func (o *statusOptions) printHeading(title string) {
	o.Out.printf("%s\n", painted{bold, title})
}

func (o *statusOptions) printEnd(cause painted, seen outlook, advice string) {
	o.Out.printf("\n%s\n  %s\n", painted{bold, "Cause"}, cause)
	if seen.Text != "" {
		o.Out.printf("\n%s\n  %s\n", painted{bold, "What the operator does"}, seen.Text)
	}
	o.Out.printf("\n%s\n  %s\n", painted{bold, "What to do"}, advice)
}

func factsOf(told *story, now time.Time) []row {
	line := func(name, value string) row { return row{cells: []string{"  " + name, value}} }
	rows := []row{line("Provider", told.Provider), line("Login", "Secret "+told.cred.Spec.CredentialsSecretRef.Name), line("Target", "Secret "+told.Target)}
	if known := told.Token; known != nil {
		rows = append(rows,
			line("Token", fmt.Sprintf("serial %d, by %s", known.Serial, known.Grant)),
			line("Expires", stamp(known.ExpirationTime)+" ("+fromNow(known.ExpirationTime.Time, now, "in ", "")+")"))
	}
	rows = append(rows, line("Next refresh", nextRefresh(told.cred, now)))
	if shared := told.cred.Status.Consumers; shared != nil {
		rows = append(rows, line("Consumers", fmt.Sprintf("%d of %d FluentTokens have the newest token", shared.Current, shared.Total)))
	}
	for _, condition := range told.Conditions {
		rows = append(rows, line(condition.Type, string(condition.Status)+", "+condition.Reason))
	}
	return rows
}

func timelineRows(moments []moment, now time.Time) []row {
	var rows []row
	for _, each := range moments {
		in := plain
		if each.Kind == "Warning" {
			in = yellow
		}
		rows = append(rows, row{[]string{
			"  " + stamp(each.Time), fromNow(each.Time.Time, now, "in ", ""), each.Kind, strings.TrimSpace(each.Message),
		}, in})
	}
	return rows
}
