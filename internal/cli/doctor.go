package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const doctorExample = `  # Is the installation all right?
  kubectl fluent doctor

  # For a program, or a bug report
  kubectl fluent doctor -o yaml`

type doctorOptions struct {
	*session
	dataOutput
}

func (s *session) doctor() *cobra.Command {
	o := &doctorOptions{session: s}
	command := &cobra.Command{
		Use: "doctor", Short: "Examine the installation",
		Long: `Examine the installation: the API server and the clocks, the CRD and the versions, the operator's Deployment, its permissions, the
admission policies, its lease and its journal, and whether a second operator is at work; then the credentials: claims that hang, refreshes that are late,
deletions that do not end. Secrets are looked at without their content. What you may not look at is told as skipped. The exit code
is 3 where something is broken.`,
		Example: doctorExample, Args: args(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(command *cobra.Command, _ []string) error { return o.run(command.Context()) },
	}
	o.addFlag(command)
	return command
}

// examination is one visit of the doctor.
type examination struct {
	*session
	findings
	cluster   client.Client
	operators []operator
	// serverTime is the API server's, as near as it tells: the age of what is in the cluster is told by it.
	serverTime time.Time
}

func (o *doctorOptions) run(ctx context.Context) error {
	if err := o.validate(); err != nil {
		return err
	}
	cluster, err := o.client()
	if err != nil {
		return err
	}
	visit := &examination{session: o.session, cluster: cluster}
	if err := visit.examineServer(ctx); err != nil {
		return err // there is nobody to ask
	}
	for _, step := range []struct {
		check   string
		examine func(context.Context)
	}{
		{"crd", visit.examineCRD},
		{"operator", visit.examineOperators},
		{"rbac", visit.examineAccess},
		{"policies", visit.examinePolicies},
		{"leader", visit.examineLeases},
		{"journal", visit.examineJournal},
		{"credentials", visit.examineCredentials},
		{"tokens", visit.examineTokens},
		{"state", visit.examineStates},
	} {
		visit.about(step.check)
		step.examine(ctx)
	}
	return visit.report(o.session, o.dataOutput)
}
