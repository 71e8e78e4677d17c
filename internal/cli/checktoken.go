package cli

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/distribution"
	"github.com/fluent-credential/operator/internal/projection"
)

// tokenInspection looks at one FluentToken.
type tokenInspection struct {
	*findings
	cluster    client.Client
	token      *v1alpha1.FluentToken
	candidates []candidate // what is in the same file
	metadata   *metadataPolicy
}

func (i *tokenInspection) run(ctx context.Context, fresh bool) {
	prefix := "ftok/" + i.token.Name + ": "
	if fresh {
		i.about(prefix + "manifest")
		refusal := i.tryAdmission(ctx)
		if !i.judge(refusal) {
			more := append(projection.SizeProblems(i.token.Spec.Target), restartProblems(i.token.Spec.Delivery)...)
			i.checkSpec(i.token.Name, i.token.Spec.Target, more...)
		}
		i.about(prefix + "author")
		i.checkAuthor(ctx, i.cluster, i.token.Namespace, "fluenttokens", needsOfToken(i.token), refusal == nil)
	}
	i.about(prefix + "consent")
	i.checkConsent(ctx)
	i.about(prefix + "target")
	i.checkTarget(ctx)
	domains, source := i.metadata.domainsOf(ctx, i.cluster, i.token.Namespace)
	i.checkMetadata(i.token.Spec.Target, domains, source)
	i.about(prefix + "templates")
	i.checkTemplates(ctx)
}

// checkTemplates renders the templates with what the owner lists, where this person may look at the credential.
func (i *tokenInspection) checkTemplates(ctx context.Context) {
	templates, err := projection.Parse(i.token.Spec.Target.Data)
	if err != nil {
		i.fail("Correct the entry: docs/templates.md tells the values and functions.", "%s", err)
		return
	}
	if cred, err := i.credential(ctx); err == nil {
		var listed []string
		if allowed := cred.Spec.AllowedNamespaces; allowed != nil {
			listed = allowed.ReplyMembers
		}
		if err := templates.Unlisted(listed); err != nil {
			i.fail("Ask the owner of the FluentCredential to list it, or change the template.", "%s", err)
			return
		}
	}
	i.ok("the templates can be read")
}

// tryAdmission submits the object to the API server's admission as a dry run: nothing is stored.
func (i *tokenInspection) tryAdmission(ctx context.Context) error {
	return tryAdmission(ctx, i.cluster, i.token.DeepCopy(), &v1alpha1.FluentToken{})
}

// checkConsent asks as the operator does, where this person may look at the credential.
func (i *tokenInspection) checkConsent(ctx context.Context) {
	cred, err := i.credential(ctx)
	switch {
	case apierrors.IsForbidden(err):
		i.skip("FluentCredential %s may not be looked at from here: its owner knows whether it allows %s", referenceOf(i.token), i.token.Namespace)
		return
	case apierrors.IsNotFound(err):
		i.fail(tokenAdvice(v1alpha1.ReasonNotAllowed, i.token), "FluentCredential %s: %s", referenceOf(i.token), err)
		return
	case err != nil:
		i.skip("FluentCredential %s cannot be looked at: %s", referenceOf(i.token), err)
		return
	}
	namespace := &corev1.Namespace{}
	labelled := distribution.Namespace{Name: i.token.Namespace}
	if i.cluster.Get(ctx, key{Name: i.token.Namespace}, namespace) == nil {
		labelled.Labels = namespace.Labels
	}
	switch {
	case distribution.Allows(cred, labelled):
		i.ok("FluentCredential %s allows %s", referenceOf(i.token), i.token.Namespace)
	case labelled.Labels == nil && cred.Spec.AllowedNamespaces != nil && cred.Spec.AllowedNamespaces.Selector != nil:
		i.skip("namespace %s cannot be looked at: FluentCredential %s may select it by its labels", i.token.Namespace, referenceOf(i.token))
	default:
		i.fail(tokenAdvice(v1alpha1.ReasonNotAllowed, i.token), "FluentCredential %s does not allow %s", referenceOf(i.token), i.token.Namespace)
	}
}

// credential is the one in the same file, or else the cluster's.
func (i *tokenInspection) credential(ctx context.Context) (*v1alpha1.FluentCredential, error) {
	wanted := key{Namespace: i.token.Spec.CredentialRef.Namespace, Name: i.token.Spec.CredentialRef.Name}
	for _, each := range i.candidates {
		if each.cred != nil && keyOf(each.cred) == wanted {
			return each.cred, nil
		}
	}
	cred := &v1alpha1.FluentCredential{}
	return cred, i.cluster.Get(ctx, wanted, cred)
}

func (i *tokenInspection) checkTarget(ctx context.Context) {
	name, found := i.token.TargetName(), secretMetadata()
	err := i.cluster.Get(ctx, key{Namespace: i.token.Namespace, Name: name}, found)
	switch {
	case projection.IsStateName(name):
		i.fail("Choose another spec.target.name.", "%s is a name that is kept for the operator's state Secrets", name)
	case apierrors.IsNotFound(err):
		i.ok("Secret %s will be made", name)
	case err != nil:
		i.skip("Secret %s cannot be looked at: %s", name, err)
	case isOfToken(found, i.token):
		i.ok("Secret %s is this FluentToken's", name)
	default:
		i.fail(tokenAdvice(v1alpha1.ReasonTargetConflict, i.token), "Secret %s exists and belongs to somebody else", name)
	}
}

// isOfToken tells whether a Secret is the FluentToken's own, or was left behind by a former one of its name.
func isOfToken(secret *metav1.PartialObjectMetadata, token *v1alpha1.FluentToken) bool {
	controller := metav1.GetControllerOf(secret)
	if controller != nil && controller.UID == token.UID {
		return true
	}
	former := controller == nil || controller.Kind == "FluentToken" && controller.Name == token.Name
	return former && secret.Labels[v1alpha1.ManagedByLabel] == v1alpha1.OperatorName &&
		secret.Annotations[v1alpha1.TokenAnnotation] == token.Name
}

// examineTokens looks for FluentTokens that do not move by themselves.
func (v *examination) examineTokens(ctx context.Context) {
	var list v1alpha1.FluentTokenList
	if err := v.cluster.List(ctx, &list); meta.IsNoMatchError(err) {
		v.fail(installAdvice, "fluenttokens.%s is not installed: an operator of this release does not start without it", groupName)
		return
	} else if err != nil {
		v.skip("FluentTokens cannot be listed: %s", err)
		return
	}
	waiting := 0
	for i := range list.Items {
		token := &list.Items[i]
		since := func(at metav1.Time) bool { return v.serverTime.Sub(at.Time) > hanging }
		switch {
		case token.DeletionTimestamp != nil && since(*token.DeletionTimestamp):
			v.fail("kubectl fluent status ftok/"+token.Name+" -n "+token.Namespace, "FluentToken %s/%s is being deleted since %s",
				token.Namespace, token.Name, stamp(*token.DeletionTimestamp))
		case len(token.Status.Conditions) == 0 && since(token.CreationTimestamp):
			v.fail("Is the operator older than the kind? See the operator's version above.", "FluentToken %s/%s was never looked at",
				token.Namespace, token.Name)
		case !isTokenReady(token, v.serverTime):
			waiting++
		}
	}
	if waiting > 0 {
		v.warn("kubectl fluent list -A", "%d of %d FluentTokens have no valid token", waiting, len(list.Items))
		return
	}
	v.ok("%d FluentTokens, each with a valid token or under way", len(list.Items))
}
