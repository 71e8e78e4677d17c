package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/fluent-credential/operator/hack/authsim"
)

// options is what the command line says.
type options struct {
	listen  string
	tlsCert string
	tlsKey  string
	tenant  authsim.Config
}

func (o options) scheme() string {
	if o.tlsCert != "" {
		return "https"
	}
	return "http"
}

// words collects a flag that may be given several times.
type words []string

func (w *words) String() string { return strings.Join(*w, ",") }

func (w *words) Set(word string) error {
	*w = append(*w, word)
	return nil
}

// accounts is what the flags say of clients and users: the n-th secret belongs
// to the n-th client, the n-th password to the n-th user.
type accounts struct {
	clients, secrets, users, passwords words
	scope                              string
	sso, noRefreshTokens               bool
}

func parseOptions(arguments []string, stderr io.Writer) (options, error) {
	var chosen options
	var given accounts
	flags := flag.NewFlagSet("authsim", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // run reports the error, once
	chosen.addTo(flags)
	given.addTo(flags)
	err := flags.Parse(arguments)
	if errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(stderr)
		flags.PrintDefaults()
	}
	if err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected arguments: %d", flags.NArg())
	}
	if (chosen.tlsCert == "") != (chosen.tlsKey == "") {
		return options{}, errors.New("--tls-cert and --tls-key come together")
	}
	if !slices.Contains(authsim.Dialects(), chosen.tenant.Dialect) {
		return options{}, fmt.Errorf("--dialect %s: want one of %v", chosen.tenant.Dialect, authsim.Dialects())
	}
	return chosen, given.fill(&chosen.tenant)
}

func (o *options) addTo(flags *flag.FlagSet) {
	flags.StringVar(&o.listen, "listen", "127.0.0.1:0", "address to serve on; port 0 picks a free one")
	flags.StringVar(&o.tlsCert, "tls-cert", "", "PEM file with the certificate; serves HTTPS")
	flags.StringVar(&o.tlsKey, "tls-key", "", "PEM file with the key of --tls-cert")
	flags.StringVar(&o.tenant.Account, "account", "ACME", "name of the tenant")
	flags.StringVar((*string)(&o.tenant.Dialect), "dialect", string(authsim.DialectFluent), fmt.Sprintf("the API to speak, one of %v", authsim.Dialects()))
	flags.BoolVar(&o.tenant.Wrapped, "wrapped", false, "replies in the nordea dialect come in an envelope")
	flags.IntVar(&o.tenant.RateLimit, "rate-limit", 0, "token requests in any minute; 0: the dialect's, negative: any number")
	flags.DurationVar(&o.tenant.AccessTokenLifetime, "token-lifetime", 0, "life of an access token; 0: the dialect's")
	flags.DurationVar(&o.tenant.RefreshTokenLifetime, "refresh-token-lifetime", 0, "life of a refresh token; 0: the dialect's, negative: for ever")
	flags.BoolVar(&o.tenant.SameToken, "same-token", false, "a repeated login returns the same living access token")
	flags.BoolVar(&o.tenant.KillOnRefresh, "kill-on-refresh", false, "the old access token dies at the refresh")
	flags.BoolVar(&o.tenant.Lockout, "lockout", false, "5 refused logins in 15 minutes lock the user name")
	flags.Func("fault", "a fault, such as \"3rd: drop-after\"; may be repeated", func(text string) error {
		fault, err := authsim.ParseFault(text)
		o.tenant.Faults = append(o.tenant.Faults, fault)
		return err
	})
}

func (a *accounts) addTo(flags *flag.FlagSet) {
	flags.Var(&a.clients, "client", "ID of an API client; may be repeated")
	flags.Var(&a.secrets, "client-secret", "secret of the n-th --client; left out or empty: it needs none")
	flags.Var(&a.users, "user", "a user name; may be repeated")
	flags.Var(&a.passwords, "password", "password of the n-th --user")
	flags.StringVar(&a.scope, "scope", "", "scopes that the clients may ask for; empty: any")
	flags.BoolVar(&a.sso, "sso", false, "the users are SSO users")
	flags.BoolVar(&a.noRefreshTokens, "no-refresh-tokens", false, "replies carry no refresh token")
}

// fill makes clients and users of the flags. Its errors name no values, for
// those may be secrets out of their place.
func (a *accounts) fill(tenant *authsim.Config) error {
	switch {
	case len(a.clients) == 0 || len(a.users) == 0:
		return errors.New("--client and --user are required")
	case len(a.secrets) > len(a.clients):
		return errors.New("there are more --client-secret than --client")
	case len(a.passwords) != len(a.users):
		return errors.New("every --user needs one --password")
	}
	for n, id := range a.clients {
		client := authsim.Client{ID: id, Scope: a.scope, NoRefreshTokens: a.noRefreshTokens}
		if n < len(a.secrets) {
			client.Secret = a.secrets[n]
		}
		tenant.Clients = append(tenant.Clients, client)
	}
	for n, name := range a.users {
		tenant.Users = append(tenant.Users, authsim.User{
			Username: name, Password: a.passwords[n], SSO: a.sso,
			RetailerID: 1, FirstName: "Fluent", LastName: "Commerce",
		})
	}
	return nil
}
