package cli

import (
	"context"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/binding"
	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

const loginLong = `Log in on this machine, and give the cluster the refresh token that comes of it: the way to run without a stored password.

The command shows the host that the login goes to and whose certificate answers there. If the host is none of the provider's, the
connection is not encrypted, only the caBundle of the FluentCredential makes the certificate trusted, or spec.provider was changed
since the last token, it has to be confirmed: by "yes" on a terminal, in a script by --endpoint HOST.

The command asks for the user name and the password, which is not shown, sends them to the API once, and puts the refresh token of the
reply into the credentials Secret. The password is not stored anywhere. The operator spends that refresh token at once and renews it from
then on. Where the API wants a person to authorize in a browser, the command takes the code, or the URL that the browser was sent to.

A login is tried once. A refused one is told and not tried again: several would lock the user.`

const loginExample = `  # Ask for user name and password
  kubectl fluent login orders -n shop

  # The same in a script: the password comes from a file or a pipe, never from the command line
  kubectl fluent login orders -n shop --username fluent-api --password-stdin < password.txt

  # In a script, to no other host than this one
  kubectl fluent login orders -n shop --username fluent-api --password-stdin --endpoint acme.sandbox.api.fluentretail.com < password.txt

  # Authorize in a browser: open the link that is shown, then paste the URL of the page at the end
  kubectl fluent login bank -n shop --authorization-url https://login.example.com/authorize --redirect-uri https://app.example.com/back

  # Take the stored password out of the Secret in the same step
  kubectl fluent login orders -n shop --remove-password --wait`

type loginOptions struct {
	*session
	endpointPolicy
	waiting
	grant            string
	username         string
	passwordStdin    bool
	codeStdin        bool
	authorizationURL string
	redirectURI      string
	state            string
	endpoint         string
	removePassword   bool
}

func (s *session) login() *cobra.Command {
	o := &loginOptions{session: s}
	command := &cobra.Command{
		Use: "login NAME", Short: "Log in once, and store the refresh token instead of the password",
		Long: loginLong, Example: loginExample, Args: args(cobra.ExactArgs(1)), ValidArgsFunction: s.completeOneName,
		RunE: func(command *cobra.Command, names []string) error { return o.run(command.Context(), names[0]) },
	}
	flags := command.Flags()
	flags.StringVar(&o.grant, "grant", "", "password or authorization_code; by default the first that the API has.")
	complete(command, "grant", []string{string(token.Password), string(token.AuthorizationCode)})
	flags.StringVar(&o.username, "username", "", "User name; asked for by default.")
	flags.BoolVar(&o.passwordStdin, "password-stdin", false, "Read the password from the standard input.")
	flags.BoolVar(&o.codeStdin, "code-stdin", false, "Read the code, or the URL that the browser was sent to, from the standard input.")
	flags.StringVar(&o.authorizationURL, "authorization-url", "", "Authorization endpoint of the API: show a link to it, with a state that the answer has to repeat.")
	flags.StringVar(&o.redirectURI, "redirect-uri", "", "Where the API sends the browser; by default what the Secret has, or the URL that is pasted.")
	flags.StringVar(&o.state, "state", "", "State that the pasted URL has to repeat, where you made the link yourself.")
	flags.StringVar(&o.endpoint, "endpoint", "",
		"HOST or HOST:PORT that you expect the login to go to: nothing is sent to another one, and nothing is asked.")
	flags.BoolVar(&o.removePassword, "remove-password", false, "Take a stored password out of the credentials Secret.")
	o.endpointPolicy.addFlags(flags)
	o.addFlags(command)
	return command
}

func (o *loginOptions) addFlags(command *cobra.Command) {
	o.waiting.addFlags(command, "Wait until the operator has renewed the token and published it.")
}

// attempt is one login under way.
type attempt struct {
	cluster client.Client
	cred    *v1alpha1.FluentCredential
	api     provider.API
	secret  *corev1.Secret // as it is; without a version where there is none yet
	login   token.Login
	grant   token.Grant
	dialer  exchange.Dialer
	peer    peer
}

func (o *loginOptions) run(ctx context.Context, name string) error {
	if err := o.validate(); err != nil {
		return err
	}
	try, err := o.prepare(ctx, name)
	if err != nil {
		return err
	}
	if err := o.introduce(ctx, try); err != nil {
		return err
	}
	if err := o.complete(ctx, try); err != nil {
		return err
	}
	refresh, err := o.obtain(ctx, try)
	if err != nil {
		return err
	}
	try.login.Refresh = refresh
	if err := o.store(ctx, try); err != nil {
		return err
	}
	return o.follow(ctx, try)
}

func (o *loginOptions) validate() error {
	switch {
	case o.passwordStdin && o.codeStdin:
		return usage("--password-stdin and --code-stdin exclude each other")
	case o.grant != "" && o.grant != string(token.Password) && o.grant != string(token.AuthorizationCode):
		return usage("--grant %s is not known: password or authorization_code", o.grant)
	case o.state != "" && o.authorizationURL != "":
		return usage("--authorization-url makes a state of its own: leave out --state")
	}
	return nil
}

// prepare finds out everything that can go wrong before a person types a password.
func (o *loginOptions) prepare(ctx context.Context, name string) (*attempt, error) {
	cluster, err := o.client()
	if err != nil {
		return nil, err
	}
	namespace, err := o.namespace()
	if err != nil {
		return nil, err
	}
	cred, err := findOne(ctx, cluster, namespace, name)
	if err != nil {
		return nil, err
	}
	api, err := binding.APIOf(cred.Spec.Provider)
	if err != nil {
		return nil, err
	}
	try := &attempt{cluster: cluster, cred: cred, api: api}
	if try.grant, err = o.grantOf(api); err != nil {
		return nil, err
	}
	if err := try.readSecret(ctx); err != nil {
		return nil, err
	}
	if err := try.rehearse(ctx); err != nil {
		return nil, err
	}
	policy, _ := o.of(ctx, cluster, namespace)
	if try.dialer, err = dialerFor(policy); err != nil {
		return nil, err
	}
	return try, try.reach(ctx)
}

// grantOf is how to log in: what was asked for, or what fits the flags, or the first that the API has.
func (o *loginOptions) grantOf(api provider.API) (token.Grant, error) {
	byCode := o.codeStdin || o.authorizationURL != "" || o.redirectURI != "" || o.state != ""
	grant := token.Password
	switch {
	case o.grant != "":
		grant = token.Grant(o.grant)
	case byCode, !api.Supports(token.Password):
		grant = token.AuthorizationCode
	}
	if !api.Supports(grant) {
		return "", usage("the API %s has no grant %s", api.Name(), grant)
	}
	return grant, nil
}

// follow tells what comes next, or waits for it.
func (o *loginOptions) follow(ctx context.Context, try *attempt) error {
	o.Out.printf("secret/%s refresh token stored; no password was\n", try.secret.Name)
	if try.cred.Spec.Suspend {
		o.ErrOut.printf("%s is suspended: kubectl fluent resume %s -n %s\n", try.cred.Name, try.cred.Name, try.cred.Namespace)
		return nil
	}
	if !o.wait {
		o.ErrOut.printf("The operator goes on from here: kubectl fluent status %s -n %s\n", try.cred.Name, try.cred.Namespace)
		return nil
	}
	return o.await(ctx, o.session, try.cluster, []expectation{&renewal{of: keyOf(try.cred), serial: serialOf(try.cred)}})
}
