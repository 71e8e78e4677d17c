package cli

import (
	"context"
	"fmt"
	"reflect"

	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/internal/exchange"
)

// endpointPolicy is which endpoints may be asked: what the flags say, or what the operator that serves the namespace was told.
type endpointPolicy struct {
	allowedHosts []string
	insecureHTTP bool
	flags        *pflag.FlagSet
}

func (o *endpointPolicy) addFlags(flags *pflag.FlagSet) {
	o.flags = flags
	flags.StringSliceVar(&o.allowedHosts, "allowed-hosts", nil,
		"Host patterns that may be asked, as the operator's flag of this name; by default what the operator in the cluster has.")
	flags.BoolVar(&o.insecureHTTP, "insecure-http", false,
		"Permit http:// endpoints and loopback addresses, as the operator's flag of this name; by default what the operator in the cluster has.")
}

// of is the policy for a namespace, and where it comes from.
func (o *endpointPolicy) of(ctx context.Context, from client.Reader, namespace string) (exchange.Policy, string) {
	policy, source := policyOf(ctx, from, namespace)
	if o.flags.Changed("allowed-hosts") {
		policy.AllowedHosts, source = o.allowedHosts, "the flags"
	}
	if o.flags.Changed("insecure-http") {
		policy.InsecureHTTP, source = o.insecureHTTP, "the flags"
	}
	return policy, source
}

// policyOf returns the policy of the operator that serves a namespace. Where Deployments that claim to do so differ, none
// of them is believed: who may create a Deployment somewhere must not decide where a password is sent.
func policyOf(ctx context.Context, from client.Reader, namespace string) (policy exchange.Policy, source string) {
	operators, err := findOperators(ctx, from)
	if err != nil {
		return exchange.Policy{}, guessed
	}
	source = "the default"
	var seen []string
	for _, each := range trusted(ctx, from, operators) {
		if !each.serves(namespace) {
			continue
		}
		if len(seen) > 0 && !reflect.DeepEqual(policy, each.policy()) {
			return exchange.Policy{}, fmt.Sprintf("the default, since the flags of Deployments %s and %s differ",
				seen[0], each.name())
		}
		seen = append(seen, each.name())
		policy = each.policy()
		source = "Deployment " + each.name()
	}
	return policy, source
}

// guessed is the source of a policy if the operator's own cannot be read.
const guessed = "the default, since the operator's flags cannot be read"

// dialerFor connects to what the operator may connect to, through the proxy of this machine's environment, as kubectl itself does.
func dialerFor(policy exchange.Policy) (exchange.Dialer, error) {
	proxy, err := exchange.ProxyFromEnvironment()
	return exchange.Dialer{Policy: policy, Proxy: proxy}, err
}
