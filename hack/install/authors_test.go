package install

import (
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// The refusals of the policy fluent-credential-authors, as far as they are the same for every author.
const (
	needsGet     = "a reference to a Secret is new: this needs the right to get Secret "
	needsCreate  = "is new: this needs the right to create Secrets"
	needsFormer  = "spec.target changes who can read the token: this needs the right to get Secret "
	needsToShare = "spec.allowedNamespaces gives a token to other namespaces: this needs the right to get Secret "
	needsToPatch = "delivery.restart names workloads: this needs the right to patch "
	needsNoRight = ""
)

// authors are the people of a namespace. All of them may write FluentCredentials and FluentTokens.
const (
	editor   = "editor@example.com"   // no right on Secrets and workloads
	owner    = "owner@example.com"    // every right for orders: its login, its target, its Deployment
	reader   = "reader@example.com"   // may create Secrets, and get what is their own: mine-login, mine-token
	consumer = "consumer@example.com" // may get orders-login and orders-token, and create nothing
	maker    = "maker@example.com"    // may create Secrets, and get none
	general  = "general@example.com"  // may get all Secrets, create them and patch all workloads, as with the role edit
)

// hire gives the authors their rights in a namespace.
func (c *cluster) hire(t *testing.T, namespace string) {
	t.Helper()
	rule := func(group, resource, verb string, names ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{
			APIGroups: []string{group}, Resources: []string{resource}, Verbs: []string{verb}, ResourceNames: names,
		}
	}
	for user, rules := range map[string][]rbacv1.PolicyRule{
		editor: nil,
		owner: {
			rule("", "secrets", "get", "orders-login", "orders-token"), rule("", "secrets", "create"),
			rule("apps", "deployments", "patch", "orders"),
		},
		reader:   {rule("", "secrets", "get", "mine-login", "mine-token"), rule("", "secrets", "create")},
		consumer: {rule("", "secrets", "get", "orders-login", "orders-token")},
		maker:    {rule("", "secrets", "create")},
		general:  {rule("", "secrets", "*"), rule("apps", "*", "patch")},
	} {
		ours := v1alpha1.GroupVersion.Group
		rules = append(rules, rule(ours, "fluentcredentials", "*"), rule(ours, "fluenttokens", "*"))
		c.grant(t, namespace, user, rules...)
	}
	probe := order(namespace, "probe", nil)
	eventually(t, "rights and policy are enforced", func() (bool, any) {
		refused := c.as(t, editor).Create(t.Context(), probe.DeepCopy(), client.DryRunAll)
		admitted := c.as(t, general).Create(t.Context(), probe.DeepCopy(), client.DryRunAll)
		enforced := apierrors.IsForbidden(refused) && strings.Contains(refused.Error(), needsGet)
		return enforced && admitted == nil, []error{refused, admitted}
	})
}

// order is the FluentCredential that the owner has every right for.
func order(namespace, name string, change func(*v1alpha1.FluentCredential)) *v1alpha1.FluentCredential {
	cred := &v1alpha1.FluentCredential{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.FluentCredentialSpec{
			Provider:             v1alpha1.ProviderSpec{Fluent: &v1alpha1.FluentProvider{Account: "ACME"}},
			CredentialsSecretRef: v1alpha1.CredentialsSecretReference{Name: "orders-login"},
			Target:               v1alpha1.TargetSpec{Name: "orders-token"},
		},
	}
	if change != nil {
		change(cred)
	}
	return cred
}

// wish is a FluentToken for the same name.
func wish(namespace, name string, change func(*v1alpha1.FluentToken)) *v1alpha1.FluentToken {
	token := &v1alpha1.FluentToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.FluentTokenSpec{
			CredentialRef: v1alpha1.CredentialReference{Namespace: "shop", Name: "orders"},
			Target:        v1alpha1.TargetSpec{Name: "orders-token"},
		},
	}
	if change != nil {
		change(token)
	}
	return token
}

// mine is a FluentCredential that the reader has every right for.
func mine(namespace, name string, change func(*v1alpha1.FluentCredential)) *v1alpha1.FluentCredential {
	return order(namespace, name, func(cred *v1alpha1.FluentCredential) {
		cred.Spec.CredentialsSecretRef.Name, cred.Spec.Target.Name = "mine-login", "mine-token"
		if change != nil {
			change(cred)
		}
	})
}

func sharing(names ...string) func(*v1alpha1.FluentCredential) {
	return func(cred *v1alpha1.FluentCredential) {
		cred.Spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{Names: names}
	}
}

