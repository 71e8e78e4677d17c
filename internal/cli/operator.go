package cli

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/exchange"
	"github.com/fluent-credential/operator/internal/policies"
)

// operator is an operator that is installed in the cluster, as its Deployment tells.
type operator struct {
	deployment appsv1.Deployment
	flags      operatorFlags
}

// operatorFlags are those of the operator's flags that decide whom it serves and whom it asks.
type operatorFlags struct {
	namespaces   []string
	allowedHosts []string
	insecureHTTP bool
	metadata     []string
	journalDir   string
}

// nameLabel is on the operator's Deployment, wherever and however it was installed.
const nameLabel = "app.kubernetes.io/name"

// findOperators are the operators of the cluster.
func findOperators(ctx context.Context, from client.Reader) ([]operator, error) {
	var list appsv1.DeploymentList
	if err := from.List(ctx, &list, client.MatchingLabels{nameLabel: v1alpha1.OperatorName}); err != nil {
		return nil, err
	}
	var found []operator
	for _, each := range list.Items {
		found = append(found, operator{deployment: each, flags: flagsOf(container(&each))})
	}
	return found, nil
}

// trusted returns the operators that the admission policies name. Without the right to read a policy, or without a
// policy, it returns all of them.
func trusted(ctx context.Context, from client.Reader, found []operator) []operator {
	users, err := policies.Operators(ctx, from)
	if err != nil {
		return found
	}
	named := slices.DeleteFunc(slices.Clone(found), func(o operator) bool { return !slices.Contains(users, o.user()) })
	if len(named) == 0 {
		return found
	}
	return named
}

// container is the one that runs the operator; a service mesh may have put others beside it.
func container(deployment *appsv1.Deployment) corev1.Container {
	containers := deployment.Spec.Template.Spec.Containers
	at := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == "operator" })
	if at < 0 && len(containers) > 0 {
		at = 0
	}
	if at < 0 {
		return corev1.Container{}
	}
	return containers[at]
}

// flagsOf reads a command line as the operator does: a flag may have one dash or two.
func flagsOf(runs corev1.Container) operatorFlags {
	flags := operatorFlags{journalDir: "the default"}
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.ParseErrorsAllowlist.UnknownFlags = true
	set.StringSliceVar(&flags.namespaces, "namespaces", nil, "")
	set.StringSliceVar(&flags.allowedHosts, "allowed-hosts", nil, "")
	set.BoolVar(&flags.insecureHTTP, "insecure-http", false, "")
	set.StringSliceVar(&flags.metadata, "allowed-target-metadata", nil, "")
	set.StringVar(&flags.journalDir, "journal-dir", flags.journalDir, "")
	var line []string
	for _, argument := range slices.Concat(runs.Command, runs.Args) {
		if strings.HasPrefix(argument, "-") && !strings.HasPrefix(argument, "--") {
			argument = "-" + argument
		}
		line = append(line, argument)
	}
	_ = set.Parse(line) // what it cannot make out is not ours to judge: the operator would not have started
	return flags
}

// serves tells whether the operator looks after a namespace.
func (o *operator) serves(namespace string) bool {
	return len(o.flags.namespaces) == 0 || slices.Contains(o.flags.namespaces, namespace)
}

func (o *operator) policy() exchange.Policy {
	return exchange.Policy{AllowedHosts: o.flags.allowedHosts, InsecureHTTP: o.flags.insecureHTTP}
}

// user is the name by which the API server knows the operator.
func (o *operator) user() string {
	account := o.deployment.Spec.Template.Spec.ServiceAccountName
	if account == "" {
		account = "default"
	}
	return "system:serviceaccount:" + o.deployment.Namespace + ":" + account
}

func (o *operator) name() string { return o.deployment.Namespace + "/" + o.deployment.Name }

// version is the tag of the image; empty where it has none.
func (o *operator) version() string {
	image := container(&o.deployment).Image
	image, _, _ = strings.Cut(image, "@")
	if at := strings.LastIndex(image, ":"); at > strings.LastIndex(image, "/") {
		return image[at+1:]
	}
	return ""
}
