package cli

import (
	"context"
	"errors"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

// complete asks for what the login still lacks.
func (o *loginOptions) complete(ctx context.Context, try *attempt) error {
	ask := o.prompter()
	if err := o.completeClient(ctx, ask, try); err != nil {
		return err
	}
	if try.grant == token.AuthorizationCode {
		return o.completeCode(ctx, ask, try)
	}
	return o.completePassword(ctx, ask, try)
}

// completeClient asks for the client where the Secret has none: the operator needs it for every refresh.
func (o *loginOptions) completeClient(ctx context.Context, ask *prompter, try *attempt) error {
	if try.login.ClientID != "" {
		return nil
	}
	id, err := ask.ask(ctx, "Client id", "")
	if err != nil {
		return err
	}
	if id == "" {
		return failWith(exitFailed, "Secret %s has no %s: put the client's id, and its secret where it has one, into it first",
			try.secret.Name, try.keyName("client_id"))
	}
	try.login.ClientID = id
	try.login.ClientSecret, err = ask.askHidden(ctx, "Client secret (empty: none)")
	return err
}

func (o *loginOptions) completePassword(ctx context.Context, ask *prompter, try *attempt) error {
	if err := o.completeUser(ctx, ask, try); err != nil {
		return err
	}
	question := "Password for " + try.userName() + " at " + addressOf(try.api.Endpoint())
	password, err := o.secretInput(ctx, ask, o.passwordStdin, question)
	if errors.Is(err, errNoTerminal) {
		return usage("%w: pipe the password in with --password-stdin", err)
	}
	if err == nil && password.IsZero() {
		return failWith(exitFailed, "an empty password is not sent: it would count as a refused login")
	}
	try.login.Password = password
	return err
}

// completeUser asks for the user name. What the Secret holds is proposed; it is not shown if it may be a secret.
func (o *loginOptions) completeUser(ctx context.Context, ask *prompter, try *attempt) error {
	known, proposal := try.login.Username, try.userName()
	name := o.username
	if name == "" {
		var err error
		if name, err = ask.ask(ctx, "User name", proposal); err != nil {
			return err
		}
	}
	switch name {
	case "":
		return usage("there is no user name: give --username")
	case proposal:
		name = known
	}
	if name != known {
		try.login.Username, try.login.Hidden.Username = name, false
	}
	return nil
}

// userName returns the user name, or where it is, in a form that may be shown.
func (t *attempt) userName() string {
	if t.login.Hidden.Username {
		return "entry " + t.keyName(v1alpha1.UsernameKey) + " of Secret " + t.secret.Name
	}
	return t.login.Username
}

// completeCode shows the link, where the authorization endpoint is known, and takes what the person brings back from the browser.
func (o *loginOptions) completeCode(ctx context.Context, ask *prompter, try *attempt) error {
	asked := provider.Authorization{RedirectURI: o.redirectURI, State: o.state}
	if asked.RedirectURI == "" {
		asked.RedirectURI = try.login.RedirectURI
	}
	if o.authorizationURL != "" {
		link, err := asked.Link(o.authorizationURL, try.login)
		if err != nil {
			return usage("--authorization-url: %w", err)
		}
		o.ErrOut.printf("Open this in a browser and authorize:\n\n  %s\n\n", link)
	}
	answer, err := o.secretInput(ctx, ask, o.codeStdin, "Code, or the URL that the browser was sent to")
	if errors.Is(err, errNoTerminal) {
		return usage("%w: pipe the code in with --code-stdin", err)
	}
	if err != nil {
		return err
	}
	try.login.Code, err = asked.Code(answer)
	try.login.RedirectURI = asked.RedirectURI
	var refused *provider.AuthorizationRefusedError
	if errors.As(err, &refused) {
		return &exitError{code: exitRefused, err: err}
	}
	return err
}

func (o *loginOptions) secretInput(ctx context.Context, ask *prompter, piped bool, question string) (token.Secret, error) {
	if piped {
		return ask.readHidden()
	}
	return ask.askHidden(ctx, question)
}
