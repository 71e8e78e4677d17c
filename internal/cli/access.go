package cli

import (
	"context"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// access is something that the operator has to be allowed to do.
type access struct {
	group, resource, subresource string
	verbs                        []string
	name                         string // empty: any
}

// inEveryNamespace is what the operator does where it looks after FluentCredentials: the rules of config/rbac/role.yaml.
var inEveryNamespace = []access{
	{"", "secrets", "", []string{"get", "list", "watch", "create", "update", "patch", "delete"}, ""},
	{"", "namespaces", "", []string{"get", "list", "watch"}, ""},
	{groupName, "fluentcredentials", "", []string{"get", "list", "watch", "patch"}, ""},
	{groupName, "fluentcredentials", "status", []string{"patch"}, ""},
	{groupName, "fluentcredentials", "finalizers", []string{"update"}, ""},
	{groupName, "fluenttokens", "", []string{"get", "list", "watch", "patch"}, ""},
	{groupName, "fluenttokens", "status", []string{"patch"}, ""},
	{groupName, "fluenttokens", "finalizers", []string{"update"}, ""},
	{"events.k8s.io", "events", "", []string{"create", "patch"}, ""},
}

// inItsOwnNamespace is what it needs beside that to lead.
var inItsOwnNamespace = []access{
	{"coordination.k8s.io", "leases", "", []string{"create"}, ""},
	{"coordination.k8s.io", "leases", "", []string{"get", "update"}, v1alpha1.LeaderLease},
}

// denied are those of the accesses that a user does not have in a namespace (empty: in all).
func denied(ctx context.Context, cluster client.Client, user, namespace string, wanted []access) ([]string, error) {
	var missing []string
	for _, each := range wanted {
		for _, verb := range each.verbs {
			review := reviewOf(user, namespace, each, verb)
			if err := cluster.Create(ctx, review); err != nil {
				return nil, err
			}
			if !review.Status.Allowed {
				missing = append(missing, verb+" "+strings.TrimSuffix(each.resource+"/"+each.subresource, "/"))
			}
		}
	}
	return missing, nil
}

func reviewOf(user, namespace string, wanted access, verb string) *authorizationv1.SubjectAccessReview {
	groups := []string{"system:authenticated"}
	if parts := strings.Split(user, ":"); len(parts) == 4 {
		groups = append(groups, "system:serviceaccounts", "system:serviceaccounts:"+parts[2])
	}
	return &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user, Groups: groups,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: verb, Group: wanted.group, Resource: wanted.resource, Subresource: wanted.subresource,
			Name: wanted.name,
		},
	}}
}

const accessAdvice = "Apply the operator's roles again: they are in dist/install.yaml."

// checkOperator looks whether there is an operator for the namespace, and whether it may do its work there.
func (i *inspection) checkOperator(ctx context.Context) {
	operators, err := findOperators(ctx, i.cluster)
	if err != nil {
		i.skip("Deployments cannot be listed: %s", err)
		return
	}
	namespace, serving := i.cred.Namespace, 0
	operators = trusted(ctx, i.cluster, operators)
	for n := range operators {
		if operators[n].serves(namespace) {
			serving++
			i.checkAccess(ctx, &operators[n], namespace)
		}
	}
	switch {
	case len(operators) == 0:
		i.warn("Install it: see README.md.", "no operator is installed in this cluster, or not as a Deployment")
	case serving == 0:
		i.fail("Add the namespace to its flag --namespaces.", "no operator looks after namespace %s", namespace)
	}
}

func (i *inspection) checkAccess(ctx context.Context, serving *operator, namespace string) {
	missing, err := denied(ctx, i.cluster, serving.user(), namespace, inEveryNamespace)
	switch {
	case err != nil:
		i.skip("what %s may do cannot be looked at: %s", serving.user(), err)
	case len(missing) > 0:
		i.fail(accessAdvice, "%s may not: %s", serving.user(), strings.Join(missing, ", "))
	default:
		i.ok("%s looks after namespace %s, and may", serving.name(), namespace)
	}
}
