package cli

import (
	"context"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/policies"
)

// need is a right that the author of an object needs, because the operator uses it for the object.
type need struct {
	verb, group, resource, name string
	why                         string
}

func (n need) String() string {
	return strings.TrimSuffix(n.verb+" "+n.resource+"/"+n.name, "/")
}

// needsOfCredential returns the rights that the author of a FluentCredential needs: those of
// config/admission/authors.yaml.
func needsOfCredential(cred *v1alpha1.FluentCredential) []need {
	needs := []need{
		{"get", "", "secrets", cred.Spec.CredentialsSecretRef.Name, "spec.credentialsSecretRef refers to it"},
		{"create", "", "secrets", "", "the target Secret is written"},
	}
	if allowed := cred.Spec.AllowedNamespaces; allowed != nil && (len(allowed.Names) > 0 || allowed.Selector != nil) {
		why := "spec.allowedNamespaces gives its token away"
		needs = append(needs, need{"get", "", "secrets", cred.TargetName(), why})
	}
	return append(needs, needsOfRestarts(cred.Spec.Delivery)...)
}

func needsOfToken(token *v1alpha1.FluentToken) []need {
	needs := []need{{"create", "", "secrets", "", "the target Secret is written"}}
	if len(token.Spec.Target.Data) > 0 {
		why := "whether spec.target.data can be rendered depends on the token"
		needs = append(needs, need{"get", "", "secrets", token.TargetName(), why})
	}
	return append(needs, needsOfRestarts(token.Spec.Delivery)...)
}

func needsOfRestarts(spec v1alpha1.DeliverySpec) []need {
	var needs []need
	for _, each := range spec.Restart {
		resource := strings.ToLower(string(each.Kind)) + "s"
		needs = append(needs, need{"patch", "apps", resource, each.Name, "delivery.restart names it"})
	}
	return needs
}

// checkAuthor looks whether the user has the rights that an object needs of its author, if the user may write such
// objects at all. An object that the API server accepted may be in the cluster already, with nothing new in it.
func (f *findings) checkAuthor(
	ctx context.Context, cluster client.Client, namespace, plural string, needs []need, accepted bool,
) {
	author := need{verb: "create", group: groupName, resource: plural}
	if may, err := mayI(ctx, cluster, namespace, author); err != nil {
		f.skip("your rights cannot be looked at: %s", err)
		return
	} else if !may {
		f.skip("you may not create %s, so your other rights do not matter", plural)
		return
	}
	lacking := 0
	for _, each := range needs {
		may, err := mayI(ctx, cluster, namespace, each)
		switch {
		case err != nil:
			f.skip("your right to %s cannot be looked at: %s", each, err)
		case may:
			continue
		case accepted:
			f.warn("Have it applied by a user who has the right, or grant it.",
				"you may not %s: %s. The API server accepts it: nothing of that is new, or the policy %s is not in force",
				each, each.why, policies.Authors)
		default:
			f.fail("Have it applied by a user who has the right, or grant it.", "you may not %s: %s", each, each.why)
		}
		lacking++
	}
	if lacking == 0 {
		f.ok("you have the rights that it needs of its author")
	}
}

func mayI(ctx context.Context, cluster client.Client, namespace string, wanted need) (bool, error) {
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: wanted.verb, Group: wanted.group, Resource: wanted.resource, Name: wanted.name,
		},
	}}
	err := cluster.Create(ctx, review)
	return review.Status.Allowed, err
}
