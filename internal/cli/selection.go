package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// selection is which FluentCredentials a command is about.
type selection struct {
	selector      string
	allNamespaces bool
	all           bool
}

// addSelector adds -l and -A.
func (o *selection) addSelector(command *cobra.Command) {
	command.Flags().StringVarP(&o.selector, "selector", "l", "", "Label selector, for example -l team=orders or -l 'tier in (a,b)'.")
	command.Flags().BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "Look in all namespaces, whatever -n says.")
}

// addAll adds --all for commands that change something, and never all by mistake.
func (o *selection) addAll(command *cobra.Command) {
	o.addSelector(command)
	command.Flags().BoolVar(&o.all, "all", false, "All FluentCredentials in the namespace, or with -A in the cluster.")
}

// checkChosen refuses a command line that names nothing, or two things.
func (o *selection) checkChosen(names []string) error {
	chosen := 0
	for _, is := range []bool{len(names) > 0, o.selector != "", o.all} {
		if is {
			chosen++
		}
	}
	switch {
	case chosen == 0:
		return usage("say which: a NAME, -l SELECTOR or --all")
	case chosen > 1:
		return usage("a NAME, -l SELECTOR and --all exclude each other")
	case o.allNamespaces && len(names) > 0:
		return usage("a NAME is looked for in one namespace: leave out -A")
	}
	return nil
}

// pick is find together with the client that it finds them through.
func (s *session) pick(ctx context.Context, names []string, chosen selection) (client.Client, []v1alpha1.FluentCredential, error) {
	cluster, err := s.client()
	if err != nil {
		return nil, nil, err
	}
	found, err := s.find(ctx, cluster, names, chosen)
	return cluster, found, err
}

// find reads the named FluentCredentials, or those that the selector matches.
func (s *session) find(ctx context.Context, from client.Reader, names []string, chosen selection) ([]v1alpha1.FluentCredential, error) {
	namespace, err := s.namespace()
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return findAll(ctx, from, namespace, chosen)
	}
	var found []v1alpha1.FluentCredential
	for _, name := range names {
		one, err := findOne(ctx, from, namespace, name)
		if err != nil {
			return nil, err
		}
		found = append(found, *one)
	}
	return found, nil
}

func findAll(ctx context.Context, from client.Reader, namespace string, chosen selection) ([]v1alpha1.FluentCredential, error) {
	matching, err := labels.Parse(chosen.selector)
	if err != nil {
		return nil, usage("-l %s: %w", chosen.selector, err)
	}
	if chosen.allNamespaces {
		namespace = ""
	}
	var list v1alpha1.FluentCredentialList
	err = from.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: matching})
	return list.Items, err
}

func findOne(ctx context.Context, from client.Reader, namespace, name string) (*v1alpha1.FluentCredential, error) {
	name, err := bareName(name)
	if err != nil {
		return nil, err
	}
	var cred v1alpha1.FluentCredential
	return &cred, from.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &cred)
}

// bareName takes the kind off a name as kubectl get -o name prints it.
func bareName(text string) (string, error) {
	kind, name, qualified := strings.Cut(text, "/")
	if !qualified {
		return text, nil
	}
	switch strings.ToLower(kind) {
	case "fcred", "fluentcredential", "fluentcredentials", resourceName, pluralName:
		return name, nil
	}
	return "", usage("%s is no FluentCredential", text)
}

const (
	resourceName = "fluentcredential." + groupName
	pluralName   = "fluentcredentials." + groupName
	groupName    = "auth.fluent-credential.dev"
)
