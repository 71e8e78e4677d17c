package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// completeNames completes the names of FluentCredentials.
func (s *session) completeNames(command *cobra.Command, have []string, prefix string) ([]string, cobra.ShellCompDirective) {
	cluster, err := s.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	found, err := s.find(contextOf(command), cluster, nil, selection{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for i := range found {
		if name := found[i].Name; strings.HasPrefix(name, prefix) && !slices.Contains(have, name) {
			names = append(names, name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeOneName completes the only argument of a command.
func (s *session) completeOneName(command *cobra.Command, have []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(have) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return s.completeNames(command, have, prefix)
}

// completeNamesAndFiles completes names, and leaves files to the shell.
func (s *session) completeNamesAndFiles(command *cobra.Command, have []string, prefix string) ([]string, cobra.ShellCompDirective) {
	names, directive := s.completeOneName(command, have, prefix)
	return names, directive &^ cobra.ShellCompDirectiveNoFileComp
}

func (s *session) completeFlags(root *cobra.Command) {
	_ = root.RegisterFlagCompletionFunc("namespace", s.completeNamespaces)
	_ = root.RegisterFlagCompletionFunc("context", s.completeContexts)
}

// complete offers words for a flag.
func complete(command *cobra.Command, flag string, words []string) {
	_ = command.RegisterFlagCompletionFunc(flag,
		func(_ *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
			return startingWith(slices.Clone(words), prefix), cobra.ShellCompDirectiveNoFileComp
		})
}

func (s *session) completeNamespaces(command *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
	cluster, err := s.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	list := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: corev1.SchemeGroupVersion.String(), Kind: "NamespaceList"}}
	if err := cluster.List(contextOf(command), list, &client.ListOptions{}); err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return startingWith(names, prefix), cobra.ShellCompDirectiveNoFileComp
}

func (s *session) completeContexts(_ *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
	config, err := s.cluster.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for name := range config.Contexts {
		names = append(names, name)
	}
	slices.Sort(names)
	return startingWith(names, prefix), cobra.ShellCompDirectiveNoFileComp
}

func startingWith(words []string, prefix string) []string {
	return slices.DeleteFunc(words, func(word string) bool { return !strings.HasPrefix(word, prefix) })
}

// contextOf is never nil: a completion can run without one.
func contextOf(command *cobra.Command) context.Context {
	if ctx := command.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}