// TestCreationNeedsTheRightsThatItUses: the operator reads a login and writes a Secret for it.
func TestCreationNeedsTheRightsThatItUses(t *testing.T) {
	c := policed(t)
	namespace := c.namespace(t, "authors-create")
	c.hire(t, namespace)
	unnamed := order(namespace, "", func(cred *v1alpha1.FluentCredential) {
		cred.GenerateName, cred.Spec.Target.Name = "orders-", ""
	})
	shared := order(namespace, "orders", sharing("web"))
	selected := order(namespace, "orders", func(cred *v1alpha1.FluentCredential) {
		cred.Spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{Selector: &metav1.LabelSelector{}}
	})
	byDefaultName := order(namespace, "orders", func(cred *v1alpha1.FluentCredential) {
		sharing("web")(cred)
		cred.Spec.Target = v1alpha1.TargetSpec{}
	})
	sharesAnother := order(namespace, "another", func(cred *v1alpha1.FluentCredential) {
		sharing("web")(cred)
		cred.Spec.Target.Name = "another"
	})
	sharesWithNone := order(namespace, "another", func(cred *v1alpha1.FluentCredential) {
		cred.Spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{}
		cred.Spec.Target.Name = "another"
	})
	password := order(namespace, "orders", func(cred *v1alpha1.FluentCredential) {
		cred.Spec.CredentialsSecretRef = v1alpha1.CredentialsSecretReference{
			Name: "database", Keys: map[string]v1alpha1.SecretKey{"client_id": "password"},
		}
	})
	suspended := order(namespace, "orders", func(cred *v1alpha1.FluentCredential) { cred.Spec.Suspend = true })
	restarts := order(namespace, "orders", func(cred *v1alpha1.FluentCredential) {
		cred.Spec.Delivery.Restart = []v1alpha1.RestartReference{{Kind: v1alpha1.RestartDeployment, Name: "orders"}}
	})
	restartsOther := order(namespace, "orders", func(cred *v1alpha1.FluentCredential) {
		cred.Spec.Delivery.Restart = []v1alpha1.RestartReference{
			{Kind: v1alpha1.RestartDeployment, Name: "orders"}, {Kind: v1alpha1.RestartStatefulSet, Name: "orders"},
			{Kind: v1alpha1.RestartDaemonSet, Name: "agent"},
		}
	})
	token := wish(namespace, "orders", nil)
	templated := wish(namespace, "orders", func(token *v1alpha1.FluentToken) {
		token.Spec.Target.Data = map[string]string{"k": "{{ .AccessToken }}"}
	})
	tokenRestarts := wish(namespace, "orders", func(token *v1alpha1.FluentToken) {
		token.Spec.Delivery.Restart = []v1alpha1.RestartReference{{Kind: v1alpha1.RestartDeployment, Name: "stock"}}
	})
	c.try(t, map[string]attempt{
		"owner creates": {
			"they may do all of it themselves", owner, creates(order(namespace, "orders", nil)), needsNoRight,
		},
		"general creates":       {"the role edit", general, creates(order(namespace, "orders", nil)), needsNoRight},
		"administrator creates": {"they may do everything", administrator, creates(shared), needsNoRight},
		"editor creates": {
			"the login would be sent where the editor wants", editor,
			creates(order(namespace, "orders", nil)),
			needsGet + "orders-login in namespace " + namespace + ", which " + editor + " lacks: grant it, or have this",
		},
		"maker creates": {
			"the login would be sent where the maker wants", maker,
			creates(order(namespace, "orders", nil)), needsGet + "orders-login",
		},
		"consumer creates": {
			"a Secret would be made by one who may not", consumer,
			creates(order(namespace, "orders", nil)), "what is written to Secret orders-token " + needsCreate,
		},
		"another's password": {
			"renamed keys make a secret into a name, which people see", owner, creates(password), needsGet + "database",
		},
		"a Secret that may come": {
			"the right does not depend on what exists", maker,
			creates(mine(namespace, "new", nil)), needsGet + "mine-login",
		},
		"reader, own": {
			"their own, as little of it as exists", reader, creates(mine(namespace, "new", nil)), needsNoRight,
		},
		"suspended": {
			"it can be resumed by anybody who may update it", editor, creates(suspended), needsGet,
		},
		"a copy under a new name": {
			"a copy reads the login again", editor, creates(order(namespace, "copy", nil)), needsGet,
		},
		"a generated name":        {"the name is the target's", editor, creates(unnamed), needsGet},
		"a generated name, maker": {"the name is known at admission", owner, creates(unnamed), needsNoRight},
		"owner shares":            {"they may read that Secret", owner, creates(shared), needsNoRight},
		"owner shares by default": {
			"the default name is the object's own, which they may not get", owner,
			creates(byDefaultName), needsToShare + "orders in",
		},
		"owner shares by selector": {"they may read that Secret", owner, creates(selected), needsNoRight},
		"owner shares another":     {"they may get one by name only", owner, creates(sharesAnother), needsToShare + "another"},
		"owner shares with none":   {"an empty list gives nothing", owner, creates(sharesWithNone), needsNoRight},
		"owner restarts":           {"they may patch it", owner, creates(restarts), needsNoRight},
		"owner restarts others": {
			"they may not patch them", owner,
			creates(restartsOther), needsToPatch + "Deployment/orders, StatefulSet/orders, DaemonSet/agent in",
		},
		"general restarts": {"they may patch all", general, creates(restartsOther), needsNoRight},
		"token: editor": {
			"a Secret would be made by one who may not", editor,
			creates(token), "what is written to Secret orders-token " + needsCreate,
		},
		"token: maker": {"consent is the owner's business", maker, creates(token), needsNoRight},
		"token: maker has templates": {
			"the status shows whether a template suits the token, bit by bit", maker, creates(templated),
			"spec.target.data has templates for another FluentCredential's token: this needs the right to get Secret orders-token",
		},
		"token: owner has templates": {"they may read that Secret", owner, creates(templated), needsNoRight},
		"token: maker restarts": {
			"they may not patch it", maker, creates(tokenRestarts), needsToPatch + "Deployment/stock",
		},
		"token: operator writes": {
			"the policy asks the same of everybody, and RBAC lets it create none", operatorUser,
			creates(token), "cannot create resource",
		},
	})
}
