package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/binding"
	"github.com/fluent-credential/operator/internal/projection"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

const checkExample = `  # Before you apply a manifest
  kubectl fluent check credential.yaml

  # Everything in a directory, or what a tool makes
  kubectl fluent check manifests/
  kustomize build . | kubectl fluent check -

  # What is in the cluster
  kubectl fluent check orders -n shop`

type checkOptions struct {
	*session
	dataOutput
	endpointPolicy
	metadataPolicy
	file string
}

func (s *session) check() *cobra.Command {
	o := &checkOptions{session: s}
	command := &cobra.Command{
		Use: "check (FILE | NAME)", Aliases: []string{"validate"},
		Short: "Find out what would go wrong, without spending anything",
		Long: `Find out what would go wrong with a credential: is it valid, does its login hold what a grant needs, does its endpoint answer with a
trusted certificate and does the operator's policy allow it, may the operator write the target and does nobody else have it, do the
templates render. Of a FluentToken, in a FILE or as ftok/NAME: does the credential allow its namespace, and is its target free. Of
what is in a FILE: do you have the rights on Secrets and workloads that the admission policies ask of its author. No login is tried
and no token is spent. A FILE may be a directory, or - for the standard input; it may hold the credentials Secret too. The endpoint
is tried from this machine: the operator's network may differ. Where the cluster cannot be asked, a FILE is checked for what needs no
cluster, and the rest is reported as skipped. The exit code is 3 where something would fail.`,
		Example: checkExample, Args: args(cobra.MaximumNArgs(1)), ValidArgsFunction: s.completeNamesAndFiles,
		RunE: func(command *cobra.Command, args []string) error { return o.run(command.Context(), args) },
	}
	command.Flags().StringVarP(&o.file, "filename", "f", "", "File, directory or - that holds the manifests; the same as FILE.")
	o.addFlag(command)
	o.addFlags(command.Flags())
	o.addMetadataFlag(command.Flags())
	return command
}

// candidate is a FluentCredential or a FluentToken to be checked, and what came with it in its file.
type candidate struct {
	cred     *v1alpha1.FluentCredential
	token    *v1alpha1.FluentToken // instead of cred
	supplied *corev1.Secret        // its login; nil: it is in the cluster, if anywhere
	fresh    bool                  // it is from a file
}

func (o *checkOptions) run(ctx context.Context, args []string) error {
	if err := o.validate(); err != nil {
		return err
	}
	cluster, away := o.reach()
	candidates, err := o.candidates(ctx, cluster, args)
	if errors.Is(err, errAbsent) {
		return away
	}
	if err != nil {
		return err
	}
	found := &findings{}
	found.reportAbsence(away)
	for _, each := range candidates {
		if each.token != nil {
			look := &tokenInspection{
				findings: found, cluster: cluster, token: each.token, candidates: candidates, metadata: &o.metadataPolicy,
			}
			look.run(ctx, each.fresh)
			continue
		}
		look := &inspection{
			session: o.session, findings: found, cluster: cluster, candidate: each, metadata: &o.metadataPolicy,
		}
		if len(candidates) > 1 {
			look.prefix = each.cred.Name + ": "
		}
		look.policy, look.source = o.of(ctx, cluster, each.cred.Namespace)
		look.run(ctx)
	}
	return found.report(o.session, o.dataOutput)
}

// inspection looks at one candidate.
type inspection struct {
	*session
	*findings
	candidate
	cluster client.Client
	prefix  string
	endpoint
	metadata *metadataPolicy
}

func (i *inspection) about(check string) { i.findings.about(i.prefix + check) }

func (i *inspection) run(ctx context.Context) {
	i.about("manifest")
	accepted := i.checkManifest(ctx)
	api, err := binding.APIOf(i.cred.Spec.Provider)
	if err != nil {
		i.fail("Correct spec.provider.", "%s", err)
		return
	}
	i.ok("provider %s, %s", api.Name(), api.Endpoint().Redacted())
	if i.fresh {
		i.about("author")
		i.checkAuthor(ctx, i.cluster, i.cred.Namespace, "fluentcredentials", needsOfCredential(i.cred), accepted)
	}
	i.about("login")
	i.checkLogin(ctx, api)
	i.about("endpoint")
	i.checkEndpoint(ctx, api)
	i.about("target")
	i.checkTarget(ctx)
	domains, source := i.metadata.domainsOf(ctx, i.cluster, i.cred.Namespace)
	i.checkMetadata(i.cred.Spec.Target, domains, source)
	i.about("templates")
	i.checkTemplates()
	i.about("operator")
	i.checkOperator(ctx)
}

// checkManifest has the API server judge what is from a file, and reports whether the server accepts it.
func (i *inspection) checkManifest(ctx context.Context) (accepted bool) {
	problems := namesOf(i.cred.Spec)
	if !i.fresh {
		i.checkSpec(i.cred.Name, i.cred.Spec.Target, problems...)
		return false
	}
	refusal := i.tryAdmission(ctx)
	if !i.judge(refusal) {
		i.checkSpec(i.cred.Name, i.cred.Spec.Target, problems...)
	}
	return refusal == nil
}

// tryAdmission submits the object to the API server's admission as a dry run: nothing is stored.
func (i *inspection) tryAdmission(ctx context.Context) error {
	return tryAdmission(ctx, i.cluster, i.cred.DeepCopy(), &v1alpha1.FluentCredential{})
}

// tryAdmission submits an object as a dry run: as an update where there is one of its name, which admission judges by what is new in it.
// The current object is read into an empty one.
func tryAdmission(ctx context.Context, cluster client.Client, trial, current client.Object) error {
	if err := cluster.Get(ctx, client.ObjectKeyFromObject(trial), current); err == nil {
		trial.SetResourceVersion(current.GetResourceVersion())
		return cluster.Update(ctx, trial, client.DryRunAll, client.FieldOwner(fieldManager))
	}
	return cluster.Create(ctx, trial, client.DryRunAll, client.FieldOwner(fieldManager))
}

func (i *inspection) checkTemplates() {
	if _, err := projection.Parse(i.cred.Spec.Target.Data); err != nil {
		i.fail("Correct the entry: docs/templates.md tells the values and functions.", "%s", err)
		return
	}
	if entries := len(i.cred.Spec.Target.Data); entries > 0 {
		i.ok("%d templates can be rendered", entries)
		return
	}
	i.ok("the default keys")
}

// grants are the ways to a first token that a login allows.
func grants(api provider.API, login token.Login) []token.Grant {
	var ways []token.Grant
	known := !login.ClientSecret.IsZero() || login.ClientID != "" && api.ClientActsAlone()
	for _, way := range []struct {
		grant token.Grant
		has   bool
	}{
		{token.RefreshToken, !login.Refresh.IsZero()},
		{token.AuthorizationCode, !login.Code.IsZero()},
		{token.Password, login.Username != "" && !login.Password.IsZero()},
		{token.ClientCredentials, login.Username == "" && known && login.Refresh.IsZero() && login.Code.IsZero()},
	} {
		if way.has && api.Supports(way.grant) {
			ways = append(ways, way.grant)
		}
	}
	return ways
}
